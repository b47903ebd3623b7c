# SPDX-License-Identifier: MPL-2.0
D := nomad-driver-build
$(D).src := $(filter-out %_test.c,$(wildcard $(D)/*.c))
$(D).test := $(wildcard $(D)/*_test.c)
$(D).needs := jansson
