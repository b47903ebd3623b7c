# SPDX-License-Identifier: MPL-2.0
# nomadinit: PID 1, static, with the threadless part of libnomadplugin/base; and the disk image around it.
#
#   make nomadinit                                the program
#   make image NOMAD=path/to/nomad                build/image/nomadinit.qcow2 and the rest
#   make image NOMAD=stand-in                     with the tests' small agent, which runs whatever it is sent
#   make run-image                                start it under QEMU on this terminal
#
# Without SANITIZE the program is static: it is all that the initramfs holds.

nomadinit.src := $(filter-out %_test.c,$(wildcard nomadinit/*.c))
# mbed TLS 2.28 has no file for pkg-config.
nomadinit.has_mbedtls := $(shell printf '\043include <mbedtls/hkdf.h>\n' | \
	$(CC) $(CPPFLAGS) -x c -fsyntax-only - 2>/dev/null && echo yes)
nomadinit.test := $(wildcard nomadinit/*_test.c) $(if $(nomadinit.has_mbedtls),$(wildcard nomadinit/keys/*_test.c))
nomadinit.needs := jansson yaml-0.1 zlib
nomadinit.base := base.c clock.c dhcp_options.c tree.c write_all.c linux/mount.c linux/poller.c
# Objects of its own: the library's need protobuf's generated headers first.
nomadinit.obj := $(nomadinit.src:%.c=$(BUILD)/%.o) $(nomadinit.base:%.c=$(BUILD)/nomadinit/base/%.o)
nomadinit.program := $(BUILD)/nomadinit/nomadinit

ifeq ($(SANITIZE)$(COVERAGE),)
nomadinit.link := -static-pie \
	-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--gc-sections $(LDFLAGS)
nomadinit.libs := -Wl,-T,nomadinit/hot.ld -l:libjansson.a -l:libyaml.a -l:libz.a
else
nomadinit.link := $(ldflags)
nomadinit.libs := -ljansson -lyaml -lz
endif

# Size counts here more than speed.
$(nomadinit.obj): file_flags := $(if $(findstring -O2,$(CFLAGS)),-Os) -fno-asynchronous-unwind-tables

$(BUILD)/nomadinit/base/%.o: libnomadplugin/base/%.c
	@mkdir -p $(@D)
	$(call quiet,CC,$@)$(CC) $(cppflags) $(cflags) $(file_flags) -MMD -MP -c -o $@ $<
-include $(nomadinit.base:%.c=$(BUILD)/nomadinit/base/%.d)

$(nomadinit.program): $(nomadinit.obj) nomadinit/hot.ld
	$(call quiet,LINK,$@)$(CC) $(cflags) $(nomadinit.link) -o $@ $(nomadinit.obj) $(nomadinit.libs)

%.stripped: %
	$(call quiet,STRIP,$@)strip -o $@ $<

# Keys and signatures: what mbed TLS is needed for, so that PID 1 stays small.
nomadinit.keys := $(BUILD)/nomadinit/nomadinit-keys
nomadinit.keys_src := $(filter-out %_test.c,$(wildcard nomadinit/keys/*.c))
nomadinit.keys_obj := $(nomadinit.keys_src:%.c=$(BUILD)/%.o)
nomadinit.keys_shared := $(BUILD)/nomadinit/util.o $(nomadinit.base:%.c=$(BUILD)/nomadinit/base/%.o)
ifeq ($(SANITIZE)$(COVERAGE),)
nomadinit.keys_libs := -l:libmbedx509.a -l:libmbedcrypto.a
else
nomadinit.keys_libs := -lmbedx509 -lmbedcrypto
endif
extra_src += $(if $(nomadinit.has_mbedtls),$(nomadinit.keys_src))

$(nomadinit.keys): $(nomadinit.keys_obj) $(nomadinit.keys_shared)
	$(call quiet,LINK,$@)$(CC) $(cflags) $(nomadinit.link) -o $@ $^ $(nomadinit.keys_libs)
$(BUILD)/nomadinit/keys/keys_test: $(BUILD)/nomadinit/keys/keys_test.o $(BUILD)/nomadinit/keys/keys.o
	$(call quiet,LINK,$@)$(CC) $(cflags) $(ldflags) -o $@ $^ -lmbedx509 -lmbedcrypto -lcmocka

nomadinit.programs := $(nomadinit.program) $(if $(nomadinit.has_mbedtls),$(nomadinit.keys))
nomadinit: $(nomadinit.programs) $(nomadinit.programs:%=%.stripped)

# ---- The image -----------------------------------------------------------------

NOMAD ?=
DRIVERS ?=
IMAGE ?= $(BUILD)/image
FORMATS ?= qcow2
CONFIG ?=
CNI ?=
KEY ?=
CERT ?=
CONFIG_KEY ?=

nomadinit.standin := $(BUILD)/nomadinit/stand-in
image_nomad = $(if $(filter stand-in,$(NOMAD)),$(nomadinit.standin),$(NOMAD))
image_drivers = $(patsubst nomad-driver-%,%,$(DRIVERS))

$(nomadinit.standin): test/nomadinit/agent.c
	@mkdir -p $(@D)
	$(call quiet,CC,$@)$(CC) -O2 -static -s -o $@ $<

.PHONY: image run-image image-deps install-nomadinit
image-deps:
	@test/install-deps image $(image_drivers)
image: image-deps
	@+$(MAKE) --no-print-directory nomadinit $(addprefix nomad-driver-,$(image_drivers)) \
		$(filter $(nomadinit.standin),$(image_nomad))
	nomadinit/image/build --init $(nomadinit.program).stripped --out '$(IMAGE)' --formats '$(FORMATS)' \
		--cache $(BUILD)/image-cache $(if $(NOMAD),--nomad '$(image_nomad)') \
		$(if $(DRIVERS),--drivers '$(image_drivers)' --plugins $(BUILD)/plugins) \
		$(if $(CNI),--cni '$(CNI)') $(if $(CONFIG),--config '$(CONFIG)') \
		$(if $(KEY),--key '$(KEY)' --cert '$(CERT)') $(if $(CONFIG_KEY),--config-key '$(CONFIG_KEY)')
run-image:
	@test/install-deps run-image
	nomadinit/image/run '$(IMAGE)/nomadinit.qcow2'

install-nomadinit: nomadinit
	install -d '$(DESTDIR)$(PREFIX)/sbin'
	install -m 755 $(nomadinit.program).stripped '$(DESTDIR)$(PREFIX)/sbin/nomadinit'
	$(if $(nomadinit.has_mbedtls),install -m 755 $(nomadinit.keys).stripped '$(DESTDIR)$(PREFIX)/sbin/nomadinit-keys')
