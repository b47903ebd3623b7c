#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The model of an agent (test/conformance/client_world_test.go) with builds: MODEL_SECONDS or MODEL_SEEDS schedules.
prepare() { requires buildah busybox jq; }
set_up() {
	. test/build/lib-build.sh
	need_build
	containerfile parts <<-'C'
	FROM scratch
	ADD rootfs.tar /
	ARG MARK
	RUN sleep 3
	C
	jq -n --arg context "$A/parts" -f test/build/client.jq >"$T/driver.json"
}
TAGS=model RUN=TestClient PLUGIN=${BUILD:-build}/plugins/nomad-driver-build
export TAGS RUN PLUGIN
. test/lib/40-conformance.sh
