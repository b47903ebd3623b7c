#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The model of an agent with pots: see test/lib/32-client.sh.
prepare() { requires jq python3; }
set_up() {
	. test/pot/lib-pot.sh
	make_pot
	pot_config
	script=': mark=@ID@; trap "exit 7" TERM; while :; do if read x </local/@GO@; then exit $x; fi; done'
	task=$(task_config "$script")
	jq -n --argjson config "$(cat "$T/config.json")" --argjson task "$task" --arg pot "$POT_DIR" \
		-f test/pot/client.jq >"$T/driver.json"
}
TAGS=model RUN=TestClient PLUGIN=${BUILD:-build}/plugins/nomad-driver-pot
export TAGS RUN PLUGIN
. test/lib/40-conformance.sh
