#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Whatever is killed, nothing stays: under an agent, with networks and ports.
# And forty containers at once.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
require_nomad
requires ip
mkdir "$T/plugins" && cp "$DRIVER" "$T/plugins/"
printf 'plugin "nomad-driver-nspawn" {\n  config {\n    state_dir = "%s/state"\n    policy {\n      mode = "open"\n    }\n  }\n}\n' "$T" >"$T/plugin.hcl"
veth=$(sh_config 'echo up; while :; do sleep 0.5; done' '{"network_veth":true,"ports":["http"]}')
filter='.Job.TaskGroups[0].Networks = [{ DynamicPorts: [{ Label: "http", To: 80 }] }]'
start() { job_json "$1" nspawn "$veth" service | jq "$filter" >"$T/$1.json" && run_job "$T/$1.json" &&
	wait_alloc "$ALLOC_ID" running 60; }
clean() {
	_t=$(ip -o link | grep ' vn' ; cat /proc/self/mounts | grep "$T/state"
		ls "$T/state/tasks" "$(shared_network)/addresses" | grep -v :$ | grep .
		pgrep -a systemd-nspawn; pgrep -a nspawn-init; pgrep -a nomad-superv; nft list ruleset 2>/dev/null |
			grep dnat; losetup -a | grep "$T")
	[ -z "$_t" ] || { echo "$_t"; return 1; }
}
ended() { wait_for 60 'the end' sh -c "[ \"\$('$NOMAD' alloc status -json $ALLOC_ID | jq -r .TaskStates.task.State)\" = dead ]"; }
all_clean() { wait_for 40 'all is clean' clean; }

t_start() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver nspawn; }
run_test 'the driver is healthy' t_start
t_normal() { start normal && "$NOMAD" job stop -detach normal >/dev/null && ended && all_clean; }
run_test 'an ordinary end' t_normal
t_nspawn() { start k1 && kill_all nspawn_pids && ended && all_clean; }
run_test 'systemd-nspawn is killed' t_nspawn
t_init() { start k2 && kill_all init_pids && ended && all_clean; }
run_test 'PID 1 of the container is killed' t_init
t_supervisor() { start k3 && kill_all supervisor_pids && ended && all_clean; }
run_test 'the supervisor is killed' t_supervisor
t_plugin() { start k4 && kill -9 "$(plugin_pid nomad-driver-nspawn)" && wait_driver nspawn &&
	"$NOMAD" job stop -detach k4 >/dev/null && ended && all_clean; }
run_test 'the plugin is killed' t_plugin
t_both() { start k5 && kill -9 "$(plugin_pid nomad-driver-nspawn)" && kill_all nspawn_pids && wait_driver nspawn &&
	ended && all_clean; }
run_test 'the plugin and systemd-nspawn are killed' t_both
t_agent() { start k6 && stop_agent KILL && kill_all nspawn_pids; sleep 1
	start_agent one "$T/plugins" "$T/plugin.hcl" &&
	wait_driver nspawn && ended && all_clean; }
run_test 'the agent is killed, and systemd-nspawn while it is away' t_agent
t_failed_start() {
	job_json bad nspawn "$(sh_config true '{"network_veth":true,"command":["/no/such"],"ports":["http"]}')" |
		jq "$filter" >"$T/bad.json" && run_job "$T/bad.json" && wait_alloc "$ALLOC_ID" failed && all_clean
}
run_test 'a start that fails' t_failed_start
t_forty() {
	job_json forty nspawn "$(sh_config 'echo up; while :; do sleep 1; done' '{"network_veth":true}')" service |
		jq '.Job.TaskGroups[0].Count = 40 | .Job.TaskGroups[0].Tasks[0].Resources = { CPU: 10, MemoryMB: 16 } |
		.Job.TaskGroups[0].Tasks[0].LogConfig.Disabled = true' >"$T/forty.json" &&
		submit_job "$T/forty.json" && wait_for 240 'forty run' sh -c \
		"[ \"\$(curl -s '$NOMAD_ADDR/v1/job/forty/allocations' | jq '[.[] | select(.ClientStatus == \"running\")] | length')\" = 40 ]" &&
		is "$(ip -o link | grep -c ' vn')" 40 &&
		"$NOMAD" job stop -detach forty >/dev/null && wait_for 240 'forty have ended' sh -c \
		"[ \"\$(curl -s '$NOMAD_ADDR/v1/job/forty/allocations' | jq '[.[] | select(.ClientStatus == \"complete\")] | length')\" = 40 ]" &&
		wait_for 120 'all is clean' clean
}
run_test 'forty containers at once' t_forty
t_end() { stop_agent && all_clean; }
run_test 'the agent stops' t_end
done_testing
