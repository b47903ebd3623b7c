#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The model of an agent with builds: see test/lib/32-client.sh.
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
