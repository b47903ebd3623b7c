#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Agent, plugin and both are killed at random moments of 20 starts of containers: test/lib-deaths.sh.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
require_nomad
. test/lib-deaths.sh
mkdir "$T/plugins" && cp "$DRIVER" "$T/plugins/"
printf 'plugin "nomad-driver-nspawn" {\n  config {\n    state_dir = "%s/state"\n    policy {\n      mode = "open"\n    }\n  }\n}\n' \
	"$T" >"$T/plugin.hcl"
CENSUS_DIRS=$T/state
# shellcheck disable=SC2016
deaths nomad-driver-nspawn nspawn \
	"$(sh_config ': mark=${NOMAD_ALLOC_ID}; while :; do sleep 5; done' '{"network_veth":true}')" "$T/state"
done_testing
