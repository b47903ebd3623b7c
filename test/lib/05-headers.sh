#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Each public header compiles alone, in C and in C++, with every warning on.
. test/lib.sh
warnings='-Wall -Wextra -Wundef -Wpedantic -Werror'

# compiles HEADER COMPILER LANGUAGE STANDARD...
compiles() {
	header=$1 compiler=$2 language=$3
	shift 3
	for std in "$@"; do
		# shellcheck disable=SC2086
		printf '#include "nomad/%s"\n#include "nomad/%s"\n' "$header" "$header" | $compiler -x "$language" \
			-std="$std" $warnings -Ilibnomadplugin -fsyntax-only - || { echo "with -std=$std"; return 1; }
	done
}
cxx=${CXX:-c++}
has() { command -v "$1" >/dev/null; }

for header in libnomadplugin/nomad/*.h; do
	name=${header##*/}
	run_test "$name alone in C" compiles "$name" "${CC:-cc}" c gnu11
	if has "$cxx"; then run_test "$name alone in C++" compiles "$name" "$cxx" c++ gnu++17
	else skip "$name alone in C++" "no $cxx on PATH"; fi
done
for c in "${CC:-cc}" clang; do
	if has "${c##* }"; then
		run_test "all by $c, as C99 to C23" compiles plugin.h "$c" c c99 c11 c17 c2x
	else skip "all by $c, as C99 to C23" "no $c on PATH"; fi
done
for c in "$cxx" clang++; do
	if has "${c##* }"; then
		run_test "all by $c, as C++11 to C++20" compiles plugin.h "$c" c++ c++11 c++14 c++17 c++20
	else skip "all by $c, as C++11 to C++20" "no $c on PATH"; fi
done

# A table of options, with every warning on: in C, in C++11 by the form for it, in C++20 by that of C.
tables() {
	cat >"$T/table.$2" <<EOF
#include "nomad/plugin.h"
struct config { char *command; bool boot; };
static const struct nomad_option options[] = { $4 };
static const struct nomad_schema schema = $5;
const struct nomad_schema *use(void);
const struct nomad_schema *use(void) { return &schema; }
EOF
	# shellcheck disable=SC2086
	$1 -std="$3" $warnings -Wno-missing-field-initializers -Ilibnomadplugin -fsyntax-only "$T/table.$2"
}
rows_c='NOMAD_OPTION(struct config, command, STRING, .required = true, .help = "Program."),
	NOMAD_OPTION(struct config, boot, BOOL, .def = "true", .help = "Init.")'
rows_cxx='NOMAD_OPTION_CXX(config, command, STRING, o.required = true; o.help = "Program."),
	NOMAD_OPTION_CXX(config, boot, BOOL, o.def = "true"; o.help = "Init.")'
t_tables() {
	for std in c99 c11 c2x; do
		tables "${CC:-cc}" c $std "$rows_c" 'NOMAD_SCHEMA(struct config, options, .check = NULL)' || return 1
	done
}
t_tables_cxx() {
	for std in c++11 c++17 c++20; do
		tables "$cxx" cc $std "$rows_cxx" 'NOMAD_SCHEMA_CXX(config, options)' || return 1
	done
	tables "$cxx" cc c++20 "$rows_c" 'NOMAD_SCHEMA(struct config, options, .check = NULL)'
}
run_test 'a table of options in C' t_tables
if has "$cxx"; then run_test 'a table of options in C++' t_tables_cxx
else skip 'a table of options in C++' "no $cxx on PATH"; fi

# Private parts stay private: no public header includes another folder's.
foreign() { ! grep -HnE '^ *# *include *"' libnomadplugin/nomad/*.h | grep -v '"nomad/'; }
run_test 'public headers include only public headers' foreign
done_testing
