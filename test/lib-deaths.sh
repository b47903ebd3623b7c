# shellcheck shell=sh
# SPDX-License-Identifier: MPL-2.0
#
# test/lib-deaths.sh: agent, plugin and both are killed at random moments of many starts, under a real agent.  To be
# sourced behind test/lib.sh, isolate and what the driver needs.
#
#   deaths FILE_NAME DRIVER CONFIG_JSON STATE_DIR   ROUNDS (1) rounds of each death, TASKS (20) tasks.  The plugins are
#                        in $T/plugins, the agent's part is $T/plugin.hcl.  The command of a task has the argument
#                        ": mark=${NOMAD_ALLOC_ID}; ...".  SEED repeats the moments, which are within SPREAD (1500) ms
#                        of the first start
#   instances            to be redefined where a task's process is another one: an allocation's id for each, sorted
#   at_rest              to be redefined where the census has to wait for something after a task
#   TASK_FILTER          jq, on each task

: "${ROUNDS:=1}" "${TASKS:=20}" "${SEED:=$(date +%s)}" "${SPREAD:=1500}"
[ -n "${TASK_FILTER:-}" ] || TASK_FILTER='.Resources = { CPU: 10, MemoryMB: 10 }'
# An agent that dies before it has stored how to reach a logmon leaves that one behind; one that dies between the answer
# and the event calls the allocation "pending" for ever, and keeps its directories.
CENSUS_IGNORE='^process: .*nomad logmon|^descriptor of [^:]*: /memfd:nomad-supervisor|^mount: .*/agent-one/data/alloc/'

# Processes whose arguments match $1 and carry a mark, without their own children: a shell that forks is two for a
# moment, which is long on a busy machine.
marked() {
	ps -eww -o pid= -o ppid= -o args= | awk -v like="$1" 'match($0, /mark=[0-9a-f-]+/) {
		id = substr($0, RSTART + 5, RLENGTH - 5); pid = $1; ppid = $2
		sub(/^ *[0-9]+ +[0-9]+ /, "")
		if ($0 ~ like) { of[pid] = id; parent[pid] = ppid } }
		END { for (p in of) if (of[parent[p]] != of[p]) print of[p] }' | sort
}
instances() { marked '^/bin/sh -c : mark='; }
at_rest() { :; }
# The list is not of one moment: what counts is seen twice.
_watch() {
	_before=
	while :; do
		_now=$(instances | uniq -d)
		for _a in $_now; do case $_before in *"$_a"*) echo "$_a" >>"$T/twice" ;; esac; done
		_before=$_now
		sleep 0.2
	done
}
_start() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver "$TASK_DRIVER"; }
# Sets MOMENT: seconds, less than SPREAD.
_next_moment() {
	SEED=$(((SEED * 1103515245 + 12345) % 2147483648))
	MOMENT=$(printf '%d.%03d' $((SEED / 65536 % SPREAD / 1000)) $((SEED / 65536 % SPREAD % 1000)))
}
_records() { find "$STATE_DIR/tasks" -name task 2>/dev/null | wc -l; }
_some_start() { [ "$(_records)" -gt 0 ]; }
# Of these no task was ever started: an allocation whose network is prepared needs the plugin, and fails if it is dead.
_never_tried() {
	api GET /v1/job/many/allocations | jq '[.[] | select(.ClientStatus == "failed" and .TaskStates == null)] | length'
}
# Not what Nomad says of the others: see above.
_all_run() {
	_want=$((TASKS - $(_never_tried)))
	[ "$(instances | wc -l)" = $_want ] && [ "$(instances | uniq | wc -l)" = $_want ]
}
_nothing() { [ "$(_records)" = 0 ] && [ -z "$(instances)" ]; }
_job() {
	job_json "$1" "$TASK_DRIVER" "$TASK_CONFIG" service | jq --argjson n "$2" \
		".Job.TaskGroups[0].Count = \$n | .Job.TaskGroups[0].Tasks[0] |= ($TASK_FILTER)" >"$T/$1.json"
}
_failures() {
	api GET /v1/job/many/allocations | jq -r '.[] | select(.ClientStatus == "failed") |
		.ID, .ClientDescription, (.TaskStates // {})[].Events[].DisplayMessage'
}
# A job that is stopped while its tasks start, or one that is not.
_round() {
	_next_moment
	_job many "$TASKS" && submit_job "$T/many.json" && wait_for 60 'a task starts' _some_start || return 1
	sleep "$MOMENT"
	case $1 in
	agent) stop_agent KILL && _start ;;
	plugin) kill -9 "$(plugin_pid "$PLUGIN_FILE")" && wait_driver "$TASK_DRIVER" ;;
	both) OLD_PLUGIN=$(plugin_pid "$PLUGIN_FILE"); stop_agent KILL; kill -9 "$OLD_PLUGIN"; _start ;;
	esac || return 1
	wait_for 120 'each task runs once' _all_run || { instances; "$NOMAD" job status many; _failures; return 1; }
	"$NOMAD" job stop -detach -purge many >/dev/null && wait_for 80 'no task is left' _nothing ||
		{ find "$STATE_DIR/tasks"; instances; return 1; }
}
_rounds() {
	ROUND=0
	while [ $ROUND -lt "$ROUNDS" ]; do
		_round "$1" || { echo "round $ROUND, killed after $MOMENT s"; return 1; }
		ROUND=$((ROUND + 1))
	done
	[ ! -s "$T/twice" ] || { sort "$T/twice" | uniq -c; return 1; }
}
_first() {
	_start && _job first 1 && run_job "$T/first.json" &&
		wait_alloc "$ALLOC_ID" running 120 && purge_job first && wait_for 20 'no task is left' _nothing &&
		wait_for 20 'the driver has come to rest' at_rest &&
		census_before "$(plugin_pid "$PLUGIN_FILE")"
}
_census_deaths() { census_after "$(plugin_pid "$PLUGIN_FILE")"; }

deaths() {
	PLUGIN_FILE=$1 TASK_DRIVER=$2 TASK_CONFIG=$3 STATE_DIR=$4
	run_test "$TASK_DRIVER: the state before, after a first task" _first
	[ $_failed -eq 0 ] || done_testing
	_watch >/dev/null 2>&1 &
	_watcher=$!
	for _who in agent plugin both; do
		run_test "$TASK_DRIVER: kill -9 of $_who while $TASKS tasks start, $ROUNDS times: each runs once" _rounds "$_who"
	done
	kill $_watcher
	wait $_watcher 2>/dev/null
	run_test "$TASK_DRIVER: nothing is left behind" _census_deaths
	stop_agent TERM 60
}
