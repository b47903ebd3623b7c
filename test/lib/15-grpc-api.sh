#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The wire compiles against the C API of a current gRPC release, not only
# against the distribution's: headers of PyPI's grpcio source package.
. test/lib.sh
cc=${CC:-cc}
requires pip tar "$cc"
[ -e "$BUILD/libnomadplugin/wire/driver.pb-c.h" ] || skip_all "$BUILD/libnomadplugin is not built"

# pip cannot just fetch a source package: it also prepares metadata,
# which takes minutes or fails.  The package is all we want, so take its
# headers as soon as it is unpacked.
mkdir "$T/pip"
TMPDIR=$T/pip timeout 60 pip download -q --no-deps --no-binary :all: --no-build-isolation -d "$T" grpcio >"$T/log" \
	2>&1 &
pip=$!
headers=
files=
while :; do
	for h in "$T"/pip/*/*/include/grpc/grpc.h; do
		# Complete when the next folder is there and the number of headers stays for half a second.
		[ -e "$h" ] && [ -d "${h%/include/grpc/grpc.h}/src/python" ] || continue
		n=$(find "${h%/grpc.h}" -type f | wc -l)
		[ "$n" != "$files" ] || headers=${h%/grpc/grpc.h}
		files=$n
	done
	[ -z "$headers" ] || break
	kill -0 $pip 2>/dev/null || break
	sleep 0.5
done
[ -n "$headers" ] && cp -r "$headers" "$T/include"
kill $pip 2>/dev/null
wait $pip 2>/dev/null
[ -e "$T/include/grpc/grpc.h" ] || skip_all "no grpcio source package from PyPI: $(tail -n 1 "$T/log")"
diag "of grpcio, $(ls "$T/include/grpc" | wc -l) files"

compiles() {
	# -nostdinc would be stricter; -isystem order is enough: ours comes first.
	"$cc" -std=gnu11 -fsyntax-only -Wall -Werror -D_GNU_SOURCE -DNOMAD_VERSION='"0"' -I"$T/include" \
		-Ilibnomadplugin \
		-I"$BUILD/libnomadplugin" "$1"
}
for file in libnomadplugin/wire/*.c; do
	case $file in *_test.c) continue ;; esac
	run_test "$(basename "$file")" compiles "$file"
done
done_testing
