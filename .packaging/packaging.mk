# SPDX-License-Identifier: MPL-2.0
# Packages, into $(BUILD)/dist.  The folder is called .packaging because the
# top of the tree is the parts of the project and nothing else.
#
#   make dist     the source, a bill of materials (SPDX), checksums of all that is there
#   make deb      one .deb for each driver, the library and nomadinit;  DEB="nomad-driver-nspawn" just these
#   make rpm      the same as .rpm
#   make freebsd-port   the port of the pot driver with its distinfo; PORT_SITE, PORT_WWW and PORT_MAINTAINER
#
# All is repeatable: the same source gives the same bytes.  Times are that of
# the last entry of .packaging/debian/changelog, or SOURCE_DATE_EPOCH.

DIST ?= $(BUILD)/dist
DEB ?=

.PHONY: dist deb rpm sbom checksums freebsd-port
dist:
	@BUILD='$(BUILD)' VERSION='$(VERSION)' .packaging/source '$(DIST)'
	@BUILD='$(BUILD)' VERSION='$(VERSION)' .packaging/sbom '$(DIST)' >'$(DIST)/nomad-drivers-c-$(VERSION).spdx.json'
	@cd '$(DIST)' && rm -f SHA256SUMS && sha256sum -- * >.sums && mv .sums SHA256SUMS
	@ls -l '$(DIST)'
deb:
	@test/install-deps package
	@BUILD='$(BUILD)' VERSION='$(VERSION)' .packaging/deb '$(DIST)' $(DEB)
freebsd-port:
	@BUILD='$(BUILD)' VERSION='$(VERSION)' PORT_SITE='$(PORT_SITE)' PORT_WWW='$(PORT_WWW)' \
		PORT_MAINTAINER='$(PORT_MAINTAINER)' .packaging/freebsd-port '$(DIST)'
rpm:
	@test/install-deps package
	@BUILD='$(BUILD)' VERSION='$(VERSION)' .packaging/rpm/build '$(DIST)'

include .packaging/static/static.mk
