#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Agent, plugin and both are killed at random moments of 20 starts of pots: test/lib-deaths.sh.
. test/lib.sh
. test/pot/lib-pot.sh
isolate "$@"
requires jq python3
require_nomad
. test/lib-deaths.sh
make_pot
agent_config
mkdir "$T/plugins" && cp "$BUILD/plugins/nomad-driver-pot" "$T/plugins/"
# shellcheck disable=SC2016
deaths nomad-driver-pot pot "$(task_config ': mark=${NOMAD_ALLOC_ID}; while :; do sleep 5; done')" "$T/s"
run_test 'no pot is left' pot_census
done_testing
