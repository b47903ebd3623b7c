#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Names: the installed archive defines nomad_ for drivers and nothing else that a driver's own names could
# clash with. Between the library's files they begin with nomad__, or pb__ in generated messages.
. test/lib.sh
requires nm
archive=$BUILD/libnomadplugin/libnomadplugin.a
objects=$BUILD/libnomadplugin/private.a
[ -e "$archive" ] || skip_all "$archive is not built"

# names ARCHIVE PATTERN: prints the exported names that do not match the pattern and are not from sanitizers.
names() {
	nm -g --defined-only "$1" | awk -v want="$2" '
		NF == 3 { n++ }
		NF == 3 && $3 !~ want && $3 !~ /^_*(asan|odr_asan|ubsan|start|stop|llvm|gcov)/ { print $3; bad = 1 }
		END { exit bad || n < 20 }'
}
run_test 'the installed archive exports only nomad_' names "$archive" '^nomad_[^_]'
if [ -e "$objects" ]; then
	run_test 'its objects share only nomad_, nomad__ and pb__' names "$objects" '^(nomad_|pb__)'
else
	skip 'its objects share only nomad_, nomad__ and pb__' "$objects is not built"
fi

# What a public header declares is there.
declared() {
	cat libnomadplugin/nomad/*.h | cpp -P -Ilibnomadplugin -fpreprocessed -dD 2>/dev/null |
		tr '\n' ' ' | grep -oE '\bnomad_[a-z0-9_]+ *\([^()]*(\([^()]*\))*[^()]*\)[^;{]*;' |
		sed 's/ *(.*//' | sort -u >"$T/declared"
	nm --defined-only --extern-only "$archive" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u >"$T/defined"
	[ "$(wc -l <"$T/declared")" -gt 20 ] || { echo 'too few declarations found'; return 1; }
	missing=$(comm -23 "$T/declared" "$T/defined")
	[ -z "$missing" ] || { echo "declared but not defined: $missing"; return 1; }
}
run_test 'every public function is defined' declared

# A driver links with no more of its own than main(): no constructor runs before.
constructors() {
	! readelf -SW "$archive" 2>/dev/null | grep -E '\.(init_array|ctors)' | grep -vE 'asan|gcov' | grep .
}
if command -v readelf >/dev/null && ! nm "$archive" 2>/dev/null | grep -qE '__asan_init|__gcov'; then
	run_test 'nothing runs before main' constructors
fi
done_testing
