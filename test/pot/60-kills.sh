#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Tasks under random deaths (plugin, agent, both, supervisor) and random failures of pot's sub-commands: every exit code
# that is reported is true, and nothing is left within 30 s.  KILL_TASKS=60 make it long, KILL_SEED=N repeats a run.
. test/lib.sh
. test/pot/lib-pot.sh
isolate "$@"
requires jq python3
require_nomad
: "${KILL_TASKS:=12}" "${KILL_SEED:=$(date +%s)}"
[ -z "${NOMAD_TEST_LONG:-}" ] || KILL_TASKS=60
diag "KILL_TASKS=$KILL_TASKS KILL_SEED=$KILL_SEED"
make_pot
mkdir "$T/plugins"
cp "$BUILD/plugins/nomad-driver-pot" "$T/plugins/"
GC_GRACE=10
agent_config
sed -i 's/^    gc_grace/    command_timeout = 10\n&/' "$T/plugin.hcl"

# Each draw sets a variable: in a subshell it would not count.
perl -e 'srand($ARGV[0]); print int(rand(1e6)), "\n" for 1 .. 5000' "$KILL_SEED" >"$T/random"
_draw=0
random() {		# N: _r, below it
	_draw=$((_draw + 1))
	_r=$(($(sed -n "${_draw}p" "$T/random") % $1))
}
pick() { random $#; shift "$_r"; _picked=$1; }		# WORD...
supervisors() { pgrep -f '^nomad-driver-pot: task-'; }
other_agent() { stop_agent KILL && start_pot_agent; }
kill_plugin() { _p=$(pot_plugin); [ -z "$_p" ] || kill -9 "$_p" 2>/dev/null; }
# Steps that never change the code of a task that has started.
STEPS='prepare prepare.import prepare.clone set-attribute mount-in set-env set-rss signal info'
STEPS="$STEPS destroy destroy.zfs destroy.half mount-in.mounted start.ended stop.jail stop.net stop.mount last-run-stats"
harm() {		# JOB
	random 8
	case $_r in
	0) _harm='plugin killed'; kill_plugin ;;
	1) _harm='agent killed'; other_agent ;;
	2) _harm='both killed'; kill_plugin; other_agent ;;
	3) _harm='supervisor killed'
		# shellcheck disable=SC2046
		pick $(supervisors) 0
		[ "$_picked" = 0 ] || kill -9 "$_picked" 2>/dev/null ;;
	*)
		# shellcheck disable=SC2086
		pick $STEPS
		_step=$_picked
		# A prepare that hangs keeps all others waiting, and the cleanup of a start its own task.
		case $_step in prepare* | start.* | stop.* | last-run-stats) pick fail kill ;;
			*) pick fail kill hang ;; esac
		_harm="$_picked at $_step"
		order "$_step" "$_picked" 1 ;;
	esac
	echo "$1: $_harm" >>"$T/harm"
}
# At most four at a time, which is what they need of the machine.
unfinished() {
	api GET /v1/allocations | jq '[.[].ClientStatus | select(. == "pending" or . == "running")] | length'
}
room() { [ "$(unfinished)" -lt "${1:-4}" ]; }
t_run() {
	start_pot_agent || return 1
	for i in $(seq "$KILL_TASKS"); do
		wait_for 120 'there is room' room || return 1
		random 4
		job_json "k$i" pot "$(task_config "sleep $_r; exit $((i % 7 + 1))")" >"$T/k.json" &&
			submit_job "$T/k.json" || return 1
		random 10
		sleep "0.$_r"
		harm "k$i"
	done
	# An order that nobody has taken would hit the end.
	wait_for 240 'all have ended' room 1 ||
		{ api GET /v1/allocations | jq -c '.[] | [.JobID, .ClientStatus]'; return 1; }
}
run_test "$KILL_TASKS tasks end despite random kills" t_run
t_codes() {
	_bad=0 _told=0
	for i in $(seq "$KILL_TASKS"); do
		api GET "/v1/job/k$i/allocations" | jq -r '.[].TaskStates.task.Events[]? |
			select(.Type == "Terminated").Details | "\(.exit_code) \(.exit_message // "")"' >"$T/ends"
		while read -r _code _why; do
			if [ -n "$_why" ]; then continue; fi
			_told=$((_told + 1))
			[ "$_code" = $((i % 7 + 1)) ] ||
				{ echo "k$i: exit code $_code instead of $((i % 7 + 1)); $_why"; _bad=1; }
		done <"$T/ends"
	done
	echo "$_told exit codes"
	[ $_bad -eq 0 ] && [ $_told -ge $((KILL_TASKS / 3)) ] || { cat "$T/harm"; return 1; }
}
run_test 'every reported exit code is correct' t_codes
t_census() {
	rm -f "$POT_DIR"/state/control/*
	for i in $(seq "$KILL_TASKS"); do "$NOMAD" job stop -detach -purge "k$i" >/dev/null 2>&1; done
	api PUT /v1/system/gc >/dev/null
	wait_for 30 'no pot is left' quiet pot_census || { pot_census; ls "$T/s/tasks"; cat "$T/harm"; return 1; }
}
run_test 'nothing is left within 30 s' t_census
t_end() { stop_agent && is "$(pgrep -f 'pot start|nomad-driver-pot' | tr '\n' ' ')" ''; }
run_test 'the end: no process' t_end
done_testing
