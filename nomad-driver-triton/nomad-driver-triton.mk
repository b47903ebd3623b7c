# SPDX-License-Identifier: MPL-2.0
D := nomad-driver-triton
$(D).src := $(filter-out %_test.c,$(wildcard $(D)/*.c))
$(D).test := $(wildcard $(D)/*_test.c)
$(D).needs := libcurl jansson libssl libcrypto

# Its fuzzers link what they feed.
triton_fuzz := $(patsubst test/fuzz/%.c,$(BUILD)/test/fuzz/%,$(wildcard test/fuzz/triton_*.c))
triton_fuzz.obj := $(patsubst %.c,$(BUILD)/%.o,$(filter-out %/main.c %/driver.c %/dockexec.c,$($(D).src)))
$(triton_fuzz): $(triton_fuzz.obj)
$(triton_fuzz): private lib.libs += $(triton_fuzz.obj) $(lib) $(grpc.libs) $(call libs_of,nomad-driver-triton) -lpthread
$(triton_fuzz:%=%.o): private file_flags := -Inomad-driver-triton
