# SPDX-License-Identifier: MPL-2.0
# The supervisor program: static, small, with flags of its own (no sanitizer:
# it has to be what is shipped), carried inside the library as data.

super := $(BUILD)/$(L)/supervisor/program
super_src := $(wildcard $(addprefix $(L)/,supervisor/program/*.c $(addprefix base/,fields.c file.c clock.c hash.c write_all.c) supervisor/crash.c supervisor/identity.c os/socket.c)) \
	$(wildcard $(addprefix $(L)/os/$(OS)/,process.c socket.c cgroup.c devices.c netns.c terminal.c confine_process.c)) $(L)/base/$(OS)/file.c
super_src := $(filter-out %_test.c,$(super_src))
super_obj := $(patsubst $(L)/%.c,$(super)/obj/%.o,$(super_src))

super_cflags := -std=gnu11 $(warnings) $(if $(WERROR),-Werror) -Os -g -fno-asynchronous-unwind-tables \
	-ffunction-sections -fdata-sections $(hardening) $(fortify)
# -pie where the linker has no libc.a (a cross-compiler).
SUPER_STATIC ?= -static-pie
STRIP ?= strip
# Small variables side by side touch fewer pages.
super_ldflags := $(or $(SUPER_STATIC),-pie) -Wl,--gc-sections -Wl,--sort-section=alignment $(filter-out -pie,$(link_hardening)) -Wl,--build-id=none

$(super)/obj/%.o: $(L)/%.c $(L)/supervisor/supervisor.mk
	@mkdir -p $(@D)
	$(call quiet,CC,$@)$(CC) $(cppflags) $(super_cflags) -MMD -MP -c -o $@ $<

# $(1): its folder, of the library or of tests, $(2): its crash.o, $(3): more flags to link with.
define super_rules
$(1)/nomad-supervisor: $(filter-out %/crash.o,$(super_obj)) $(2)
	@mkdir -p $$(@D)
	$$(call quiet,LINK,$$@)$$(CC) $$(super_ldflags) $(3) -o $$@ $$^ && $$(STRIP) $$@

$(1)/blob.o: $(1)/nomad-supervisor
	$$(call quiet,GEN,$$@)printf '%s\n' '.section .rodata' '.balign 16' '.globl nomad__supervisor_blob' \
		'nomad__supervisor_blob: .incbin "$$<"' '.globl nomad__supervisor_blob_end' 'nomad__supervisor_blob_end: .byte 0' \
		'.section .note.GNU-stack,"",%progbits' >$$(@:.o=.s) && $$(CC) -c -o $$@ $$(@:.o=.s)
endef
$(eval $(call super_rules,$(super),$(super)/obj/supervisor/crash.o,))
$(eval $(call super_rules,$(super)/mortal,$(super)/mortal/crash.o,))
$(eval $(call super_rules,$(inject)/super,$(inject)/super.o,$$(inject_super_flags)))

lib_generated_obj += $(super)/blob.o
# The library does not need it, but make would not miss it otherwise.
libnomadplugin: $(super)/nomad-supervisor

# ---- Crash points, see crash.h: what is linked ahead of the library makes them real ----

$(super)/mortal/crash.o: $(L)/supervisor/crash.c $(L)/supervisor/supervisor.mk
	@mkdir -p $(@D)
	$(call quiet,CC,$@)$(CC) $(cppflags) -DNOMAD_CRASH_POINTS $(super_cflags) -MMD -MP -c -o $@ $<
$(BUILD)/$(L)/supervisor/mortal/crash.o: $(L)/supervisor/crash.c
	@mkdir -p $(@D)
	$(call quiet,CC,$@)$(CC) $(cppflags) -DNOMAD_CRASH_POINTS $(cflags) -MMD -MP -c -o $@ $<

mortal_obj := $(BUILD)/$(L)/supervisor/mortal/crash.o $(super)/mortal/blob.o
$(addprefix $(BUILD)/$(L)/supervisor/,client_test end_test exec_test fault_test): $(mortal_obj)
$(BUILD)/$(L)/core/crash_test: $(mortal_obj)

-include $(super_obj:.o=.d) $(super)/mortal/crash.d $(BUILD)/$(L)/supervisor/mortal/crash.d

# The table is the program's, its test the library's.
$(BUILD)/$(L)/supervisor/table_test: $(super)/obj/supervisor/program/table.o
