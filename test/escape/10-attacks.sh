#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Hostile containers against commands that run in them: test/conformance/escape_test.go
# with the programs of this folder.
[ -n "${NOMAD_TEST_DIR:-}" ] || {
	. test/lib.sh
	. test/nspawn/lib-nspawn.sh
	need_root_tree
	requires cc
	rm -rf "$T"
	for p in attack impostor old-enter; do
		mkdir -p "$BUILD/test/escape"
		${CC:-cc} -O1 -D_GNU_SOURCE -Wall -Wextra -static -o "$BUILD/test/escape/$p" "test/escape/$p.c" ||
			{ echo "not ok 1 - test/escape/$p.c compiles"; echo 1..1; exit 1; }
	done
}
ATTACK=$PWD/${BUILD:-build}/test/escape/attack OLD_ENTER=$PWD/${BUILD:-build}/test/escape/old-enter
TAGS=nspawn PLUGIN=${PLUGIN:-${BUILD:-build}/plugins/nomad-driver-nspawn}
RUN=${RUN:-'^TestNspawn(Identity|Terminal|Attack|Hostile)'}
NSPAWN_ROOT=${ROOT:-$NSPAWN_ROOT} PARALLEL=4
export TAGS RUN PLUGIN NSPAWN_ROOT ATTACK OLD_ENTER PARALLEL
. test/lib/40-conformance.sh
