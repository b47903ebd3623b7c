# SPDX-License-Identifier: MPL-2.0
D := nomad-driver-pot
$(D).src := $(filter-out %_test.c,$(wildcard $(D)/*.c $(D)/os/$(OS)/*.c))
$(D).test := $(wildcard $(D)/*_test.c)
$(D).needs :=

# Cross-compiled on Linux, see there.
.PHONY: check-freebsd
check-freebsd:
	@BUILD='$(BUILD)' test/freebsd/check-freebsd || { s=$$?; [ $$s -eq 77 ] || exit $$s; }
