# SPDX-License-Identifier: MPL-2.0
D := nomad-driver-build
$(D).src := $(filter-out %_test.c,$(wildcard $(D)/*.c))
$(D).test := $(wildcard $(D)/*_test.c)
$(D).needs := jansson zlib libcrypto
test_wrap_events := -Wl$(comma)--wrap=nomad_task_event_by_id
