# SPDX-License-Identifier: MPL-2.0
# nomadinit: PID 1, static, without the library; and the disk image around it.
#
#   make nomadinit                                the program
#   make image NOMAD=path/to/nomad                build/image/nomadinit.qcow2 and the rest
#   make run-image                                start it under QEMU on this terminal
#
# Without SANITIZE the program is static: it is all that the initramfs holds.

nomadinit.src := $(filter-out %_test.c,$(wildcard nomadinit/*.c))
nomadinit.test := $(wildcard nomadinit/*_test.c)
nomadinit.needs := jansson
nomadinit.obj := $(nomadinit.src:%.c=$(BUILD)/%.o)
nomadinit.program := $(BUILD)/nomadinit/nomadinit

ifeq ($(SANITIZE)$(COVERAGE),)
nomadinit.link := -static-pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--gc-sections $(LDFLAGS)
nomadinit.libs := -l:libjansson.a
else
nomadinit.link := $(ldflags)
nomadinit.libs := -ljansson
endif

# Size counts here more than speed.
$(nomadinit.obj): file_flags := $(if $(findstring -O2,$(CFLAGS)),-Os) -fno-asynchronous-unwind-tables

$(nomadinit.program): $(nomadinit.obj)
	$(call quiet,LINK,$@)$(CC) $(cflags) $(nomadinit.link) -o $@ $(nomadinit.obj) $(nomadinit.libs)

$(nomadinit.program).stripped: $(nomadinit.program)
	$(call quiet,STRIP,$@)strip -o $@ $<

nomadinit: $(nomadinit.program) $(nomadinit.program).stripped

# ---- The image -----------------------------------------------------------------

NOMAD ?=
DRIVERS ?=
IMAGE ?= $(BUILD)/image
FORMATS ?= qcow2
CONFIG ?=
KEY ?=
CERT ?=

.PHONY: image run-image image-deps install-nomadinit
image-deps:
	@test/install-deps image
image: image-deps
	@+$(MAKE) --no-print-directory nomadinit $(addprefix nomad-driver-,$(patsubst nomad-driver-%,%,$(DRIVERS)))
	nomadinit/image/build --init $(nomadinit.program).stripped --out '$(IMAGE)' --formats '$(FORMATS)' \
		--cache $(BUILD)/image-cache $(if $(NOMAD),--nomad '$(NOMAD)') $(if $(DRIVERS),--drivers '$(DRIVERS)' --plugins $(BUILD)/plugins) \
		$(if $(CONFIG),--config '$(CONFIG)') $(if $(KEY),--key '$(KEY)' --cert '$(CERT)')
run-image:
	@test/install-deps run-image
	nomadinit/image/run '$(IMAGE)/nomadinit.qcow2'

install-nomadinit: nomadinit
	install -d '$(DESTDIR)$(PREFIX)/sbin'
	install -m 755 $(nomadinit.program).stripped '$(DESTDIR)$(PREFIX)/sbin/nomadinit'
