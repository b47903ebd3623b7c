#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Under a real agent with the default policy: jobs that would be root on the node are refused, with the lines that
# allow them; with these lines they run, and do what they say.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
require_nomad
mkdir "$T/plugins" "$T/host" && cp "$DRIVER" "$T/plugins/"
: >"$T/policy"
configure() {
	{ printf 'plugin "nomad-driver-nspawn" {\n  config {\n    state_dir = "%s/state"\n' "$T"
	[ ! -s "$T/policy" ] || { printf '    policy {\n'; cat "$T/policy"; printf '    }\n'; }
	printf '  }\n}\n'; } >"$T/plugin.hcl"
}
configure
job() { job_json "$1" nspawn "$2" >"$T/$1.json"; }
t_start() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver nspawn; }

# The rule for its image takes another turn: its driver finds it later.
root_job() {
	job root "$(sh_config "grep -c . /host/etc/shadow >/dev/null && id -u >/host$T/host/uid &&
		cat /proc/self/uid_map >/host$T/host/map" \
		'{ "bind": { "/": "/host" }, "user_namespacing": false, "capability": ["all"], "device_policy": "open" }')"
}
t_refused() {
	root_job && run_job "$T/root.json" && wait_alloc "$ALLOC_ID" failed 120 || return 1
	is "$(policy_lines "$ALLOC_ID" task)" "$(printf '%s\n' 'allow_all_devices = true' 'allow_bind = ["/"]' \
		'allow_capability = ["all"]' 'allow_host_users = true')" &&
		is "$(ls "$T/host" "$T/state/tasks" 2>/dev/null | grep -v :)" '' && purge_job root
}
t_allowed() {
	run_by_message "$T/root.json" task nspawn allow_all_devices allow_bind allow_capability allow_host_users \
		allow_image &&
		wait_alloc "$ALLOC_ID" complete 120 && is "$(cat "$T/host/uid")" 0 &&
		is "$(tr -s ' ' <"$T/host/map")" ' 0 0 4294967295' && purge_job root
}
# One line does as much.
t_open() {
	echo 'mode = "open"' >"$T/policy"
	rm "$T/host/uid" && stop_agent && configure && t_start && run_job "$T/root.json" &&
		wait_alloc "$ALLOC_ID" complete 120 && is "$(cat "$T/host/uid")" 0 && purge_job root
}
t_attribute() { is "$(node_driver nspawn | jq -r '.Attributes["driver.nspawn.policy"]')" "$1"; }
# A job may ask for a node with rules.
t_constraint() {
	jq '.Job.Constraints = [{ LTarget: "${attr.driver.nspawn.policy}", RTarget: "default", Operand: "=" }]' \
		"$T/root.json" >"$T/careful.json" && submit_job "$T/careful.json" && sleep 2 &&
		"$NOMAD" job status root | grep -q 'Placement Failure\|failed to place' &&
		"$NOMAD" job stop -purge -detach root >/dev/null
}
t_end() { stop_agent && is "$(ls "$T/state/tasks")" ''; }
run_test 'the driver is healthy' t_start
run_test 'the node says that it has rules' t_attribute default
run_test 'a job that would be root on the node is refused, with the lines that allow it' t_refused
run_test 'with these lines it is root on the node' t_allowed
run_test 'so it is with mode open' t_open
run_test 'the node says that it has none' t_attribute open
run_test 'a job may require a node with rules' t_constraint
run_test 'nothing is left' t_end
done_testing
