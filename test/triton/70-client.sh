#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The model of an agent with machines of the stand-in: see test/lib/32-client.sh.
set_up() {
	. test/triton/lib-triton.sh
	require_standin
	make_keys
	start_site
	jq -n --argjson config "$(cat "$T/plugin.json")" --argjson task "$(cloud_config)" \
		--arg control "$CONTROL_URL" --arg pid "$STANDIN_PID" -f test/triton/client.jq >"$T/driver.json"
}
TAGS=model RUN=TestClient PLUGIN=${BUILD:-build}/plugins/nomad-driver-triton
export TAGS RUN PLUGIN
. test/lib/40-conformance.sh
