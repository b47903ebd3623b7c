#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Examples and packaging are true.
. test/lib.sh

plist=nomad-driver-pot/freebsd/pkg-plist
t_plist() {
	make --no-print-directory BUILD="$BUILD" DESTDIR="$T/root" PREFIX=/usr/local plugindir=/usr/local/libexec/nomad/plugins \
		pkgconfigdir=/usr/local/libdata/pkgconfig install-libnomadplugin install-nomad-driver-pot >"$T/make" 2>&1 ||
		{ tail -n 20 "$T/make"; return 1; }
	(cd "$T/root/usr/local" && find . -type f | sed 's|^\./||; s|^\(share/man/.*\)|\1.gz|' | sort) >"$T/found"
	sort "$plist" | diff - "$T/found"
}
run_test 'the package list of the port is what is installed' t_plist

t_freebsd_paths() {
	make --no-print-directory -n BUILD="$T/none" OS=freebsd PREFIX=/usr/local DESTDIR=/stage install-nomad-driver-pot install-libnomadplugin \
		>"$T/make" 2>/dev/null
	file_has "$T/make" "/stage/usr/local/libexec/nomad/plugins/nomad-driver-pot" &&
		file_has "$T/make" "/stage/usr/local/libdata/pkgconfig/nomadplugin.pc"
}
run_test 'on FreeBSD things go where its packages put them' t_freebsd_paths

t_version() { is "$(sed -n 's/^DISTVERSION=[[:space:]]*//p' nomad-driver-pot/freebsd/Makefile)" "$(sed -n 's/^VERSION := //p' Makefile)"; }
run_test 'the port has the version of the source' t_version

require_nomad
for job in examples/pot/*.nomad.hcl; do
	t_example() {
		"$NOMAD" job run -output "$job" >"$T/job.json" 2>"$T/err" || { cat "$T/err"; return 1; }
		"$BUILD/plugins/nomad-driver-pot" validate "$T/job.json"
	}
	run_test "example ${job##*/} is valid" t_example
done
done_testing
