# SPDX-License-Identifier: MPL-2.0
D := nomad-driver-nspawn
$(D).src := $(filter-out %_test.c,$(wildcard $(D)/*.c))
$(D).test := $(wildcard $(D)/*_test.c $(D)/init/*_test.c)
$(D).needs := jansson
$(BUILD)/$(D)/address_test: test_wrap_address = -Wl,--wrap=nomad_hash32
$(BUILD)/$(D)/network_test: test_wrap_network = -Wl,--wrap=nomad_strdupf

# nspawn-init: static, without sanitizers; embedded in the driver by embed.c.
nspawn_init_dir := $(BUILD)/nspawn-init
nspawn_init := $(nspawn_init_dir)/nspawn-init
nspawn_init_src := $(filter-out %_test.c,$(wildcard $(D)/init/*.c)) $(addprefix $(L)/,base/account.c base/write_all.c base/dhcp_options.c base/fields.c base/file.c base/clock.c \
	base/hash.c base/linux/file.c os/socket.c os/linux/socket.c os/linux/terminal.c)
nspawn_init_obj := $(nspawn_init_src:%.c=$(nspawn_init_dir)/%.o)
$(nspawn_init_dir)/%.o: %.c
	@mkdir -p $(@D)
	$(call quiet,CC,$@)$(CC) -std=gnu11 -D_GNU_SOURCE -I$(L) $(warnings) $(if $(WERROR),-Werror) -Os -g \
		-ffunction-sections -fdata-sections $(hardening) $(fortify) -MMD -MP -c -o $@ $<
$(nspawn_init): $(nspawn_init_obj)
	$(call quiet,LINK,$@)$(CC) -static-pie $(filter-out -pie,$(link_hardening)) -Wl,--gc-sections -Wl,--build-id=none -s -o $@ $^
-include $(nspawn_init_obj:.o=.d)
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
