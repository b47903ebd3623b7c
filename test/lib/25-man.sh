#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Manuals: every driver has one that is whole, and options stand in it.
. test/lib.sh
requires podchecker pod2man jq

t_manual() {
	name=$1
	make --no-print-directory BUILD="$BUILD" "$BUILD/man/$name.8" >"$T/make" 2>&1 || { cat "$T/make"; return 1; }
	pod=$BUILD/man/$name.pod
	podchecker -warnings "$pod" >"$T/check" 2>&1 || { cat "$T/check"; return 1; }
	for section in NAME SYNOPSIS DESCRIPTION 'PLUGIN OPTIONS' 'TASK OPTIONS' EXAMPLES LIMITATIONS COMMANDS FILES 'SEE ALSO'; do
		file_has "$pod" "^=head1 $section\$" || return 1
	done
	for option in $("$BUILD/plugins/$name" schema --json --task | jq -r '.properties | keys[]') state_dir log_collection; do
		file_has "$pod" "=item .*$option" || return 1
	done
}

for exe in "$BUILD"/plugins/nomad-driver-*; do
	[ -x "$exe" ] || skip_all 'no driver is built'
	name=$(basename "$exe")
	run_test "$name has a whole manual" t_manual "$name"
done
done_testing
