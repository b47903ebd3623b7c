#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A real Nomad agent with the test driver as its only plugin.
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
    greeting  = "from the agent"
    labels {
      a = "b"
    }
  }
}
CONFIG
CENSUS_DIRS=$T/state

start() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver testdriver; }
# job ID COMMAND [OPTIONS_JSON]
job() {
	job_json "$1" testdriver "$(jq -n --arg c "$2" --argjson o "${3:-{\}}" '{ command: $c } + $o')" >"$T/$1.json"
	run_job "$T/$1.json"
}
alloc_dir() { echo "$AGENT_DIR/data/alloc/$ALLOC_ID"; }

t_healthy() {
	start && info=$(node_driver testdriver) && echo "$info" &&
		is "$(echo "$info" | jq -r .HealthDescription)" Healthy &&
		is "$(api GET "/v1/node/$NODE_ID" | jq -r '.Attributes["driver.testdriver.greeting"]')" \
		'from the agent' &&
		is "$(api GET "/v1/node/$NODE_ID" | jq -r '.Attributes["driver.testdriver"]')" 1
}
t_before() {
	job first true && wait_alloc "$ALLOC_ID" complete && purge_job first &&
		census_before "$(plugin_pid nomad-driver-test)"
}
t_exit_0() {
	job zero 'echo to stdout; echo to stderr >&2; exit 0' && wait_alloc "$ALLOC_ID" complete &&
		is "$(task_exit_code "$ALLOC_ID" task)" 0 && ALLOC_ZERO=$ALLOC_ID
}
t_logs() {
	wait_for 20 'stdout is there' logs_are "$ALLOC_ZERO" stdout 'to stdout' &&
		wait_for 20 'stderr is there' logs_are "$ALLOC_ZERO" stderr 'to stderr'
}
logs_are() { [ "$(alloc_logs "$1" task "$2" 2>/dev/null)" = "$3" ]; }
t_exit_7() {
	job seven 'exit 7' && wait_alloc "$ALLOC_ID" failed && is "$(task_exit_code "$ALLOC_ID" task)" 7
}
t_signal_death() {
	job nine 'kill -9 $$' && wait_alloc "$ALLOC_ID" failed &&
		is "$(task_state "$ALLOC_ID" task |
		jq -r '[.Events[] | select(.Type == "Terminated")] | last | .Details.signal')" 9
}
t_events() { like "$(task_events "$ALLOC_ZERO" task)" '^Driver: .*starting task'; }
t_misspelt() {
	job misspelt 'true' '{"cuont": 5}' && wait_alloc "$ALLOC_ID" failed &&
		like "$(task_events "$ALLOC_ID" task)" cuont
}
t_out_of_bounds() {
	job bounds 'true' '{"count": 101}' && wait_alloc "$ALLOC_ID" failed &&
		like "$(task_events "$ALLOC_ID" task)" "Driver Failure.*count.*101.*1.*100"
}
t_failing_start() {
	job_json failing testdriver '{"mode": "fail"}' |
		jq '.Job.TaskGroups[0].RestartPolicy = { Attempts: 3, Interval: 300000000000, Delay: 1000000000,
		Mode: "fail" }' >"$T/failing.json"
	run_job "$T/failing.json" && wait_alloc "$ALLOC_ID" failed &&
		like "$(task_events "$ALLOC_ID" task)" "told to fail" &&
		like "$(task_events "$ALLOC_ID" task)" 'unrecoverable'
}
t_retryable_start() {
	job_json retry testdriver '{"mode": "fail-retryable"}' |
		jq '.Job.TaskGroups[0].RestartPolicy = { Attempts: 1, Interval: 300000000000, Delay: 1000000000,
		Mode: "fail" }' >"$T/retry.json"
	run_job "$T/retry.json" && wait_alloc "$ALLOC_ID" failed && task_events "$ALLOC_ID" task &&
		is "$(task_state "$ALLOC_ID" task | jq .Restarts)" 1
}
t_exec() {
	job service 'i=0; trap "echo got HUP" HUP; trap "echo bye; exit 0" TERM; while :; do echo line $i; i=$((i + 1)); sleep 0.1; done' &&
		wait_alloc "$ALLOC_ID" running && ALLOC_SERVICE=$ALLOC_ID || return 1
	out=$("$NOMAD" alloc exec -t=false -i=false "$ALLOC_ID" /bin/sh -c 'echo $NOMAD_TASK_NAME; exit 43')
	status=$?
	is "$out" task && is $status 43 || return 1
	out=$(echo piped | timeout 60 "$NOMAD" alloc exec -t=false -i=true "$ALLOC_ID" cat)
	is "$out" piped
}
t_exec_tty() {
	command -v script >/dev/null || { skip_this 'no script(1)'; return 0; }
	out=$(timeout 60 script -qec "$NOMAD alloc exec -i=true -t=true $ALLOC_SERVICE /bin/sh -c 'tty >/dev/null && echo a terminal; stty size; echo \$NOMAD_TASK_NAME; exit 44'" /dev/null </dev/null)
	status=$?
	echo "$out" && is $status 44 && like "$out" 'a terminal' && like "$out" '^[0-9]+ [0-9]+' && like "$out" '^task'
}
# What it writes comes while it runs.  The agent looks for its client when there is something to tell, so the command
# speaks.
t_exec_ends() {
	"$NOMAD" alloc exec -t=false -i=false "$ALLOC_SERVICE" /bin/sh -c \
		'echo begun; while :; do echo on 4713; sleep 0.2; done' >"$T/exec.out" 2>&1 &
	_client=$!
	wait_for 30 'its output' grep -q begun "$T/exec.out" && ! no_exec && kill -KILL $_client
	wait $_client 2>/dev/null
	wait_for 60 'the command is gone' no_exec
}
no_exec() { ! pgrep -f '^/bin/sh -c echo begun; while' >/dev/null; }
t_signal() {
	"$NOMAD" alloc signal -s SIGHUP "$ALLOC_SERVICE" && wait_for 20 'the signal arrives' has_line 'got HUP' ||
		return 1
	out=$("$NOMAD" alloc signal -s SIGFOO "$ALLOC_SERVICE" 2>&1) && { echo 'SIGFOO was accepted'; return 1; }
	like "$out" SIGFOO
}
has_line() { alloc_logs "$ALLOC_SERVICE" task | grep -q "$1"; }
t_stats() { wait_for 30 'memory is shown' has_stats; }
has_stats() {
	api GET "/v1/client/allocation/$ALLOC_SERVICE/stats?node_id=$NODE_ID" |
		jq -e '.Tasks.task.ResourceUsage.MemoryStats | (.RSS + .Usage) > 100000' >/dev/null 2>&1
}
# The task's pid: it writes no file, so ask the process table.
service_pid() { pgrep -f '^/bin/sh -c i=0; trap' | head -n 1; }
# Every line once, in order.
no_gap() {
	alloc_logs "$ALLOC_SERVICE" task |
		awk '/^line/ { if ($2 != n++) { print "at line " NR ": " $0 ", expected " n - 1;
		exit 1 } } END { exit n < 10 }'
}
t_plugin_killed() {
	pid=$(service_pid) && plugin=$(plugin_pid nomad-driver-test) && [ -n "$plugin" ] && kill -9 "$plugin" &&
		wait_for 60 'another plugin runs' new_plugin "$plugin" && wait_driver testdriver || return 1
	# The socket of a process that was killed is nobody's: it is for us to remove.
	stale_sockets | xargs -r rm
	is "$(service_pid)" "$pid" && is "$(alloc_status "$ALLOC_SERVICE")" running &&
		wait_for 60 'exec works again' exec_works && no_gap
}
new_plugin() { _new=$(plugin_pid nomad-driver-test) && [ -n "$_new" ] && [ "$_new" != "$1" ]; }
exec_works() { timeout 20 "$NOMAD" alloc exec -t=false -i=false "$ALLOC_SERVICE" true >/dev/null 2>&1; }
t_agent_killed() {
	pid=$(service_pid) && stop_agent KILL && [ -d "/proc/$pid" ] && start &&
		wait_for 60 'the allocation runs again' _alloc_is "$ALLOC_SERVICE" running &&
		same_pid "$pid" && wait_for 60 'exec works again' exec_works && no_gap
}
no_plugin() { [ -z "$(plugin_pid nomad-driver-test)" ]; }
t_agent_term() {
	pid=$(service_pid) && stop_agent TERM 60 && [ -d "/proc/$pid" ] &&
		wait_for 20 'the plugin has ended' no_plugin && is "$(stale_sockets)" '' && start &&
		wait_for 60 'exec works again' exec_works &&
		same_pid "$pid" && no_gap
}
same_pid() {
	is "$(service_pid)" "$1" && return 0
	task_events "$ALLOC_SERVICE" task
	grep -nE 'nomad-driver-test|testdriver|recover|restor' "$AGENT_DIR/agent.log" | grep -v 'http:' | tail -n 25
	return 1
}
# Sockets that nobody listens on.  Nomad's logmon processes have theirs.
stale_sockets() {
	ss -xlH | awk '{ print $5 }' >"$T/listening"
	find "$AGENT_DIR/tmp" "$T/tmp" -type s 2>/dev/null | grep -vxF -f "$T/listening"
}
t_exit_while_down() {
	job later 'while [ ! -e local/go ]; do sleep 0.1; done; echo late; exit 23' && wait_alloc "$ALLOC_ID" running &&
		later=$ALLOC_ID && stop_agent KILL || return 1
	plugin=$(plugin_pid nomad-driver-test)
	[ -z "$plugin" ] || kill -9 "$plugin"
	touch "$(alloc_dir)/task/local/go"
	wait_for 30 'the task has ended' gone_task && start && wait_alloc "$later" failed &&
		is "$(task_exit_code "$later" task)" 23 && is "$(alloc_logs "$later" task)" late
}
gone_task() { ! pgrep -f '^/bin/sh -c while \[ ! -e local/go' >/dev/null; }
t_stop() {
	ALLOC_ID=$ALLOC_SERVICE
	"$NOMAD" job stop -detach service >/dev/null && wait_alloc "$ALLOC_ID" complete &&
		wait_for 20 'the last line is there' has_line bye && is "$(service_pid)" ''
}
t_many() {
	job_json many testdriver '{"command": "sleep 600"}' service | jq '.Job.TaskGroups[0].Count = 20 |
		.Job.TaskGroups[0].Tasks[0].Resources = { CPU: 10, MemoryMB: 10 }' >"$T/many.json"
	run_job "$T/many.json" && wait_for 120 '20 tasks run' runs_all 20 || return 1
	"$NOMAD" job stop -detach many >/dev/null && wait_for 120 'all are stopped' runs_all 0
}
runs_all() { [ "$(api GET /v1/job/many/allocations | jq '[.[] | select(.ClientStatus == "running")] | length')" = "$1" \
	]; }
t_census() {
	for j in zero seven nine misspelt bounds failing retry service later many; do purge_job "$j" || return 1; done
	census_after "$(plugin_pid nomad-driver-test)"
}
t_end() {
	stop_agent TERM 60 && wait_for 20 'no process is left' nobody
}
nobody() { ! pgrep -f 'nomad-driver-test|/bin/sh -c' >/dev/null; }
t_no_panic() { ! grep -nE 'panic|unexpected EOF|plugin failed to exit gracefully|Unrecognized remote plugin' \
	"$AGENT_DIR/agent.log"; }

run_test 'the node shows the driver healthy' t_healthy
run_test 'the state before, after a first task' t_before
run_test 'a batch job that exits 0' t_exit_0
run_test 'nomad alloc logs shows stdout and stderr' t_logs
run_test 'a batch job that exits 7' t_exit_7
run_test 'a task killed by signal 9' t_signal_death
run_test 'the driver sends events' t_events
run_test 'a misspelt option is named' t_misspelt
run_test 'a value out of bounds is named, and what is allowed' t_out_of_bounds
run_test 'a failed start reports the reason and is not retried' t_failing_start
run_test 'a retryable start is retried' t_retryable_start
run_test 'nomad alloc exec: exit code and stdin' t_exec
run_test 'nomad alloc exec with a terminal: size, environment, exit code' t_exec_tty
run_test 'nomad alloc exec is killed: its command is killed too' t_exec_ends
run_test 'nomad alloc signal' t_signal
run_test 'nomad shows statistics' t_stats
run_test 'plugin kill -9: same pid, no gap in the logs, exec' t_plugin_killed
run_test 'agent kill -9 and restart: same pid, no gap in the logs, exec' t_agent_killed
run_test 'agent SIGTERM and restart: the agent exits, no socket, same pid, no gap' t_agent_term
run_test 'a task exits while agent and plugin are down: its exit code is reported' t_exit_while_down
run_test 'a stopped job gets SIGTERM' t_stop
run_test '20 tasks' t_many
run_test 'nothing is left behind' t_census
run_test 'the agent exits and ends its plugin' t_end
run_test 'the agent log has no panic and no unexpected error' t_no_panic
done_testing
