#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The supervisor's unit tests with its messages over SOCK_STREAM, as on FreeBSD, instead of SOCK_SEQPACKET.
. test/lib.sh
requires_linux
requires_root
stream=$BUILD/stream
nice "$MAKE" -s --no-print-directory BUILD="$stream" CPPFLAGS=-DNOMAD__UNIX_STREAM tests-of-stream >"$T/make" 2>&1 ||
	{ not_ok 'the unit tests build with streams' "$(tail -n 30 "$T/make")"; done_testing; }

passes() { timeout 600 "$1" >"$T/out" 2>&1 || { tail -n 40 "$T/out"; return 1; }; }
for t in "$stream"/libnomadplugin/supervisor/*_test "$stream/libnomadplugin/os/socket_test"; do
	run_test "${t#"$stream"/} over streams" passes "$t"
done
done_testing
