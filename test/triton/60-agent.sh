#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A group of a machine and a container under a real agent, against the stand-in
# and a real Docker Engine: made, addressed, logged, entered, signalled,
# recovered after kill -9 of plugin and agent, restarted, stopped and removed.
. test/lib.sh
. test/triton/lib-triton.sh
agent_setup
control POST /set '{"limits": [{"by": "machines", "value": 25, "used": 3}, {"by": "ram", "value": 9, "used": 1,
	"check": "os", "os": "linux"}]}' >/dev/null

t_attributes() { api GET "/v1/node/$NODE_ID" |
	jq -e -f test/triton/attributes.jq >/dev/null; }
t_group() {
	set -- "vm=$(cloud_config '.cns = ["web"]')"
	[ -z "$ENGINE" ] || set -- "$@" "box=$(sh_config "$counting")"
	group_json group "$@" >"$T/group.json" && run_job "$T/group.json" && wait_alloc "$ALLOC_ID" running 120 &&
	GROUP_ALLOC=$ALLOC_ID && is "$(machines length)" $# && wait_for 20 'the tasks run' _all_running "$GROUP_ALLOC" \
	$# &&
	task_events "$GROUP_ALLOC" vm | grep -q 'runs at 10\.88'
}
t_addressed() {
	wait_for 40 'the machine has an address' is_at group-vm '^10\.88\.' &&
	{ [ -z "$ENGINE" ] || wait_for 40 'the container has an address' is_at group-box '^127\.0\.0\.1$'; }
}
t_logs() { needs_engine || return 0; wait_for 30 'lines arrive' _logs_grow "$GROUP_ALLOC" box 10 &&
	no_gap "$GROUP_ALLOC" box; }
t_exec() {
	needs_engine || return 0
	is "$(echo input | "$NOMAD" alloc exec -i -t=false -task box "$GROUP_ALLOC" cat)" input &&
	{ "$NOMAD" alloc exec -i=false -t=false -task box "$GROUP_ALLOC" sh -c 'echo o; echo e >&2; exit 9' >"$T/o" \
	2>"$T/e" </dev/null; is $? 9; } &&
	is "$(cat "$T/o")" o && is "$(cat "$T/e")" e
}
t_exec_tty() {
	needs_engine || return 0
	command -v script >/dev/null || { skip_this 'no script'; return 0; }
	script -qec "stty rows 31 cols 97; $NOMAD alloc exec -i -t -task box $GROUP_ALLOC sh -c 'sleep 2; stty size; exit 4'" /dev/null >"$T/tty" 2>&1 </dev/null
	is $? 4 && file_has "$T/tty" '31 97'
}
t_exec_machine() { ! "$NOMAD" alloc exec -i=false -t=false -task vm "$GROUP_ALLOC" true >"$T/o" 2>&1 </dev/null &&
	file_has "$T/o" 'running commands is not supported for machines'; }
t_log_machine() { wait_for 30 'its line is there' _has_note && is "$(alloc_logs "$GROUP_ALLOC" vm stderr | wc -l)" 1; }
_has_note() { alloc_logs "$GROUP_ALLOC" vm stderr | grep -q 'Log in to the machine: ssh [0-9]'; }
# What a real Nomad says of an allocation, and of one that it does not have.
t_gc_account() {
	jq --arg n "$NOMAD_ADDR" '.nomad_address = $n | .cluster = "c" | .lease_timeout = 1' \
		"$T/plugin.json" >"$T/c.json" &&
		jq 'del(.cluster)' "$T/c.json" >"$T/n.json" &&
		"$DRIVER" gc --account --config "$T/n.json" >"$T/gc" 2>&1 &&
		file_has "$T/gc" "keep group-group-vm-.*Nomad: the allocation is running, desired status run" &&
		is "$(ids)" "$(machines '[.[].id] | sort')" || { cat "$T/gc"; return 1; }
}
t_signal_machine() { ! "$NOMAD" alloc signal -s SIGHUP "$GROUP_ALLOC" vm >"$T/o" 2>&1 &&
	file_has "$T/o" 'not supported for machines'; }
t_stats() {
	needs_engine || return 0
	wait_for 40 'there are statistics' _has_stats
}
_has_stats() { api GET "/v1/client/allocation/$GROUP_ALLOC/stats" | jq -e \
	'.Tasks.box.ResourceUsage.MemoryStats.Usage > 0' >/dev/null 2>&1; }
t_kill_plugin() {
	_before=$(ids) _lines=$(alloc_logs "$GROUP_ALLOC" box 2>/dev/null | wc -l)
	_old=$(plugin) && kill -9 "$_old" && wait_for 60 'a new plugin is there' _new_plugin "$_old" &&
		wait_driver triton && sleep 3 &&
	is "$(ids)" "$_before" && is "$(alloc_status "$GROUP_ALLOC")" running || return 1
	[ -z "$ENGINE" ] || { wait_for 30 'lines arrive again' _logs_grow "$GROUP_ALLOC" box "$((_lines + 20))" &&
		no_gap "$GROUP_ALLOC" box; }
}
t_kill_agent() {
	_before=$(ids) _lines=$(alloc_logs "$GROUP_ALLOC" box 2>/dev/null | wc -l)
	kill -9 "$AGENT_PID"; wait "$AGENT_PID" 2>/dev/null
	kill -9 "$(plugin)"; sleep 2
	start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver triton && wait_alloc "$GROUP_ALLOC" running 60 &&
		sleep 3 && is "$(ids)" "$_before" || return 1
	[ -z "$ENGINE" ] || { wait_for 30 'lines arrive again' _logs_grow "$GROUP_ALLOC" box "$((_lines + 20))" &&
		no_gap "$GROUP_ALLOC" box; }
}
t_restart() {
	_before=$(ids)
	"$NOMAD" alloc restart "$GROUP_ALLOC" vm >/dev/null && wait_for 60 'another machine runs' _replaced \
		"$_before" ||
		return 1
	[ -n "$ENGINE" ] || return 0
	_before=$(ids)
	"$NOMAD" alloc restart "$GROUP_ALLOC" box >/dev/null && wait_for 60 'another container runs' _replaced \
		"$_before"
}
_replaced() { [ "$(ids)" != "$1" ] && [ "$(machines 'length')" = "$(printf %s "$1" | jq length)" ] &&
	[ "$(machines '[.[].state] | unique')" = '["running"]' ]; }
t_stop_group() { purge_job group && nothing_left 60; }

run_test 'the agent finds the driver healthy' t_start
run_test 'the node has its attributes' t_attributes
run_test 'a group of a machine and a container runs' t_group
run_test 'its services are at the addresses of the instances' t_addressed
run_test 'the log of the container arrives' t_logs
run_test 'alloc exec: input, both outputs, code' t_exec
run_test 'alloc exec with a terminal of the right size' t_exec_tty
run_test 'exec in a machine says that it is not supported' t_exec_machine
run_test 'the log of a machine says where to look' t_log_machine
run_test 'gc --account leaves alone what Nomad still wants' t_gc_account
run_test 'a signal to a machine says that it is not supported' t_signal_machine
run_test 'statistics of the container' t_stats
run_test 'kill -9 of the plugin: same instances, log without a gap' t_kill_plugin
run_test 'kill -9 of agent and plugin: same instances, log without a gap' t_kill_agent
run_test 'and the log of the machine still has its one line' t_log_machine
run_test 'a restart makes a new instance in place of the old' t_restart
run_test 'stopped and collected: nothing is left' t_stop_group
run_test 'the agent stops, and the plugin with it' t_end
done_testing
