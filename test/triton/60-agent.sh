#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Groups with machines and containers under a real agent, against the stand-in
# and a real Docker Engine: made, addressed, logged, entered, signalled,
# restarted, recovered after kill -9 of plugin and agent, and removed.
. test/lib.sh
. test/triton/lib-triton.sh
require_standin
requires_root
require_nomad
[ -z "$_skip_all" ] || skip_all "$_skip_all"
make_keys
ENGINE=yes
start_engine || ENGINE=
start_standin || { cat "$T/standin/log" "$T/keys.log"; exit 1; }
driver_config
mkdir -p "$T/plugins" && cp "$DRIVER" "$T/plugins/"

needs_engine() { [ -n "$ENGINE" ] || { skip_this "$ENGINE_WHY"; return 1; }; }
# group_json ID TASK=CONFIG_JSON...: a service job with these tasks
group_json() {
	_id=$1; shift
	for _t in "$@"; do jq -n --arg n "${_t%%=*}" --argjson c "${_t#*=}" '{ Name: $n, Driver: "triton", Config: $c, KillTimeout: 10000000000,
		LogConfig: { MaxFiles: 2, MaxFileSizeMB: 2 }, Resources: { CPU: 20, MemoryMB: 16 } }'; done | jq -s --arg id "$_id" '{ Job: {
		ID: $id, Name: $id, Type: "service", Datacenters: ["dc1"], TaskGroups: [{ Name: "group", Count: 1,
		RestartPolicy: { Attempts: 3, Interval: 600000000000, Delay: 1000000000, Mode: "fail" },
		ReschedulePolicy: { Attempts: 0, Unlimited: false }, EphemeralDisk: { SizeMB: 10 }, Tasks: . }] } }'
}
sh_config() { docker_config ".docker_api.cmd = [\"sh\", \"-c\", $(printf %s "$1" | jq -Rs .)] | ${2:-.}"; }
counting='i=0; while :; do echo line $i; i=$((i + 1)); sleep 0.1; done'
plugin() { plugin_pid nomad-driver-triton; }
ids() { machines '[.[].id] | sort'; }
no_gap() { # the lines of a counting task's log follow each other
	alloc_logs "$1" "$2" | awk '{ if ($1 != "line" || $2 != NR - 1) { print "line " NR " is: " $0; bad = 1; exit } } END { exit bad || NR < 5 }'
}
_logs_grow() { [ "$(alloc_logs "$1" "$2" | wc -l)" -gt "$3" ]; }

t_start() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver triton; }
t_attributes() { api GET "/v1/node/$NODE_ID" | jq -e '.Attributes["driver.triton"] == "1" and .Attributes["driver.triton.account"] == "acme" and
	.Attributes["driver.triton.datacenter"] == "standin-1" and .Attributes["driver.triton.cns"] == "true"' >/dev/null; }
t_group() {
	set -- "vm=$(cloud_config '.cns = ["web"]')"
	[ -z "$ENGINE" ] || set -- "$@" "box=$(sh_config "$counting")"
	group_json group "$@" >"$T/group.json" && run_job "$T/group.json" && wait_alloc "$ALLOC_ID" running 120 &&
	GROUP_ALLOC=$ALLOC_ID && is "$(machines length)" $# && wait_for 20 'the tasks run' _all_running "$GROUP_ALLOC" $# &&
	task_events "$GROUP_ALLOC" vm | grep -q 'runs at 10\.88'
}
_all_running() { [ "$(api GET "/v1/allocation/$1" | jq '[.TaskStates[] | select(.State == "running")] | length')" = "$2" ]; }
t_logs() { needs_engine || return 0; wait_for 30 'lines arrive' _logs_grow "$GROUP_ALLOC" box 10 && no_gap "$GROUP_ALLOC" box; }
t_exec() {
	needs_engine || return 0
	is "$(echo input | "$NOMAD" alloc exec -i -t=false -task box "$GROUP_ALLOC" cat)" input &&
	{ "$NOMAD" alloc exec -i=false -t=false -task box "$GROUP_ALLOC" sh -c 'echo o; echo e >&2; exit 9' >"$T/o" 2>"$T/e" </dev/null; is $? 9; } &&
	is "$(cat "$T/o")" o && is "$(cat "$T/e")" e
}
t_exec_tty() {
	needs_engine || return 0
	command -v script >/dev/null || { skip_this 'no script'; return 0; }
	script -qec "stty rows 31 cols 97; $NOMAD alloc exec -i -t -task box $GROUP_ALLOC sh -c 'sleep 2; stty size; exit 4'" /dev/null >"$T/tty" 2>&1 </dev/null
	is $? 4 && file_has "$T/tty" '31 97'
}
t_exec_machine() { ! "$NOMAD" alloc exec -i=false -t=false -task vm "$GROUP_ALLOC" true >"$T/o" 2>&1 </dev/null &&
	file_has "$AGENT_DIR/agent.log" 'running commands is not supported for machines'; }
t_signal_machine() { ! "$NOMAD" alloc signal -s SIGHUP "$GROUP_ALLOC" vm >"$T/o" 2>&1 && file_has "$T/o" 'not supported for machines'; }
t_stats() {
	needs_engine || return 0
	wait_for 40 'there are statistics' _has_stats
}
_has_stats() { api GET "/v1/client/allocation/$GROUP_ALLOC/stats" | jq -e '.Tasks.box.ResourceUsage.MemoryStats.Usage > 0' >/dev/null 2>&1; }
t_kill_plugin() {
	_before=$(ids) _lines=$(alloc_logs "$GROUP_ALLOC" box 2>/dev/null | wc -l)
	_old=$(plugin) && kill -9 "$_old" && wait_for 60 'a new plugin is there' _new_plugin "$_old" && wait_driver triton && sleep 3 &&
	is "$(ids)" "$_before" && is "$(alloc_status "$GROUP_ALLOC")" running || return 1
	[ -z "$ENGINE" ] || { wait_for 30 'lines arrive again' _logs_grow "$GROUP_ALLOC" box "$((_lines + 20))" && no_gap "$GROUP_ALLOC" box; }
}
_new_plugin() { _p=$(plugin); [ -n "$_p" ] && [ "$_p" != "$1" ]; }
t_kill_agent() {
	_before=$(ids) _lines=$(alloc_logs "$GROUP_ALLOC" box 2>/dev/null | wc -l)
	kill -9 "$AGENT_PID"; wait "$AGENT_PID" 2>/dev/null
	kill -9 "$(plugin)"; sleep 2
	start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver triton && wait_alloc "$GROUP_ALLOC" running 60 && sleep 3 && is "$(ids)" "$_before" || return 1
	[ -z "$ENGINE" ] || { wait_for 30 'lines arrive again' _logs_grow "$GROUP_ALLOC" box "$((_lines + 20))" && no_gap "$GROUP_ALLOC" box; }
}
t_quiet() {
	# The fingerprint asks too; all tasks are one request a poll.
	control POST /forget '{}' >/dev/null; sleep 10
	_asked=$(control GET /requests | jq '[.[] | select(.api == "cloudapi" and (.path | contains("/machines")))] | length')
	[ "$_asked" -le 13 ] || { echo "$_asked requests in 10 s at a poll each second"; return 1; }
}
t_restart() {
	_before=$(ids)
	"$NOMAD" alloc restart "$GROUP_ALLOC" vm >/dev/null && wait_for 60 'another instance runs' _replaced "$_before"
}
_replaced() { [ "$(ids)" != "$1" ] && [ "$(machines 'length')" = "$(printf %s "$1" | jq length)" ] && [ "$(machines '[.[].state] | unique')" = '["running"]' ]; }
t_stop_group() { purge_job group && nothing_left 60; }

# Kill the plugin at moments of a start: Nomad starts again with the same id.
t_kill_in_start() {
	control POST /set '{"delays": {"provision": 4}}' >/dev/null
	group_json "slow$1" "vm=$(cloud_config '.fwenabled = true | .fwrules = {a: "FROM any TO tag x ALLOW tcp PORT 1"} | .tags = {x: "1"} |
		.volumes = [{name: "data", mountpoint: "/d", size: 1}]')" >"$T/slow.json" && run_job "$T/slow.json" || return 1
	sleep "$1"; kill -9 "$(plugin)"
	wait_alloc "$ALLOC_ID" running 120; _r=$?
	control POST /set '{"delays": {"provision": 0.3}}' >/dev/null
	[ $_r -eq 0 ] && is "$(machines length)" 1 && is "$(rules '[.[] | select(.description | contains("[nomad"))] | length')" 1 && purge_job "slow$1" && nothing_left 60
}
t_end_while_down() {
	needs_engine || return 0
	job_json ends triton "$(sh_config 'sleep 6; exit 23')" >"$T/ends.json" && run_job "$T/ends.json" && wait_alloc "$ALLOC_ID" running 60 || return 1
	kill -9 "$AGENT_PID"; wait "$AGENT_PID" 2>/dev/null; kill -9 "$(plugin)"
	wait_for 30 'the container ended' _container_ended && sleep 1 && start_agent one "$T/plugins" "$T/plugin.hcl" && wait_alloc "$ALLOC_ID" failed 90 &&
	is "$(task_exit_code "$ALLOC_ID" task)" 23 && purge_job ends && nothing_left 60
}
_container_ended() { [ "$(machines '[.[].state] | unique')" = '["stopped"]' ]; }
t_signal() {
	needs_engine || return 0
	job_json sig triton "$(sh_config 'trap "echo got hup" HUP; trap "exit 3" TERM; echo ready; while :; do sleep 0.1; done')" >"$T/sig.json" &&
	run_job "$T/sig.json" && wait_alloc "$ALLOC_ID" running 60 && wait_for 20 'it is ready' _logs_grow "$ALLOC_ID" task 0 &&
	"$NOMAD" alloc signal -s SIGHUP "$ALLOC_ID" task >/dev/null && wait_for 20 'it got the signal' _logs_grow "$ALLOC_ID" task 1 &&
	"$NOMAD" job stop -detach sig >/dev/null && wait_alloc "$ALLOC_ID" complete 60 && is "$(task_exit_code "$ALLOC_ID" task)" 3 && purge_job sig && nothing_left 60
}
t_outage() {
	control POST /faults '[{"path": ".", "kind": "status", "status": 503, "count": 100000}]' >/dev/null
	wait_for 60 'the driver is unhealthy' _unhealthy; _r=$?
	no_faults
	[ $_r -eq 0 ] && wait_driver triton 90
}
_unhealthy() { node_driver triton | jq -e '.Healthy == false and (.HealthDescription | test("503"))' >/dev/null; }
t_destroy_in_outage() {
	group_json out "vm=$(cloud_config)" >"$T/outj.json" && run_job "$T/outj.json" && wait_alloc "$ALLOC_ID" running 60 && _id=$(machines '.[0].id' | tr -d '"') &&
	fault '{"method": "DELETE", "path": ".", "kind": "status", "status": 409, "count": 100000}' && "$NOMAD" job stop -detach out >/dev/null &&
	wait_alloc "$ALLOC_ID" complete 200 && no_faults && nothing_left 120 && purge_job out
}
t_many() {
	jq '.Job.TaskGroups[0].Count = 20 | .Job.ID = "many" | .Job.Name = "many" | .Job.TaskGroups[0].Tasks[0].Resources.CPU = 10' "$T/outj.json" >"$T/many.json" &&
	submit_job "$T/many.json" && wait_for 180 '20 run' _running_are 20 && is "$(machines length)" 20 && sleep 2 &&
	control POST /forget '{}' >/dev/null && sleep 10 && _asked=$(control GET /requests | jq '[.[] | select(.path | contains("/machines"))] | length') &&
	{ [ "$_asked" -le 13 ] || { echo "$_asked requests in 10 s"; return 1; }; } && purge_job many && nothing_left 120
}
_running_are() { [ "$(machines '[.[] | select(.state == "running")] | length')" = "$1" ] &&
	[ "$(api GET /v1/job/many/allocations | jq '[.[] | select(.ClientStatus == "running")] | length')" = "$1" ]; }
t_example() {
	needs_engine || return 0
	run_job examples/triton/web.nomad.hcl && wait_alloc "$ALLOC_ID" running 90 && is "$(machines length)" 2 &&
	is "$(rules '[.[] | select(.description | contains("service: sql "))] | length')" 1 &&
	wait_for 30 'the service has an address' _has_service && purge_job web && nothing_left 60
}
_has_service() { api GET /v1/service/web | jq -e '.[0].Address == "127.0.0.1"' >/dev/null 2>&1; }
t_end() { stop_agent && is "$(plugin)" ''; }

run_test 'the agent finds the driver healthy' t_start
run_test 'the node has its attributes' t_attributes
run_test 'a group of a machine and a container runs' t_group
run_test 'the log of the container arrives' t_logs
run_test 'alloc exec: input, both outputs, code' t_exec
run_test 'alloc exec with a terminal of the right size' t_exec_tty
run_test 'exec in a machine says that it is not supported' t_exec_machine
run_test 'a signal to a machine says that it is not supported' t_signal_machine
run_test 'statistics of the container' t_stats
run_test 'kill -9 of the plugin: same instances, log without a gap' t_kill_plugin
run_test 'kill -9 of agent and plugin: same instances, log without a gap' t_kill_agent
run_test 'nothing changes: one request a poll' t_quiet
run_test 'a restart makes a new instance in place of the old' t_restart
run_test 'stopped and collected: nothing is left' t_stop_group
for _at in 0.5 1.5 3; do run_test "kill -9 of the plugin $_at s into a start: one instance" t_kill_in_start $_at; done
run_test 'an end while all was down: its true code' t_end_while_down
run_test 'signals and a graceful end of a container' t_signal
run_test 'an outage makes the driver unhealthy, and it recovers by itself' t_outage
run_test 'what cannot be removed now is removed later' t_destroy_in_outage
run_test '20 tasks: one request a poll' t_many
run_test 'the example runs' t_example
run_test 'the agent stops, and the plugin with it' t_end
done_testing
