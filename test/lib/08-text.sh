#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# What holds for every file: licence, no stray white space, shell scripts without faults.
. test/lib.sh
requires git
files() { git ls-files -co --exclude-standard -- "$@"; }
sources() { files '*.c' '*.h' '*.mk' '*.sh' '*.go' '*.proto' Makefile; }

t_licence() {
	for f in $(sources); do
		head -n 5 "$f" | grep -q 'SPDX-License-Identifier: MPL-2.0' || { echo "$f"; bad=1; }
	done
	[ -z "${bad:-}" ]
}
t_space() { ! sources | xargs grep -nE '[ 	]+$' | head -n 20 | grep .; }
t_shellcheck() {
	command -v shellcheck >/dev/null || { skip_this 'no shellcheck'; return 0; }
	files '*.sh' | xargs shellcheck -S error -s sh
}

run_test 'every source names its licence' t_licence
run_test 'no white space at the end of lines' t_space
run_test 'shellcheck finds no fault' t_shellcheck
done_testing
