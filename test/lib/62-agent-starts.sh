#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A real Nomad agent is killed while its tasks start, and its plugin lives on: the next agent starts them again with
# other ids.  Of no allocation there are two instances.
. test/lib.sh
isolate "$@"
require_nomad
driver=$PWD/$BUILD/test/nomad-driver-test
[ -x "$driver" ] || skip_all "$driver is not built"
mkdir "$T/plugins" && cp "$driver" "$T/plugins/"
cat >"$T/plugin.hcl" <<CONFIG
plugin "nomad-driver-test" {
  config {
    state_dir = "$T/state"
  }
}
CONFIG
CENSUS_DIRS=$T/state
# An agent that dies before it has stored how to reach a logmon leaves that one behind.
CENSUS_IGNORE='^process: .*nomad logmon'
TASKS=8

start() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver testdriver; }
t_before() {
	start && job_json first testdriver '{"command": "true"}' >"$T/first.json" && run_job "$T/first.json" &&
		wait_alloc "$ALLOC_ID" complete && purge_job first && census_before "$(plugin_pid nomad-driver-test)"
}
submit() {
	job_json many testdriver "{\"command\": \"sleep 600\", \"mode\": \"$1\", \"delay_ms\": 3000}" service |
		jq --argjson n $TASKS '.Job.TaskGroups[0].Count = $n |
		.Job.TaskGroups[0].Tasks[0].Resources = { CPU: 10, MemoryMB: 10 }' >"$T/many.json"
	submit_job "$T/many.json"
}
records() { find "$T/state/tasks" -name task 2>/dev/null | wc -l; }
some_start() { [ "$(records)" -ge "$1" ]; }
# The first part of the allocation id of each supervisor.
supervisors() { pgrep -fa '^nomad-driver-testdriver: ' | sed -n 's/.* task-\([0-9a-f]*\)-.*/\1/p' | sort; }
all_run() {
	[ "$(api GET /v1/job/many/allocations |
		jq '[.[] | select(.ClientStatus == "running")] | length' 2>/dev/null)" = $TASKS ] &&
		[ "$(supervisors | wc -l)" = $TASKS ]
}
# kill_in_start MODE RECORDS: the agent dies when that many starts are under way.
kill_in_start() {
	submit "$1" && wait_for 60 'tasks start' some_start "$2" && plugin=$(plugin_pid nomad-driver-test) &&
		stop_agent KILL && [ -d "/proc/$plugin" ] && start || return 1
	wait_for 120 'each task runs once' all_run || { supervisors; return 1; }
	is "$(supervisors | uniq -d)" '' && is "$(records)" $TASKS && purge_job many &&
		wait_for 60 'no task is left' no_record
}
no_record() { [ "$(records)" = 0 ] && [ -z "$(supervisors)" ]; }
t_census() { census_after "$(plugin_pid nomad-driver-test)"; }

run_test 'the state before, after a first task' t_before
run_test 'agent kill -9 at the first start: each task runs once' kill_in_start slow 1
run_test 'agent kill -9 while all start: each task runs once' kill_in_start slow $TASKS
run_test 'agent kill -9 while all start, with starts that notice the cancellation' kill_in_start waits $TASKS
run_test 'nothing is left behind' t_census
stop_agent TERM 60
done_testing
