#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Each fuzzer for some seconds, from its corpus.  `make fuzz` runs them long.
. test/lib.sh
requires clang
names=$(for f in test/fuzz/*.c; do [ -e "$f" ] && basename "$f" .c; done)
[ -n "$names" ] || skip_all 'there is no fuzzer in test/fuzz'
echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d && n ? 0 : 0; }' >"$T/x.c"
clang -fsanitize=fuzzer,address -o "$T/x" "$T/x.c" 2>"$T/err" || skip_all \
	"clang has no libFuzzer: $(tail -n 1 "$T/err")"
if ! nice make -s WERROR=1 BUILD="$BUILD" fuzz-build >"$T/build" 2>&1; then
	not_ok 'the fuzzers build' "$(tail -n 40 "$T/build")"
	done_testing
fi
# shellcheck disable=SC2086 # from the seeds alone: all that a long run has found would take as long again
FUZZ_FOUND=$T test/fuzz/run "${FUZZ_SECONDS:-1}" $names
exit
