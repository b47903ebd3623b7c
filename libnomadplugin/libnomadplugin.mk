# SPDX-License-Identifier: MPL-2.0
# The static library: everything below libnomadplugin/, the supervisor program inside it.

L := libnomadplugin

$(L).src := $(filter-out %_test.c,$(wildcard $(addprefix $(L)/,main.c base/*.c base/$(OS)/*.c core/*.c metrics/*.c wire/*.c schema/*.c cli/*.c supervisor/*.c os/*.c os/$(OS)/*.c)))
$(L).test := $(wildcard $(addprefix $(L)/,base/*_test.c core/*_test.c metrics/*_test.c wire/*_test.c schema/*_test.c cli/*_test.c supervisor/*_test.c os/*_test.c os/$(OS)/*_test.c))
msgpack_pc := $(shell $(PKG_CONFIG) --exists msgpack-c && echo msgpack-c || echo msgpack)
$(L).needs = $(grpc.pc) libprotobuf-c $(msgpack_pc) jansson

# The archive as installed, in which drivers find nomad_* only; and its objects as they were compiled, for tests:
# they call nomad__*, and put an object of their own in the place of one of these.
lib.public := $(BUILD)/$(L)/libnomadplugin.a
lib := $(BUILD)/$(L)/private.a
$(L).obj := # the unit tests link the archive
lib_obj := $($(L).src:%.c=$(BUILD)/%.o)

# Objects need the generated headers (protobuf) to be there first.
generated :=
include $(wildcard $(L)/core/core.mk $(L)/wire/wire.mk $(L)/schema/schema.mk $(L)/supervisor/supervisor.mk $(L)/plugin-test/plugin-test.mk)
$(lib_obj): | $(generated)

# FreeBSD's compiler does not search the directories of its packages.
cppflags += $(patsubst -I%,-isystem %,$(filter -I%,$(shell $(PKG_CONFIG) --cflags-only-I $(grpc.pc) libprotobuf-c \
	$(msgpack_pc) jansson 2>/dev/null)))

# What a program must link in addition to the archive; wire.mk selects gRPC.
lib.libs = $(grpc.libs) $(shell $(PKG_CONFIG) --libs libprotobuf-c $(msgpack_pc) jansson) -lpthread
lib_link_deps :=

$(lib): $(lib_obj) $(lib_generated_obj)
	$(call quiet,AR,$@)rm -f $@ && $(AR) crs $@ $^

$(lib.public): $(lib_obj) $(lib_generated_obj)
	$(call quiet,AR,$@)$(CC) -r -nostdlib -o $(@:.a=.o) $^ && \
		$(OBJCOPY) --wildcard --keep-global-symbol='nomad_[!_]*' $(@:.a=.o) && rm -f $@ && $(AR) crs $@ $(@:.a=.o)

libnomadplugin: $(lib.public) $(BUILD)/libnomadplugin/nomadplugin.pc

# ---- The shared library: for programs that follow the distribution's updates of gRPC ----
# Its objects are compiled for it alone (-fPIC); so `make` does not build it.  Its name has the major version of the
# interface, see nomad/base.h.

shared := $(BUILD)/shared
soname := libnomadplugin.so.$(shell sed -n 's/^.define NOMAD_API_VERSION \([0-9]*\)[0-9]\{3\}$$/\1/p' $(L)/nomad/base.h)
shared_make = $(MAKE) --no-print-directory BUILD='$(shared)' GRPC=$(if $(filter secure,$(GRPC)),secure,unsecure) \
	CFLAGS='$(CFLAGS) -fPIC -fno-semantic-interposition'

$(BUILD)/$(L)/$(soname): $(lib.public)
	$(call quiet,LINK,$@)$(CC) -shared -Wl,-soname,$(soname) -Wl,--no-undefined $(filter-out -pie,$(ldflags)) -o $@ \
		$(lib.public:.a=.o) $(lib.libs)

.PHONY: shared install-shared
shared:
	@+$(shared_make) '$(shared)/$(L)/$(soname)'
install-shared: shared install-libnomadplugin
	install -m 644 $(shared)/$(L)/$(soname) '$(DESTDIR)$(libdir)/$(soname)'
	ln -sf $(soname) '$(DESTDIR)$(libdir)/libnomadplugin.so'
	sed -e 's/^Libs: .*/Libs: -L$${libdir} -lnomadplugin/; /private/d' $(BUILD)/$(L)/nomadplugin.pc \
		>'$(DESTDIR)$(pkgconfigdir)/nomadplugin-shared.pc'

# Written each time, because it contains the PREFIX of this call.
.PHONY: $(BUILD)/libnomadplugin/nomadplugin.pc
$(BUILD)/libnomadplugin/nomadplugin.pc:
	@mkdir -p $(@D)
	$(call quiet,GEN,$@)printf '%s\n' 'prefix=$(PREFIX)' \
		'libdir=$(patsubst $(PREFIX)/%,$${prefix}/%,$(libdir))' 'includedir=$${prefix}/include' '' \
		'Name: nomadplugin' 'Description: Nomad task drivers in C' 'Version: $(VERSION)' \
		'Requires.private: $(if $(filter static,$(GRPC)),,$(grpc.pc) )libprotobuf-c $(msgpack_pc) jansson' \
		'Libs: -L$${libdir} -l:libnomadplugin.a' \
		'Libs.private: $(if $(filter static,$(GRPC)),$(grpc.libs) )-lpthread' 'Cflags: -I$${includedir}' >$@

.PHONY: install-libnomadplugin
install-libnomadplugin: libnomadplugin
	install -d '$(DESTDIR)$(PREFIX)/include/nomad' '$(DESTDIR)$(libdir)' '$(DESTDIR)$(pkgconfigdir)'
	install -m 644 $(L)/nomad/*.h '$(DESTDIR)$(PREFIX)/include/nomad/'
	install -m 644 $(lib.public) '$(DESTDIR)$(libdir)/libnomadplugin.a'
	install -m 644 $(BUILD)/$(L)/nomadplugin.pc '$(DESTDIR)$(pkgconfigdir)/nomadplugin.pc'
