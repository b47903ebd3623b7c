# SPDX-License-Identifier: MPL-2.0
# nomad-plugin-test, the judge of drivers: an agent's side of the wire, over the library's own parts.

plugin_test := $(BUILD)/$(L)/plugin-test/nomad-plugin-test
plugin_test.src := $(wildcard $(L)/plugin-test/*.c)
extra_src += $(plugin_test.src)
plugin_test.obj := $(plugin_test.src:%.c=$(BUILD)/%.o)
$(plugin_test.obj): | $(generated)
$(plugin_test): $(plugin_test.obj) $(lib) $(lib_link_deps)
	$(call quiet,LINK,$@)$(CC) $(cflags) $(ldflags) -o $@ $(plugin_test.obj) $(lib) $(lib.libs)

libnomadplugin: $(plugin_test)
.PHONY: install-plugin-test
install-libnomadplugin: install-plugin-test
install-plugin-test: $(plugin_test)
	install -d '$(DESTDIR)$(PREFIX)/bin'
	install -m 755 $(plugin_test) '$(DESTDIR)$(PREFIX)/bin/nomad-plugin-test'
