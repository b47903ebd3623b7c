#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Agent, plugin and both are killed at random moments of starts of machines: test/lib-deaths.sh.
: "${TASKS:=8}"
. test/lib.sh
. test/triton/lib-triton.sh
isolate "$@"
require_standin
require_nomad
. test/lib-deaths.sh
make_keys
start_site
mkdir "$T/plugins" && cp "$DRIVER" "$T/plugins/"
instances() {
	machines '.[] | select(.state == "provisioning" or .state == "running") | .tags.nomad_task' |
		sed 's/^"//; s/\/.*//' | sort
}
at_rest() { ! pgrep -f 'nomad-driver-triton log-hold' >/dev/null; }
# It keeps some connections open, and not always the same number.
CENSUS_IGNORE="$CENSUS_IGNORE|^descriptor of nomad-driver-tr: socket:"
deaths nomad-driver-triton triton "$(cloud_config)" "$T/state"
run_test 'nothing is left in the data centre' nothing_left
done_testing
