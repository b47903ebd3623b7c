#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A driver that cannot begin, under a real agent: the node shows it unhealthy, with the reason, and healthy again later.
. test/lib.sh
isolate "$@"
require_nomad
driver=$PWD/$BUILD/test/nomad-driver-test
[ -x "$driver" ] || skip_all "$driver is not built"
mkdir "$T/plugins" && cp "$driver" "$T/plugins/"
configure() { printf 'plugin "nomad-driver-test" {\n  config {\n    state_dir = "%s"\n  }\n}\n' "$1" >"$T/plugin.hcl"; }
says() { "$NOMAD" node status -verbose "$NODE_ID" | grep -E "^testdriver +true +false +.*$1"; }

t_file() {
	: >"$T/state"
	configure "$T/state"
	start_agent one "$T/plugins" "$T/plugin.hcl" &&
		wait_for 30 'node status has the reason' says "create the state directory .*: not a directory" ||
		{ "$NOMAD" node status -verbose "$NODE_ID"; return 1; }
	rm "$T/state" && wait_driver testdriver
}
t_mode() {
	stop_agent && chmod 777 "$T/state" && start_agent one "$T/plugins" "$T/plugin.hcl" &&
		wait_for 30 'node status has the reason' says 'must belong to uid' || return 1
	# A job waits for such a node, and starts when it is repaired.
	job_json waits testdriver '{ "command": "exit 0" }' >"$T/waits.json" && submit_job "$T/waits.json" &&
		chmod 700 "$T/state" && wait_driver testdriver && run_job "$T/waits.json" &&
		wait_alloc "$ALLOC_ID" complete
}
t_attributes() {
	_attributes=$(api GET "/v1/node/$NODE_ID" | jq -r '.Attributes | to_entries[] | "\(.key)=\(.value)"')
	like "$_attributes" '^driver.testdriver.cgroup=v[12]$' &&
		like "$_attributes" '^driver.testdriver.storage=[a-z0-9]+$' &&
		like "$_attributes" '^driver.testdriver.idmapped_mounts=(true|false)$' &&
		like "$_attributes" '^driver.testdriver.systemd=(true|false)$'
}
t_end() { purge_job waits && stop_agent; }
run_test 'a state directory that is a file' t_file
run_test 'a state directory that other users may write to' t_mode
run_test 'the common node attributes are set' t_attributes
run_test 'the end' t_end
done_testing
