# SPDX-License-Identifier: MPL-2.0
D := nomad-driver-triton
$(D).src := $(filter-out %_test.c,$(wildcard $(D)/*.c))
$(D).test := $(wildcard $(D)/*_test.c)
$(D).needs := libcurl jansson libssl libcrypto

# The driver without an agent, step by step, with the crash points of supervisor/crash.h: test/triton/steps.c.
triton_steps := $(BUILD)/test/triton-steps
extra_src += test/triton/steps.c
$(BUILD)/test/triton/steps.o: | $(generated)
$(BUILD)/test/triton/steps.o: private file_flags := -I.
$(triton_steps): $(BUILD)/test/triton/steps.o $(filter-out %/main.o,$(patsubst %.c,$(BUILD)/%.o,$($(D).src))) $(mortal_obj) $(lib) $(lib_link_deps)
	@mkdir -p $(@D)
	$(call quiet,LINK,$@)$(CC) $(cflags) $(ldflags) -o $@ $(filter %.o,$^) $(lib) $(call libs_of,nomad-driver-triton) $(lib.libs)
tests-of-triton: $(triton_steps)
