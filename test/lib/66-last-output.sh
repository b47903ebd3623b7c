#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The last output of a task is delivered, or an event gives the number of lost bytes, whichever process is dead: agent,
# log collector, plugin or supervisor.  Under a real agent.  NOMAD_TEST_LONG=1: in all orders.
. test/lib.sh
isolate "$@"
require_nomad
requires pgrep
mkdir "$T/plugins" && cp "$BUILD/test/nomad-driver-test" "$T/plugins/" || skip_all 'no test driver'
printf 'plugin "nomad-driver-test" {\n  config {\n    state_dir = "%s/state"\n  }\n}\n' "$T" >"$T/plugin.hcl"
LAST=$(printf '%01000d' 7)

start() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver testdriver; }
logged() { alloc_logs "$ALLOC_ID" task 2>/dev/null | grep -q "$1"; }
recorded() { [ -n "$(find "$T/state/tasks" -name "$1" 2>/dev/null)" ]; }
supervisor_pid() { tr '\0' '\n' <"$(find "$T/state/tasks" -name supervisor)" | sed -n 's/^pid=//p' | head -n 1; }
kill_one() {
	case $1 in
	agent) stop_agent KILL; AGENT_PID= ;;
	logmon) pkill -9 -f '^[^ ]*nomad logmon' ;;
	plugin) kill -9 "$(plugin_pid nomad-driver-test)" ;;
	supervisor) kill -9 "$SUPERVISOR" ;;
	writes) touch "$T/write"; wait_for 30 'it has written' test -e "$T/written" ;;
	ends) touch "$T/write" "$T/end"; wait_for 30 'the end is recorded' recorded exit ;;
	esac
}
lost_bytes() { task_state "$ALLOC_ID" task | jq -r '[.Events[].Details.lost_bytes | values] | join(" ")'; }
over() { [ "$(task_state "$ALLOC_ID" task 2>/dev/null | jq -r .State)" = dead ]; }
is_lost() { [ "$(lost_bytes 2>/dev/null)" = "$1" ]; }
may_be_lost() { task_events "$ALLOC_ID" task 2>/dev/null | grep -q 'the last output on stdout may be lost'; }
# dies WANT WHO...: delivered, a number of bytes, or unknown
dies() {
	_dies "$@"
	_result=$?
	[ -n "$AGENT_PID" ] || start
	purge_job last && return $_result
}
_dies() {
	_want=$1; shift
	rm -f "$T/write" "$T/written" "$T/end"
	job_json last testdriver "$(jq -n --arg c "echo first; until [ -e $T/write ]; do sleep 0.1; done; echo $LAST
		touch $T/written; until [ -e $T/end ]; do sleep 0.1; done" '{ command: $c }')" >"$T/job.json" &&
		run_job "$T/job.json" && wait_for 60 'it runs' logged first && SUPERVISOR=$(supervisor_pid) || return 1
	for _who in "$@"; do kill_one "$_who" || { echo "kill $_who"; return 1; }; done
	[ -n "$AGENT_PID" ] || start || return 1
	touch "$T/write" "$T/end"
	wait_for 60 'the agent knows the end' over || return 1
	case $_want in
	delivered) wait_for 30 'the last line is there' logged "^$LAST\$" && is "$(lost_bytes)" '' ;;
	unknown) wait_for 30 'the loss is reported' may_be_lost ;;
	*) wait_for 30 'the loss is reported' is_lost "$_want" && ! logged "^$LAST\$" ;;
	esac || { task_events "$ALLOC_ID" task; lost_bytes; return 1; }
}
all_orders() { if [ -n "${NOMAD_TEST_LONG:-}" ]; then run_test "$@"; fi; }

run_test 'the agent starts' start
run_test 'agent, log collector and plugin are dead at the end: output is delivered' dies delivered agent logmon plugin ends
run_test 'the supervisor dies too, after the end: the loss is reported' dies 1001 agent logmon plugin ends supervisor
run_test 'the log collector dies: the loss is reported' dies 1001 logmon
all_orders 'plugin, log collector, agent: delivered' dies delivered plugin logmon agent ends
all_orders 'log collector and agent: delivered' dies delivered logmon agent ends
all_orders 'and the plugin, after the end: delivered' dies delivered logmon agent ends plugin
all_orders 'all four, before the end: told, but not how much' dies unknown agent logmon plugin writes supervisor
all_orders 'log collector and supervisor, before the end: told' dies 1001 logmon writes supervisor
run_test 'the agent stops' stop_agent
done_testing
