#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# What a job's config does not say and Nomad passes by itself: the devices of
# device plugins, the mounts of volumes (test/conformance/nspawn_test.go).
[ -n "${NOMAD_TEST_DIR:-}" ] || {
	. test/lib.sh
	. test/nspawn/lib-nspawn.sh
	need_root_tree
	rm -rf "$T"
}
TAGS=nspawn RUN=${RUN:-^TestNspawn} PLUGIN=${BUILD:-build}/plugins/nomad-driver-nspawn NSPAWN_ROOT=${ROOT:-$NSPAWN_ROOT}
export TAGS RUN PLUGIN NSPAWN_ROOT
. test/lib/40-conformance.sh
