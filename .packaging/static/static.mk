# SPDX-License-Identifier: MPL-2.0
# Static files: each driver that runs on Linux as one file without any shared library.
#
#   make static        all of them, for STATIC_CPUS, into $(BUILD)/static/CPU; sources are fetched first
#   make test-static   tests of these files
#
# README.md here says what is in them, for whom they are, and how to update a bundled source.

STATIC_CPUS ?= x86_64 aarch64
static_targets := $(addprefix plugins/,$(filter-out %-pot,$(drivers))) examples/nomad-driver-hello test/nomad-driver-test
static_files = $(foreach c,$(STATIC_CPUS),$(filter-out %-test,$(static_targets:%=$(BUILD)/static/$(c)/%)))

.PHONY: static test-static
static:
	@test/install-deps static
	@+for cpu in $(STATIC_CPUS); do \
		BUILD='$(BUILD)' MAKE='$(MAKE)' .packaging/static/build $$cpu $(static_targets) || exit 1; done
	@VERSION='$(VERSION)' .packaging/static/sbom $(static_files) >'$(BUILD)/static/sbom.spdx.json'
	@.packaging/static/notices '$(BUILD)/static/src' >'$(BUILD)/static/NOTICE'
	@ls -l $(static_files)
test-static: static
	@BUILD='$(BUILD)' test/tally static $(sort $(wildcard test/static/[0-9]*.sh))

# The example as a driver of this tree: elsewhere its own Makefile builds it.
-include $(BUILD)/examples/hello/hello.d
$(BUILD)/examples/hello/hello.o: | $(generated)
$(BUILD)/examples/nomad-driver-hello: $(BUILD)/examples/hello/hello.o $(lib.public) $(lib_link_deps)
	$(call quiet,LINK,$@)$(CC) $(cflags) $(ldflags) -o $@ $(filter %.o %.a,$^) $(lib.libs)
