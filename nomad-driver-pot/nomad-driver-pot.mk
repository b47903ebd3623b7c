# SPDX-License-Identifier: MPL-2.0
D := nomad-driver-pot
$(D).src := $(filter-out %_test.c,$(wildcard $(D)/*.c $(D)/os/$(OS)/*.c))
$(D).test := $(wildcard $(D)/*_test.c)
$(D).needs :=

# pot-run: static, without sanitizers; embedded in the driver by run.c.
pot_run_dir := $(BUILD)/pot-run
pot_run := $(pot_run_dir)/pot-run
pot_run_obj := $(patsubst %.c,$(pot_run_dir)/%.o,$(D)/run/run.c $(L)/base/account.c)
$(pot_run_dir)/%.o: %.c
	@mkdir -p $(@D)
	$(call quiet,CC,$@)$(CC) -std=gnu11 -D_GNU_SOURCE -I$(L) $(warnings) $(if $(WERROR),-Werror) -Os -g \
		-ffunction-sections -fdata-sections $(hardening) $(fortify) -MMD -MP -c -o $@ $<
$(pot_run): $(pot_run_obj)
	$(call quiet,LINK,$@)$(CC) $(or $(SUPER_STATIC),-pie) $(filter-out -pie,$(link_hardening)) -Wl,--gc-sections -Wl,--build-id=none -s -o $@ $^
-include $(pot_run_obj:.o=.d)
$(BUILD)/$(D)/run.o: file_flags := -DPOT_RUN_FILE='"$(pot_run)"'
$(BUILD)/$(D)/run.o: $(pot_run)

# On FreeBSD, as root, see there.
.PHONY: freebsd-report
freebsd-report:
	@BUILD='$(BUILD)' MAKE='$(MAKE)' test/freebsd/report

# Cross-compiled on Linux, see there.
.PHONY: check-freebsd
check-freebsd:
	@for v in 13.0 14.0 15.0; do BUILD='$(BUILD)' FREEBSD_VERSION=$$v test/freebsd/check-freebsd || \
		{ s=$$?; [ $$s -eq 77 ] || exit $$s; }; done
