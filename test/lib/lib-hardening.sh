# shellcheck shell=sh
# SPDX-License-Identifier: MPL-2.0
# What the linker and the compiler did for an executable, by readelf. Each prints what is missing.

h_pie() {
	readelf -hW "$1" | grep -q 'Type: *DYN' && readelf -dW "$1" | grep -q 'FLAGS_1.*PIE' ||
		{ readelf -hW "$1" | grep Type:; return 1; }
}
h_relro() {
	readelf -lW "$1" | grep -q GNU_RELRO && readelf -dW "$1" | grep -qE 'BIND_NOW|FLAGS_1.*NOW' ||
		{ readelf -lW "$1" | grep GNU_RELRO; readelf -dW "$1" | grep FLAGS; return 1; }
}
h_stack() {
	readelf -lW "$1" | awk '$1 == "GNU_STACK" { found = 1; print; bad = /RWE/ } END { exit !found || bad }'
}
h_segments() { ! readelf -lW "$1" | grep -E '^ *LOAD.* RWE '; }
h_paths() { ! readelf -dW "$1" | grep -E '\((RPATH|RUNPATH|TEXTREL)\)'; }
