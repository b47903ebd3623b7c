# SPDX-License-Identifier: MPL-2.0
# Manuals: pages in $(BUILD)/man, and the same as HTML in $(BUILD)/html.
#
#   (8) a driver: driver-pod, its own .pod, its executable's tables     (5) its job options, the same way
#   (3) the library: header-pod of each public header                   (8) nomadinit: its .pod and its options
#   (7) how to write a driver, (1) how to check one: their .pod

man := $(BUILD)/man
man.drivers := $(foreach d,$(filter $(drivers),$(buildable)),$(if $(wildcard $(d)/$(d).pod),$(d)))
man.headers := $(patsubst $(L)/nomad/%.h,%,$(wildcard $(L)/nomad/*.h))
man.lib := $(man.headers:%=nomad_%.3)
man.guides := nomadplugin.7 nomad-plugin-test.1
man.pages := $(man.drivers:=.8) $(man.drivers:=.5) $(man.lib) $(man.guides) $(if $(filter nomadinit,$(buildable)),nomadinit.8)

define driver_pages
$$(man)/$(1).$(2).pod: $(1)/$(1).pod libnomadplugin/man/driver-pod $$(BUILD)/plugins/$(1)
	@mkdir -p $$(@D)
	$$(call quiet,GEN,$$@)libnomadplugin/man/driver-pod $(2) $$(BUILD)/plugins/$(1) $(1)/$(1).pod >$$@
endef
$(foreach d,$(man.drivers),$(foreach s,5 8,$(eval $(call driver_pages,$(d),$(s)))))

$(man)/nomad_%.3.pod: $(L)/nomad/%.h $(L)/man/header-pod
	@mkdir -p $(@D)
	$(call quiet,GEN,$@)$(L)/man/header-pod $< >$@
define guide_pages
$$(man)/%.$(1).pod: $(L)/man/%.pod
	@mkdir -p $$(@D)
	$$(call quiet,GEN,$$@)cp $$< $$@
endef
$(foreach s,1 7,$(eval $(call guide_pages,$(s))))
# Its options come from the program, where the POD says "=for options".
$(man)/nomadinit.8.pod: nomadinit/nomadinit.pod $(nomadinit.program)
	@mkdir -p $(@D)
	$(call quiet,GEN,$@)$(nomadinit.program) options | awk -v pod=$< 'BEGIN { while ((getline line <pod) > 0) { \
		if (line !~ /^=for options/) { print line; continue } print "=over 4"; while ((getline o) > 0) { \
		gsub(/</, "E<lt>", o); if (o ~ /^[^ ]/) { sub(/: /, "> (", o); printf "\n=item B<%s)\n\n", o } \
		else { sub(/^ +/, "", o); print o } } print "\n=back" } }' >$@

# The date of a page is that of the release.  An empty block, which pod2man leaves behind a list in a list, is taken out.
man.date := $(shell perl -ne 'if (/^ -- .*  \w+, (\d+) (\w+) (\d+)/) { \
	printf "%d-%02d-%02d", $$3, 1 + index("JanFebMarAprMayJunJulAugSepOctNovDec", $$2) / 3, $$1; exit }' .packaging/debian/changelog)
define section_rule
$$(man)/%.$(1): $$(man)/%.$(1).pod
	$$(call quiet,MAN,$$@)$$(POD2MAN) --utf8 --section=$(1) --center='Nomad task drivers' --release='$$(VERSION)' \
		--date='$$(man.date)' --name=$$* $$< $$@ && perl -0pi -e 's/^\.RS 4\n\.RE\n//mg' $$@
endef
$(foreach s,1 3 5 7 8,$(eval $(call section_rule,$(s))))

.PHONY: html
man: $(man.pages:%=$(man)/%)
html: $(man.pages:%=$(man)/%.pod)
	$(call quiet,HTML,$(BUILD)/html)$(L)/man/pods-html $(BUILD)/html $^

# ---- Install: a page for each function leads to its header's ----------------------

define install_driver_man
.PHONY: install-man-$(1)
install-$(1): install-man-$(1)
install-man-$(1): $$(man)/$(1).8 $$(man)/$(1).5
	install -d '$$(DESTDIR)$$(PREFIX)/share/man/man8' '$$(DESTDIR)$$(PREFIX)/share/man/man5'
	install -m 644 $$(man)/$(1).8 '$$(DESTDIR)$$(PREFIX)/share/man/man8/$(1).8'
	install -m 644 $$(man)/$(1).5 '$$(DESTDIR)$$(PREFIX)/share/man/man5/$(1).5'
endef
$(foreach d,$(man.drivers),$(eval $(call install_driver_man,$(d))))

.PHONY: install-man-lib install-man-nomadinit
install-libnomadplugin: install-man-lib
install-man-lib: $(man.lib:%=$(man)/%) $(man.guides:%=$(man)/%)
	@for page in $^; do s=$${page##*.}; install -d '$(DESTDIR)$(PREFIX)/share/man/man'$$s && \
		install -m 644 $$page '$(DESTDIR)$(PREFIX)/share/man/man'$$s/ || exit 1; done
	@for h in $(man.headers); do for f in $$($(L)/man/header-pod --functions $(L)/nomad/$$h.h); do \
		[ "$$f" = "nomad_$$h" ] || echo ".so man3/nomad_$$h.3" >'$(DESTDIR)$(PREFIX)/share/man/man3/'$$f.3; done; done
install-nomadinit: install-man-nomadinit
install-man-nomadinit: $(man)/nomadinit.8
	install -d '$(DESTDIR)$(PREFIX)/share/man/man8'
	install -m 644 $< '$(DESTDIR)$(PREFIX)/share/man/man8/nomadinit.8'
