#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# ThreadSanitizer over the unit tests of the library: no report of our own code. What it cannot see, because it was not
# compiled for it, is left out (test/suppressions/tsan.supp).
. test/lib.sh
requires_linux
[ -n "${NOMAD_TEST_LONG:-}" ] || skip_all 'builds a tree of its own, minutes: make test-tsan'
tsan=$BUILD/tsan
nice "$MAKE" -s --no-print-directory BUILD="$tsan" SANITIZE=thread CFLAGS='-O1 -g' tests-of-tsan >"$T/make" 2>&1 ||
	{ not_ok 'the unit tests build with ThreadSanitizer' "$(tail -n 30 "$T/make")"; done_testing; }

quiet() {
	TSAN_OPTIONS="ignore_noninstrumented_modules=1 suppressions=$PWD/test/suppressions/tsan.supp exitcode=66 log_path=$T/tsan" \
		timeout 600 "$1" >"$T/out" 2>&1
	status=$?
	for report in "$T"/tsan.*; do
		[ ! -e "$report" ] || { head -n 60 "$report"; rm -f "$T"/tsan.*; return 1; }
	done
	[ $status -eq 0 ] || { echo "exit status $status"; tail -n 40 "$T/out"; return 1; }
}
for t in $(find "$tsan/libnomadplugin" -name '*_test' -type f | sort); do
	src=${t#"$tsan"/}
	[ -e "$src.c" ] || continue
	run_test "$src without a report" quiet "$t"
done
done_testing
