#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Each part from a clean clone in a fresh Debian that has its packages and no
# others: .ci/PART.  Minutes for each: make test-packages; PARTS="nomadinit" these alone, with CC=clang,
# SANITIZE=address,undefined, SUITE=trixie.  PARTS=freebsd is the cross-compilation, whose compiler comes from PyPI.
. test/lib.sh
. test/ship/lib-ship.sh
[ -n "${NOMAD_TEST_LONG:-}" ] || skip_all 'takes minutes: make test-packages, or NOMAD_TEST_LONG=1'
requires_debootstrap; requires git
isolate --with-network "$@"
: "${PARTS:=nomadinit libnomadplugin nomad-driver-nspawn nomad-driver-build nomad-driver-triton nomad-driver-pot}"
: "${SUITE:=bookworm}"
: "${CC:=gcc}"
: "${SANITIZE:=}"

t_alone() {
	fresh_root "$1" "$SUITE" && git -c safe.directory='*' clone -q --no-hardlinks "$PWD" "$ROOT/src" &&
		enter_root ||
		return 1
	inside "cd /src && CC=$CC SANITIZE=$SANITIZE .ci/$1" >"$T/log" 2>&1 || { tail -n 40 "$T/log"; return 1; }
	tail -n 5 "$T/log"
	# That tests were run, and nothing for another part has come along.
	[ "$1" = freebsd ] || file_has "$T/log" '^[1-9][0-9]* passed, 0 failed' || return 1
	case $1 in nomad-driver-triton) ;; *) ! inside 'dpkg -s libcurl4-openssl-dev' >/dev/null 2>&1 ||
		{ echo 'libcurl was installed'; return 1; } ;; esac
	case $1 in nomadinit) ! inside 'dpkg -s libgrpc-dev' >/dev/null 2>&1 ||
		{ echo 'gRPC was installed'; return 1; } ;; esac
	leave_root
}

for part in $PARTS; do
	run_test "$part is built and tested alone ($SUITE, $CC${SANITIZE:+, $SANITIZE})" t_alone "$part"
done
done_testing
