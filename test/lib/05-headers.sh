#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Each public header compiles alone, in C and in C++, with every warning on.
. test/lib.sh
warnings='-Wall -Wextra -Wundef -Wpedantic -Werror'

compiles() {
	# shellcheck disable=SC2086
	printf '#include "nomad/%s"\n#include "nomad/%s"\n' "$1" "$1" |
		$2 -x "$3" -std="$4" $warnings -Ilibnomadplugin -fsyntax-only -
}

for header in libnomadplugin/nomad/*.h; do
	name=${header##*/}
	run_test "$name alone in C" compiles "$name" "${CC:-cc}" c gnu11
	if command -v "${CXX:-c++}" >/dev/null; then
		run_test "$name alone in C++" compiles "$name" "${CXX:-c++}" c++ gnu++17
	else
		skip "$name alone in C++" "no ${CXX:-c++} on PATH"
	fi
done

# Private parts stay private: no public header includes another folder's.
foreign() { ! grep -HnE '^ *# *include *"' libnomadplugin/nomad/*.h | grep -v '"nomad/'; }
run_test 'public headers include public headers only' foreign
done_testing
