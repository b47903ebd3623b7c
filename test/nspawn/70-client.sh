#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The model of an agent with containers: see test/lib/32-client.sh.
prepare() { . test/nspawn/lib-nspawn.sh; requires ip; }
set_up() {
	. test/nspawn/lib-nspawn.sh
	need_root_tree
	jq -n --arg image "$ROOT" -f test/nspawn/client.jq >"$T/driver.json"
}
TAGS=model RUN=TestClient PLUGIN=${BUILD:-build}/plugins/nomad-driver-nspawn
export TAGS RUN PLUGIN
. test/lib/40-conformance.sh
