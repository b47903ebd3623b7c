#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# No two files need each other, directly or through others: cycles among the objects of each program, by their symbols.
# A pair that must has its reason in libnomadplugin/ARCHITECTURE.md.
. test/lib.sh
requires nm perl
rules=libnomadplugin/ARCHITECTURE.md

# Objects below a folder whose source is still there; tests and what an image holds left out.
objects() {
	(cd "$1" && find . -name '*.o' ! -name '*_test.o' | sed 's|^\./||') | while IFS= read -r o; do
		[ ! -e "$2/${o%.o}.c" ] || echo "$o"
	done
}
# rings DIR SOURCES [PREFIX]: of the objects below DIR, made of files of the same name below SOURCES.
rings() { objects "$1" "$2" | (cd "$1" && xargs nm -A -g) | sed "s|^|${3:-}|" | perl test/lib/rings.pl "$rules"; }

total=0
# part WHAT DIR SOURCES [PREFIX]
part() {
	_name=$1; shift
	if [ ! -d "$1" ] || [ -z "$(objects "$1" "$2" | head -n 1)" ]; then
		skip "$_name: no dependency cycle" 'not built'
		return 0
	fi
	total=$((total + $(rings "$@" | sed -n 's/ rings$//p')))
	run_test "$_name: no dependency cycle" rings "$@"
}
part 'library' "$BUILD/libnomadplugin" libnomadplugin
part 'supervisor program' "$BUILD/libnomadplugin/supervisor/program/obj" libnomadplugin
for d in nomad-driver-build nomad-driver-nspawn nomad-driver-pot nomad-driver-triton; do part "$d" "$BUILD/$d" $d \
	$d/; done
part 'nspawn-init' "$BUILD/nspawn-init" .
part 'nomadinit' "$BUILD/nomadinit" nomadinit nomadinit/
diag "$total rings"

# The test itself: three files in a ring, and a pair with and without a reason.
t_found() {
	mkdir -p "$T/ring" && cd "$T/ring" || return 1
	echo 'void b(void); void a(void) { b(); }' >a.c
	echo 'void c(void); void b(void) { c(); }' >b.c
	echo 'void a(void); void c(void) { a(); }' >c.c
	echo 'void a(void); void top(void) { a(); }' >top.c
	for f in a b c top; do ${CC:-cc} -c $f.c || return 1; done
	cd "$OLDPWD" || return 1
	! rings "$T/ring" "$T/ring" >"$T/said" && file_has "$T/said" '^ring of 3' && file_has "$T/said" '^1 rings$'
}
t_pair() {
	mkdir -p "$T/pair" && cp "$T/ring/a.c" "$T/ring/a.o" "$T/pair" &&
		echo 'void a(void); void b(void) { a(); }' >"$T/pair/b.c" &&
		(cd "$T/pair" && ${CC:-cc} -c b.c) && ! rings "$T/pair" "$T/pair" >"$T/said" &&
		printf '| `a.c` `b.c` | a reason |\n' >"$T/rules.md" && rules=$T/rules.md && rings "$T/pair" "$T/pair"
}
run_test 'a cycle of three files is found' t_found
run_test 'a cycle of two files requires a reason' t_pair
done_testing
