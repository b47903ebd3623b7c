# SPDX-License-Identifier: MPL-2.0
# Tests: unit tests beside the files, and here what needs whole programs.
#
# A test is an executable that prints TAP ("ok 1 - what", "not ok 2 - what",
# "ok 3 - what # SKIP what is missing").  Unit tests do through cmocka.
# test/PART/NN-name.sh are whole-program tests, simple ones first.

# ---- The driver that the library's tests run ----------------------------------

extra_src += $(wildcard test/driver/*.c)
test_driver := $(BUILD)/test/nomad-driver-test
test_driver.obj := $(patsubst %.c,$(BUILD)/%.o,$(wildcard test/driver/*.c))
$(test_driver.obj): | $(generated)
$(test_driver): $(test_driver.obj) $(mortal_obj) $(lib) $(lib_link_deps)
	@mkdir -p $(@D)
	$(call quiet,LINK,$@)$(CC) $(cflags) $(ldflags) -o $@ $(test_driver.obj) $(mortal_obj) $(lib) $(lib.libs)

# Drivers that heed the crash points of supervisor/crash.h, which those to be installed do not.
mortals := pot build nspawn
$(mortals:%=$(BUILD)/test/nomad-driver-%): $(BUILD)/test/nomad-driver-%: $(BUILD)/plugins/nomad-driver-% $(mortal_obj)
	@mkdir -p $(@D)
	$(call quiet,LINK,$@)$(CC) $(cflags) $(ldflags) -o $@ $(nomad-driver-$*.obj) $(mortal_obj) $(lib) \
		$(call libs_of,nomad-driver-$*) $(lib.libs)

# ---- Fuzzers --------------------------------------------------------------------
# test/fuzz/NAME.c, its corpus in test/fuzz/corpus/NAME and words in NAME.dict.  What stands before the first '_' of
# the name says whose objects it links with beside the library.  All is built anew by clang, in $(BUILD)/fuzz.

FUZZ_SECONDS ?= 600
fuzz_names := $(patsubst test/fuzz/%.c,%,$(wildcard test/fuzz/*.c))
extra_src += $(wildcard test/fuzz/*.c)
fuzz_objects = $(addprefix $(BUILD)/,$(addsuffix .o,$(1)))
fuzz_of_nspawn := $(call fuzz_objects,$(addprefix nomad-driver-nspawn/,address argv bind machine command config docker fetch firewall \
	init/channels init/common init/loop init/relay lease machined network oci powers registry layers cache site spec tool users))
fuzz_of_build := $(call fuzz_objects,$(addprefix nomad-driver-build/,config containerfile features image meta names powers registries sbom versions))
fuzz_of_pot := $(call fuzz_objects,$(addprefix nomad-driver-pot/,config judge limits pot-cli powers usage))
fuzz_of_triton := $(patsubst %.c,$(BUILD)/%.o,$(filter-out %/main.c %/driver.c %/dockexec.c,$(nomad-driver-triton.src)))
fuzz_of_init := $(filter-out %/main.o $(BUILD)/nomadinit/base/%,$(nomadinit.obj))
fuzz_of_keys := $(BUILD)/nomadinit/keys/keys.o
fuzz_libs_of_keys := -lmbedx509 -lmbedcrypto
fuzz_libs_of_init = $(call libs_of,nomadinit)
fuzz_libs_of_triton = $(call libs_of,nomad-driver-triton)
fuzz_wrap_nspawn_proc := -Wl,--wrap=nomad__text_read

$(fuzz_names:%=$(BUILD)/test/fuzz/%.o): | $(generated)
$(fuzz_names:%=$(BUILD)/test/fuzz/%.o): private file_flags := -I.
# An archive: a fuzzer that includes a file has its functions already.
$(BUILD)/test/fuzz/of_%.a:
	@mkdir -p $(@D)
	$(call quiet,AR,$@)rm -f $@ && $(AR) crs $@ $^
define fuzz_rules
$(BUILD)/test/fuzz/$(1): $(BUILD)/test/fuzz/$(1).o $(if $(fuzz_of_$(2)),$(BUILD)/test/fuzz/of_$(2).a) $(lib) $(lib_link_deps)
	$$(call quiet,LINK,$$@)$$(CC) $$(cflags) $$(ldflags) -fsanitize=fuzzer $(fuzz_wrap_$(1)) -o $$@ $$^ $$(fuzz_libs_of_$(2)) \
		$$(lib.libs)
endef
$(foreach n,$(fuzz_names),$(eval $(call fuzz_rules,$(n),$(firstword $(subst _, ,$(n))))))
$(foreach p,nspawn build pot triton init keys,$(eval $(BUILD)/test/fuzz/of_$(p).a: $(fuzz_of_$(p))))

.PHONY: fuzz-programs fuzz-build
fuzz-programs: $(fuzz_names:%=$(BUILD)/test/fuzz/%)
fuzz-build:
	@+$(MAKE) --no-print-directory BUILD='$(BUILD)/fuzz' CC=clang CXX=clang++ SANITIZE=address,undefined,fuzzer-no-link \
		CFLAGS='-O1 -g' fuzz-programs
fuzz: fuzz-build
	@BUILD='$(BUILD)' test/fuzz/run $(FUZZ_SECONDS) $(fuzz_names)

# ---- Tests by part -------------------------------------------------------------

# Where make was not told how many jobs to run: one for each processor.
parallel = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell getconf _NPROCESSORS_ONLN))

parts := lib build triton nspawn pot nomadinit
folder_of = $(if $(filter lib,$(1)),libnomadplugin,$(if $(filter nomadinit,$(1)),nomadinit,nomad-driver-$(1)))
# The attacks are made from inside nspawn's containers.
scripts_of = $(sort $(wildcard test/$(1)/[0-9]*.sh)) $(if $(filter nspawn,$(1)),$(wildcard test/escape/[0-9]*.sh))

define part_rules
.PHONY: test-$(1) test-$(1)-deps tests-of-$(1)
test-$(1)-deps:
	@test/install-deps $(1)
# A second make: what is installed by the first is looked for when make starts.
test-$(1): test-$(1)-deps
	@+$$(MAKE) $$(parallel) --no-print-directory WERROR=1 tests-of-$(1)
	@BUILD='$(BUILD)' test/tally $(1) $$(call unit_tests_of,$$(call folder_of,$(1))) $$(call scripts_of,$(1))
tests-of-$(1): $$(if $$($$(call folder_of,$(1)).src),$$(call folder_of,$(1))) $$(call unit_tests_of,$$(call folder_of,$(1)))
endef
$(foreach p,$(parts),$(eval $(call part_rules,$(p))))
tests-of-lib: $(test_driver)
$(foreach p,$(mortals),$(eval tests-of-$(p): $(BUILD)/test/nomad-driver-$(p)))

.PHONY: test-deps tests-of-all
test-deps:
	@test/install-deps $(parts)
tests-of-all: all $(foreach p,$(parts),tests-of-$(p))
test: test-deps
	@+$(MAKE) $(parallel) --no-print-directory WERROR=1 tests-of-all
	@BUILD='$(BUILD)' test/tally all $(foreach p,$(parts),$(call unit_tests_of,$(call folder_of,$(p))) $(call scripts_of,$(p))) \
		$(call scripts_of,ship)

# Unit tests of a folder alone, for .ci/build: no agent, no other program of the host.
.PHONY: $(folders:%=unit-tests-%)
$(foreach f,$(folders),$(eval unit-tests-$(f): $(call unit_tests_of,$(f)); @$(if $(call unit_tests_of,$(f)),BUILD='$(BUILD)' test/tally $(f) $$^)))

# ---- What is shipped ------------------------------------------------------------------
# test/ship: quick ones are part of `make test`; here all, with packages that are built twice
# and fresh Debian systems.  Tens of minutes.

.PHONY: test-packages
test-packages:
	@test/install-deps package ship
	@BUILD='$(BUILD)' NOMAD_TEST_LONG=1 test/tally packages $(call scripts_of,ship)

# ---- In virtual machines ----------------------------------------------------------
# cgroup v2 alone, systemd as PID 1: test/vm.  Minutes, so no part of `make test`.

.PHONY: test-vm test-vm-deps tests-of-vm
test-vm-deps:
	@test/install-deps vm
tests-of-vm: tests-of-lib nomad-driver-nspawn
test-vm: test-vm-deps
	@+$(MAKE) --no-print-directory WERROR=1 tests-of-vm
	@BUILD='$(BUILD)' test/tally vm $(sort $(wildcard test/vm/[0-9]*.sh))

# ---- Measurements ---------------------------------------------------------------

# SOAK_TASKS (1000) at once, SOAK_ROUNDS (10000) one after another, or as many as fit into SOAK_SECONDS (60), SOAK_KILLS (50).
.PHONY: soak
soak: $(test_driver) $(if $(nomad-driver-triton.src),tests-of-triton)
	@BUILD='$(BUILD)' test/tally soak test/soak/[0-9]*.sh; s=$$?; cat '$(BUILD)/soak.txt'; exit $$s

bench: all $(test_driver)
	@BUILD='$(BUILD)' test/bench/all

# ---- Coverage of the library -----------------------------------------------------------
# Lines that its own tests reach: unit tests, and the scripts that run the test driver.  The supervisor program is
# built with flags of its own (it is what is shipped) and not counted; nor is what a killed process did.

COVERAGE_BOUND ?= 85
coverage.scripts := $(wildcard $(addprefix test/lib/,20-*.sh 40-*.sh))
.PHONY: coverage
coverage:
	@test/install-deps lib
	@+$(MAKE) $(parallel) --no-print-directory BUILD='$(BUILD)/cov' COVERAGE=1 CFLAGS='-O0 -g' tests-of-lib
	@find '$(BUILD)/cov' -name '*.gcda' -delete
	@CC='$(CC) --coverage' BUILD='$(BUILD)/cov' test/tally coverage \
		$(patsubst $(BUILD)/%,$(BUILD)/cov/%,$(call unit_tests_of,libnomadplugin)) $(coverage.scripts)
	@test/coverage '$(BUILD)/cov' $(COVERAGE_BOUND) >'$(BUILD)/coverage.txt'; s=$$?; head -n 12 '$(BUILD)/coverage.txt'; \
		echo ...; tail -n 1 '$(BUILD)/coverage.txt'; echo '$(BUILD)/coverage.txt: each file with the lines that nothing reached'; exit $$s

# ---- Mutants: do the tests notice a change? ---------------------------------------------
# test/mutate/mutate says what is changed, and which variables change the run.

mutate_venv := $(BUILD)/mutate/venv
$(mutate_venv)/done: test/mutate/requirements.txt
	python3 -m venv '$(mutate_venv)' && '$(mutate_venv)/bin/pip' install -q --no-deps -r $< && touch $@
.PHONY: mutate mutate-programs
mutate-programs: tests-of-lib $(mutate_venv)/done
mutate:
	@test/install-deps mutate
	@+$(MAKE) $(parallel) --no-print-directory WERROR=1 mutate-programs
	@RUN='^$$' BUILD='$(BUILD)' test/lib/40-conformance.sh >/dev/null || true # builds it, where there is Go
	@'$(mutate_venv)/bin/python' test/mutate/mutate '$(BUILD)'

# ---- Style and structure: what programs can say of them, part of test-lib ----------------
.PHONY: style-of-all
style:
	@test/install-deps style
	@+$(MAKE) $(parallel) --no-print-directory WERROR=1 style-of-all
style-of-all: all $(test_driver)
	@BUILD='$(BUILD)' test/tally style $(sort $(wildcard test/lib/0*.sh))

# ---- The library's unit tests under ThreadSanitizer --------------------------------------
.PHONY: test-tsan tests-of-tsan
tests-of-tsan: $(call unit_tests_of,libnomadplugin)
test-tsan:
	@BUILD='$(BUILD)' NOMAD_TEST_LONG=1 test/tally tsan test/lib/47-tsan.sh

# ---- The supervisor over streams, as on FreeBSD: os/socket.c ------------------------------
.PHONY: tests-of-stream
tests-of-stream: $(filter $(BUILD)/libnomadplugin/supervisor/% $(BUILD)/libnomadplugin/os/socket_test,$(call unit_tests_of,libnomadplugin))

# ---- What editors ask clangd -------------------------------------------------------------
.PHONY: compile_commands.json
json_text = "$(subst ",\",$(subst \,\\,$(1)))"
compile_command = {"directory": $(call json_text,$(CURDIR)), "file": $(call json_text,$(1)), "command": \
	$(call json_text,$(CC) $(cppflags) -I. -Itest/inject -Inomad-driver-triton $(cflags) -c $(1))}
compile_commands.json: $(generated)
	@mkdir -p '$(BUILD)'
	$(file >$(BUILD)/$@,[$(subst } {,}$(comma) {,$(foreach f,$(sort $(all_src) $(super_src) $(nspawn_init_src)),$(call compile_command,$(f))))])
	@echo '$(BUILD)/$@'
