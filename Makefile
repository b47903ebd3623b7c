# SPDX-License-Identifier: MPL-2.0
#
# One make, one Makefile, one fragment per folder; nothing is written outside
# $(BUILD).  `make help` lists the targets.

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
VERSION := 0.1.0

CC      ?= cc
CXX     ?= c++
AR      ?= ar
OBJCOPY ?= objcopy
PKG_CONFIG ?= pkg-config
PROTOC_C ?= protoc-c
POD2MAN ?= pod2man
OS      ?= $(shell uname -s | tr A-Z a-z)

# FreeBSD's packages use other directories than Linux.
plugindir ?= $(PREFIX)/$(if $(filter freebsd,$(OS)),libexec,lib)/nomad/plugins
libdir ?= $(PREFIX)/lib
pkgconfigdir ?= $(if $(filter freebsd,$(OS)),$(PREFIX)/libdata,$(libdir))/pkgconfig

CFLAGS  ?= -O2 -g
SANITIZE ?=
COVERAGE ?=
WERROR  ?=

drivers := nomad-driver-build nomad-driver-triton nomad-driver-nspawn nomad-driver-pot
folders := libnomadplugin $(drivers) nomadinit

# ---- Flags -----------------------------------------------------------------

warnings := -Wall -Wextra -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wwrite-strings \
	-Wundef -Wpointer-arith -Wno-missing-field-initializers -Wno-override-init
# The flags of $(1) that this compiler supports.
has_flags = $(foreach f,$(1),$(shell printf '\043include <string.h>\n' | \
	$(CC) -O2 -Werror -U_FORTIFY_SOURCE $(f) -x c -fsyntax-only - 2>/dev/null && echo '$(f)'))
# For every program, including those with their own flags.
hardening := -fPIE -fstack-protector-strong -fno-strict-overflow \
	$(call has_flags,-fstack-clash-protection -fcf-protection -mbranch-protection=standard)
fortify := -U_FORTIFY_SOURCE $(or $(call has_flags,-D_FORTIFY_SOURCE=3),-D_FORTIFY_SOURCE=2)
# Without optimisation it only causes warnings.
optimised := $(filter-out -O0,$(filter -O%,$(CFLAGS)))
ifneq ($(SANITIZE),)
sanitize := -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
ifneq ($(COVERAGE),)
sanitize += --coverage -fprofile-update=atomic
endif
link_hardening := -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack

cppflags := -D_GNU_SOURCE -DNOMAD_VERSION='"$(VERSION)"' -Ilibnomadplugin -I$(BUILD)/libnomadplugin $(CPPFLAGS)
hardened := $(hardening) $(if $(SANITIZE),,$(if $(optimised),$(fortify)))
cflags   := -std=gnu11 $(warnings) $(if $(WERROR),-Werror) $(hardened) $(sanitize) -ffunction-sections -fdata-sections \
	$(CFLAGS)
ldflags  := $(link_hardening) $(sanitize) -Wl,--gc-sections $(LDFLAGS)

# ---- Quiet lines unless V=1 -------------------------------------------------

V ?=
ifeq ($(V),)
quiet = @printf '  %-6s %s\n' $(1) $(2);
else
quiet =
endif

.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

.PHONY: all help clean install demo test bench fuzz man style $(drivers) nomadinit libnomadplugin
all:

# ---- The fragments -----------------------------------------------------------
# Each sets, for its folder D:  D.src (C files), D.test (unit tests), D.needs
# (pkg-config packages), D.libs (flags to link with), and may add rules.

unit_tests_of = $($(1).test:%.c=$(BUILD)/%)

include $(foreach d,$(folders),$(wildcard $(d)/$(d).mk))
include test/test.mk

all_src := $(foreach d,$(folders),$($(d).src) $($(d).test)) $(extra_src)

# Packages that are missing, for folder $(1).
missing = $(strip $(foreach p,$($(1).needs),$(shell $(PKG_CONFIG) --exists $(p) 2>/dev/null || echo $(p))))

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call quiet,CC,$@)$(CC) $(cppflags) $(cflags) $(file_flags) -MMD -MP -c -o $@ $<

-include $(patsubst %.c,$(BUILD)/%.d,$(all_src))

# ---- Drivers: build/plugins holds them and nothing else ----------------------

define driver_rules
$(1).obj := $$(patsubst %.c,$$(BUILD)/%.o,$$($(1).src))
$$($(1).obj): | $$(generated)
$$(BUILD)/plugins/$(1): $$($(1).obj) $$(lib.public) $$(lib_link_deps)
	@mkdir -p $$(@D)
	$$(call quiet,LINK,$$@)$$(CC) $$(cflags) $$(ldflags) -o $$@ $$($(1).obj) $$(lib.public) $$(call libs_of,$(1)) $$(lib.libs)
$(1): $$(BUILD)/plugins/$(1)
endef
# The library's own flags come from lib.libs, which may use archives.
libs_of = $(if $(filter-out libnomadplugin,$(1)),$(if $($(1).needs),$$($(PKG_CONFIG) --libs $($(1).needs))))
$(foreach d,$(drivers),$(if $($(d).src),$(eval $(call driver_rules,$(d)))))

# Unit tests: foo_test.c tests foo.c in the same folder.
define unit_test_rules
$$($(1).test:%.c=$$(BUILD)/%.o): | $$(if $$(filter nomadinit,$(1)),,$$(generated))
$$(BUILD)/$(1)/%_test: $$(BUILD)/$(1)/%_test.o $$(filter-out %/main.o,$$($(1).obj)) $$(if $$(filter nomadinit,$(1)),,$$(lib) $$(lib_link_deps))
	$$(call quiet,LINK,$$@)$$(CC) $$(cflags) $$(ldflags) -o $$@ $$(filter %.o,$$^) $$(filter %.a,$$^) $$(test_wrap_$$(*F)) $$(call libs_of,$(1)) \
		-lcmocka $$(if $$(filter nomadinit,$(1)),,$$(lib.libs))
endef
$(foreach d,$(folders),$(if $($(d).test),$(eval $(call unit_test_rules,$(d)))))

# `make` builds what this machine has the libraries for and prints what it skipped.
buildable := $(foreach d,libnomadplugin $(drivers) nomadinit,$(if $($(d).src),$(if $(call missing,libnomadplugin)$(call missing,$(d)),,$(d))))
all: $(buildable)
	@$(foreach d,$(filter-out $(buildable),$(folders)),$(if $($(d).src),echo 'left out: $(d) (missing: $(call missing,libnomadplugin) $(call missing,$(d)))';))true

# ---- Install -----------------------------------------------------------------

.PHONY: install-lib install-headers
install: $(addprefix install-,$(filter $(drivers) libnomadplugin nomadinit,$(buildable)))

define install_driver
.PHONY: install-$(1)
install-$(1): $(1)
	install -d '$$(DESTDIR)$$(plugindir)'
	install -m 755 $$(BUILD)/plugins/$(1) '$$(DESTDIR)$$(plugindir)/$(1)'
endef
$(foreach d,$(drivers),$(eval $(call install_driver,$(d))))

include libnomadplugin/man/man.mk .packaging/packaging.mk

clean:
	rm -rf $(BUILD)

help:
	@echo 'make                       build everything that this machine has libraries for'
	@echo 'make nomad-driver-NAME     build one driver (build, nspawn, pot, triton) and the library'
	@echo 'make nomadinit             build only the init of the boot image'
	@echo 'make demo                  install packages, build, run a first task (root)'
	@echo 'make test                  install packages, build with -Werror, run all tests (root)'
	@echo 'make test-PART             test one part: lib build triton nspawn pot nomadinit'
	@echo 'make freebsd-report        on FreeBSD, as root: build, test everything, write a report'
	@echo 'make check-freebsd         cross-compile library and pot driver for FreeBSD, with a compiler from PyPI'
	@echo 'make test-vm               test with only cgroup v2 and with systemd as PID 1, in virtual machines (minutes; not in make test)'
	@echo 'make test-packages         build packages twice, install and run them in a fresh Debian; build each part alone'
	@echo 'make bench                 compare everything with its alternative: table and picture into $$(BUILD)/bench'
	@echo 'make coverage              measure which lines of the library its tests reach'
	@echo 'make mutate                change one line of the library at a time and check that a test fails (an hour)'
	@echo 'make soak                  load and fault tests: 1,000 tasks at once, 10,000 in a row, 50 plugin kills, failing calls, the model'
	@echo 'make fuzz                  run the fuzzers for a long time'
	@echo 'make man, make html        build manuals into $$(BUILD)/man, $$(BUILD)/html'
	@echo 'make style                 check layout, lengths, includes, cycles, public names, shell scripts, English'
	@echo 'make test-tsan             run unit tests of the library under ThreadSanitizer'
	@echo 'make compile_commands.json for clangd, into $$(BUILD)'
	@echo 'make shared                build the shared library; install-shared installs it'
	@echo 'make install               install everything: DESTDIR= PREFIX=/usr/local'
	@echo 'make deb, rpm, dist        build packages; source, SBOM and checksums: into $$(BUILD)/dist'
	@echo 'make freebsd-port          build the FreeBSD port of the pot driver: PORT_SITE= PORT_WWW= PORT_MAINTAINER='
	@echo 'make clean'
	@echo
	@echo 'Variants are build folders: make BUILD=build/asan SANITIZE=address,undefined;'
	@echo 'BUILD=build/tsan SANITIZE=thread; BUILD=build/clang CC=clang CXX=clang++; BUILD=build/cov COVERAGE=1'
	@echo 'WERROR=1 makes warnings errors, V=1 shows the commands.'
