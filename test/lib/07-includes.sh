#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Who may include whom (libnomadplugin/ARCHITECTURE.md), read from what the
# compiler noted in the .d files:
#	a driver: its own folder and nomad/*.h
#	gRPC's and protobuf's headers: libnomadplugin/wire/ only
#	the supervisor's program and nomadinit: neither those nor threads
. test/lib.sh

# Lines "object header", headers of the system with their full name.
find "$BUILD" -path "$BUILD/asan" -prune -o -path "$BUILD/tsan" -prune -o -path "$BUILD/clang" -prune -o -path "$BUILD/cov" -prune \
	-o -path "$BUILD/fuzz" -prune -o -path "$BUILD/freebsd" -prune -o -name '*.d' -print 2>/dev/null | while IFS= read -r d; do
	sed 's/\\$//' "$d" | tr ' ' '\n' | grep '\.h$' | sed "s|^|${d#"$BUILD"/} |"
done >"$T/includes"
[ -s "$T/includes" ] || skip_all "nothing is built in $BUILD"
# Prints what matches, fails if anything does.
none() { ! grep -E "$1" "$T/includes" | { if [ -n "${2:-}" ]; then grep -vE "$2"; else cat; fi; } | sort -u | grep .; }

# A driver's unit tests may feed its tables to the decoder.
for driver in nomad-driver-build nomad-driver-nspawn nomad-driver-pot nomad-driver-triton; do
	grep -q "^$driver/" "$T/includes" || { skip "$driver includes its own and nomad/*.h only" 'not built'; continue; }
	run_test "$driver includes its own and nomad/*.h only" none \
		"^$driver/[^ ]* [^/]" "^$driver/[^ ]* (libnomadplugin/nomad/|$driver/|[a-z0-9_-]+\.h\$)|^$driver/[^ ]*_test\.d libnomadplugin/schema/schema\.h"
	run_test "$driver includes neither gRPC nor protobuf" none "^$driver/.*/(grpc|protobuf-c|msgpack)"
done
run_test 'test/driver includes its own and nomad/*.h only' none \
	'^test/driver/[^ ]* [^/]' '^test/driver/[^ ]* (libnomadplugin/nomad/|test/driver/|[a-z0-9_-]+\.h$)'
run_test 'gRPC and protobuf appear in wire/ only' none \
	'(/grpc/|/grpc[a-z_]*\.h|protobuf-c|\.pb-c\.h)' '^libnomadplugin/wire/'
run_test 'core and schema know nothing of the wire' none '^libnomadplugin/(core|schema|supervisor|os)/[^ ]* libnomadplugin/(wire|cli)/'
run_test 'nomadinit has no threads and none of the library' none '^nomadinit/[^ ]* (/.*pthread|libnomadplugin/)' 'pthreadtypes|bits/'

# The supervisor's program, wherever its fragment builds it.
program=$(find "$BUILD/libnomadplugin/supervisor" -type f -perm -u+x ! -name '*_test' ! -name '*.*' 2>/dev/null | head -n 1)
if [ -n "$program" ] && command -v nm >/dev/null; then
	no_threads() { ! nm "$program" 2>/dev/null | grep -E ' [TU] (pthread_create|grpc_|protobuf_c_)'; }
	run_test 'the supervisor program has neither threads nor gRPC' no_threads
else
	skip 'the supervisor program has neither threads nor gRPC' 'not built'
fi
done_testing
