# SPDX-License-Identifier: MPL-2.0
# The supervisor program: static, small, with flags of its own (no sanitizer:
# it has to be what is shipped), carried inside the library as data.

super := $(BUILD)/$(L)/supervisor/program
super_src := $(wildcard $(addprefix $(L)/,supervisor/program/*.c supervisor/record.c supervisor/crash.c)) \
	$(addprefix $(L)/os/$(OS)/,process.c socket.c cgroup.c enter.c file.c)
super_src := $(filter-out %_test.c,$(super_src))
super_obj := $(patsubst $(L)/%.c,$(super)/obj/%.o,$(super_src))

# Crash points are compiled in, see supervisor/crash.h.
crash_points ?= -DNOMAD_CRASH_POINTS
cppflags += $(crash_points)

super_cflags := -std=gnu11 $(warnings) $(if $(WERROR),-Werror) -Os -g -fno-pie -fno-asynchronous-unwind-tables \
	-fstack-protector-strong -fno-strict-overflow -ffunction-sections -fdata-sections
# Empty where the linker cannot (a cross-compiler that has no libc.a).
SUPER_STATIC ?= -static
STRIP ?= strip
super_ldflags := $(SUPER_STATIC) -no-pie -Wl,--gc-sections -Wl,-z,noexecstack -Wl,-z,norelro

$(super)/obj/%.o: $(L)/%.c
	@mkdir -p $(@D)
	$(call quiet,CC,$@)$(CC) $(cppflags) $(super_cflags) -MMD -MP -c -o $@ $<

$(super)/nomad-supervisor: $(super_obj)
	$(call quiet,LINK,$@)$(CC) $(super_ldflags) -o $@ $^ && $(STRIP) $@

$(super)/blob.o: $(super)/nomad-supervisor
	$(call quiet,GEN,$@)printf '%s\n' '.section .rodata' '.balign 16' '.globl nomad__supervisor_blob' \
		'nomad__supervisor_blob: .incbin "$<"' '.globl nomad__supervisor_blob_end' 'nomad__supervisor_blob_end: .byte 0' \
		'.section .note.GNU-stack,"",%progbits' >$(super)/blob.s && $(CC) -c -o $@ $(super)/blob.s

lib_generated_obj += $(super)/blob.o

-include $(super_obj:.o=.d)

# The table is the program's, its test the library's.
$(BUILD)/$(L)/supervisor/table_test: $(super)/obj/supervisor/program/table.o
