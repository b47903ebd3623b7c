#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The same with AddressSanitizer and UndefinedBehaviorSanitizer.  What they
# find goes to stderr, where the tests accept log lines only, and ends the
# plugin.
[ -n "${NOMAD_TEST_DIR:-}" ] || {
	asan=${BUILD:-build}/asan
	nice make -s BUILD="$asan" SANITIZE=address,undefined WERROR=1 CFLAGS='-O1 -g' "$asan/test/nomad-driver-test" \
		>"$asan.log" 2>&1 || {
		echo 'not ok 1 - the test driver builds with sanitizers'
		tail -n 30 "$asan.log" | sed 's/^/# /'
		exit 1
	}
	PLUGIN=$asan/test/nomad-driver-test
	SANITIZED=1
	ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99
	UBSAN_OPTIONS=print_stacktrace=1
	LSAN_OPTIONS=report_objects=1:suppressions=$PWD/test/suppressions/lsan.supp:print_suppressions=0
	export PLUGIN SANITIZED ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS
}
. test/lib/40-conformance.sh
