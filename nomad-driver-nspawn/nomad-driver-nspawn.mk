# SPDX-License-Identifier: MPL-2.0
D := nomad-driver-nspawn
$(D).src := $(filter-out %_test.c,$(wildcard $(D)/*.c))
$(D).test := $(wildcard $(D)/*_test.c $(D)/init/*_test.c)
$(D).needs := jansson

# nspawn-init: static, without the sanitizers and hardening of programs that
# talk to strangers; embedded in the driver by init.c.
nspawn_init := $(BUILD)/$(D)/init/nspawn-init
nspawn_init_src := $(sort $(filter-out %_test.c,$(wildcard $(D)/init/*.c)))
$(nspawn_init): $(nspawn_init_src) $(wildcard $(D)/init/*.h)
	@mkdir -p $(@D)
	$(call quiet,LINK,$@)$(CC) -std=gnu11 -D_GNU_SOURCE $(warnings) $(if $(WERROR),-Werror) -Os -static \
		-ffunction-sections -fdata-sections -Wl,--gc-sections -Wl,-z,noexecstack -Wl,--build-id=none -s -o $@ $(nspawn_init_src)
$(BUILD)/$(D)/embed.o: file_flags := -DNSPAWN_INIT_FILE='"$(nspawn_init)"'
$(BUILD)/$(D)/embed.o: $(nspawn_init)

.PHONY: run-demo
demo:
	@echo '==> Packages that building and running takes'
	@test/install-deps demo
	@echo '==> The driver'
	@+$(MAKE) --no-print-directory run-demo
run-demo: nomad-driver-nspawn
	@BUILD='$(BUILD)' examples/nspawn/demo.sh
