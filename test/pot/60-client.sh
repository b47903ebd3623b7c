#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The model of an agent (test/conformance/client_world_test.go) with pots: MODEL_SECONDS or MODEL_SEEDS schedules.
prepare() { requires jq python3; }
set_up() {
	. test/pot/lib-pot.sh
	make_pot
	pot_config
	CLIENT_DRIVER=$T/driver.json
	export CLIENT_DRIVER
	task_config ': mark=@ID@; trap "exit 7" TERM; while :; do if read x </local/@GO@; then exit $x; fi; done' |
		jq --argjson config "$(jq 'del(.state_dir)' "$T/config.json")" --arg pot "$POT_DIR" '{ Name: "pot",
		Plugin: $config, Task: ., Variants: [{}, {}, { network_mode: "inherit" }, { tag: "none", fails: true }],
		Payload: "^/bin/sh -c : mark=", Alone: true, Left: "\($pot)/bin/pot-census", StopCodes: [7],
		Engine: "\($pot)/bin/pot " }' >"$CLIENT_DRIVER"
}
TAGS=model RUN=TestClient PLUGIN=${BUILD:-build}/plugins/nomad-driver-pot
export TAGS RUN PLUGIN
. test/lib/40-conformance.sh
