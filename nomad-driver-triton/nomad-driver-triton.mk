# SPDX-License-Identifier: MPL-2.0
D := nomad-driver-triton
$(D).src := $(filter-out %_test.c,$(wildcard $(D)/*.c))
$(D).test := $(wildcard $(D)/*_test.c)
$(D).needs := libcurl jansson libssl libcrypto
