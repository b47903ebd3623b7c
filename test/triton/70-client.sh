#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The model of an agent (test/conformance/client_world_test.go) with machines of the stand-in: MODEL_SECONDS or MODEL_SEEDS schedules.
set_up() {
	. test/triton/lib-triton.sh
	require_standin
	make_keys
	start_site
	CLIENT_DRIVER=$T/driver.json
	export CLIENT_DRIVER
	state="curl -sS -m 2 -f $CONTROL_URL/state"
	jq -n --argjson config "$(jq 'del(.state_dir)' "$T/plugin.json")" --argjson task "$(cloud_config)" --arg state "$state" \
		--arg pid "$STANDIN_PID" '{ Name: "triton", Plugin: $config, Task: $task, Alone: true, StopCodes: [0],
		Variants: [{}, {}, { package: { name: "none" }, fails: true }],
		Books: "\($state) | jq -r \u0027.machines[] | select(.state == \"provisioning\" or .state == \"running\") |
			\"\\(.tags.nomad_task) \\(.id)\"\u0027",
		Left: "\($state) | jq -c \u0027.machines[] | select(.state != \"deleted\") | [.name, .state]\u0027",
		Outage: "kill -STOP \($pid)", Mend: "kill -CONT \($pid)" }' >"$CLIENT_DRIVER"
}
TAGS=model RUN=TestClient PLUGIN=${BUILD:-build}/plugins/nomad-driver-triton
export TAGS RUN PLUGIN
. test/lib/40-conformance.sh
