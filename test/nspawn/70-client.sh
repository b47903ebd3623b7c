#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The model of an agent (test/conformance/client_world_test.go) with containers: MODEL_SECONDS or MODEL_SEEDS schedules.
prepare() { . test/nspawn/lib-nspawn.sh; requires ip; }
set_up() {
	. test/nspawn/lib-nspawn.sh
	need_root_tree
	CLIENT_DRIVER=$T/driver.json
	export CLIENT_DRIVER
	jq -n --arg image "$ROOT" '{ Name: "nspawn", Plugin: { policy: { mode: "open" } }, StopCodes: [7], Alone: true,
		Task: { image: $image, boot: false, network_veth: false, command: ["/bin/sh", "-c",
			": mark=@ID@; trap \"exit 7\" TERM; while :; do if read x </local/@GO@; then exit $x; fi; done"] },
		Variants: [{}, { network_veth: true }, { ephemeral: true }, { network_veth: true, user_namespacing: false },
			{ command: ["/no/such/program"], fails: true }],
		Payload: "^/bin/sh -c : mark=", Engine: "^[^ ]*systemd-nspawn .*@ALLOC@" }' >"$CLIENT_DRIVER"
}
TAGS=model RUN=TestClient PLUGIN=${BUILD:-build}/plugins/nomad-driver-nspawn
export TAGS RUN PLUGIN
. test/lib/40-conformance.sh
