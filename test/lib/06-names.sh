#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Names of the archive: nomad_ for drivers, nomad__ between its own files,
# pb__ of the generated messages.  Nothing else may clash with a driver's names.
. test/lib.sh
requires nm
archive=$BUILD/libnomadplugin/libnomadplugin.a
[ -e "$archive" ] || skip_all "$archive is not built"

names() {
	nm -A --defined-only --extern-only "$archive" 2>/dev/null |
		awk '$(NF-1) ~ /^[A-TX-Z]$/ && $NF !~ /^(nomad_|_*(asan|odr_asan|ubsan|start|stop|llvm|gcov))/ {
			generated = $1 ~ /\.pb-c\.o:/
			if (!(generated && $NF ~ /^pb__/)) { print $1, $NF; bad = 1 } }
			END { exit bad }'
}
run_test 'the archive defines nomad_, nomad__ and pb__ names only' names

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
