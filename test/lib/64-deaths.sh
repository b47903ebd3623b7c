#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Agent, plugin and both are killed at random moments of 20 starts: test/lib-deaths.sh.
. test/lib.sh
isolate "$@"
require_nomad
. test/lib-deaths.sh
mkdir "$T/plugins" && cp "$BUILD/test/nomad-driver-test" "$T/plugins/" || skip_all 'no test driver'
printf 'plugin "nomad-driver-test" {\n  config {\n    state_dir = "%s/state"\n  }\n}\n' "$T" >"$T/plugin.hcl"
CENSUS_DIRS=$T/state
# shellcheck disable=SC2016
deaths nomad-driver-test testdriver '{"command": ": mark=${NOMAD_ALLOC_ID}; while :; do sleep 5; done", "mode": "slow",
	"delay_ms": 300}' "$T/state"
done_testing
