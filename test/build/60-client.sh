#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The model of an agent (test/conformance/client_world_test.go) with builds: MODEL_SECONDS or MODEL_SEEDS schedules.
prepare() { requires buildah busybox jq; }
set_up() {
	. test/build/lib-build.sh
	need_build
	CLIENT_DRIVER=$T/driver.json
	export CLIENT_DRIVER
	containerfile parts <<-'C'
	FROM scratch
	ADD rootfs.tar /
	ARG MARK
	RUN sleep 3
	C
	jq -n --arg context "$A/parts" '{ Name: "build", Plugin: {}, Alone: true, StopCodes: [1, 143, 255],
		Prepare: "mkdir -p $ALLOC_DIR/alloc && cp -rl \($context) $ALLOC_DIR/alloc/",
		Task: { context: "alloc/parts", args: { MARK: "mark=@ID@" }, output: [{ path: "alloc/out.tar" }] },
		Variants: [{}, {}, { context: "alloc/none", fails: true }], Ends: 0,
		Payload: "^[^ ]*buildah ", Engine: "^[^ ]*buildah .*@ALLOC@" }' >"$CLIENT_DRIVER"
}
TAGS=model RUN=TestClient PLUGIN=${BUILD:-build}/plugins/nomad-driver-build
export TAGS RUN PLUGIN
. test/lib/40-conformance.sh
