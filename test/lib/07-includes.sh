#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Every include of our own files is one that the table in libnomadplugin/ARCHITECTURE.md allows.
. test/lib.sh
requires perl
rules=libnomadplugin/ARCHITECTURE.md

# check TREE BUILD: the .d files name each object's source and headers, those of the system excepted;
# libraries' headers are looked for in the sources.
check() {
	find "$2" \( -path "$2/?*/libnomadplugin" -o -path "$2/cache" -o -path "$2/image*" \) -prune -o -name '*.d' \
		-print |
		perl test/lib/includes.pl "$rules" "$1" "$2"
}
[ -n "$(find "$BUILD" -maxdepth 4 -name '*.d' 2>/dev/null | head -n 1)" ] || skip_all "nothing is built in $BUILD"

# A tree of one file, which a compiler has seen with one more include.
t_forbidden() {
	mkdir -p "$T/tree/libnomadplugin/${1%/*}" "$T/built" &&
		{ echo "#include $2"; cat "libnomadplugin/$1"; } >"$T/tree/libnomadplugin/$1" || return 1
	for d in libnomadplugin/*/; do
		d=${d#libnomadplugin/}
		[ -d "$T/tree/libnomadplugin/${d%/}" ] || ln -s "$PWD/libnomadplugin/${d%/}" \
			"$T/tree/libnomadplugin/${d%/}"
	done
	cp libnomadplugin/"${1%/*}"/*.h "$T/tree/libnomadplugin/${1%/*}/"
	(cd "$T/tree" && ${CC:-cc} -MM -MT x.o -MF "$T/built/x.d" -D_GNU_SOURCE -DNOMAD_VERSION='"0"' \
		-Ilibnomadplugin "libnomadplugin/$1") || return 1
	check "$T/tree" "$T/built" >"$T/said" && { echo "allowed: $1 with $2"; return 1; }
	name=${2#?}
	file_has "$T/said" "libnomadplugin/$1: ${name%?}" || { cat "$T/said"; return 1; }
	rm -rf "$T/tree" "$T/built"
}
run_test 'ARCHITECTURE.md allows every include' check . "$BUILD"
run_test 'a forbidden include of a folder is found' t_forbidden schema/text.c '"core/core.h"'
run_test 'a forbidden indirect include is found' t_forbidden base/hash.c '"supervisor/client.h"'
run_test 'a forbidden library is found' t_forbidden schema/number.c '<pthread.h>'

# What the supervisor program is linked with is libc.
program=$BUILD/libnomadplugin/supervisor/program/nomad-supervisor
no_threads() {
	! find "${program%/*}/obj" -name '*.o' -exec nm -u {} + | grep -E ' (pthread_|grpc_|protobuf_c_|msgpack_|json_)'
}
if [ -e "$program" ]; then run_test 'the supervisor program uses neither threads nor gRPC' no_threads
else skip 'the supervisor program uses neither threads nor gRPC' 'not built'; fi
done_testing
