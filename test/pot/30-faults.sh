#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The stand-in fails, hangs or dies at each step: the error says so, and nothing is left behind.
. test/lib.sh
. test/pot/lib-pot.sh
isolate "$@"
requires jq python3

# Only where something is to hang is a short time-out wanted: a busy machine is slow.
limits() {		# ORDER
	_s=60
	[ "$1" != hang ] || _s=10
	pot_config "$(jq -n --argjson s $_s '{ command_timeout: $s, prepare_timeout: $s, start_timeout: $s }')"
}
config() {
	mkdir -p "$T/data"; : >"$T/file"
	task_config "$1" "$(jq -n --arg t "$T" '{ copy: [$t + "/file:/copied"], mount: [$t + "/data:/data"],
		extra_hosts: ["db:192.0.2.7"], attributes: ["mlock:yes"], network_mode: "public-bridge" }')"
}

fails() {		# STEP ORDER [PATTERN]
	limits "$2"
	order "$1" "$2"
	run_task "$(config 'sleep 1000')"
	order "$1"
	[ $STATUS -ne 0 ] || { echo "it did not fail"; return 1; }
	[ $STATUS -ne 124 ] && [ $STATUS -ne 137 ] || { echo "run hung"; cat "$T/err"; return 1; }
	file_has "$T/err" "${3:-.}" && left_nothing
}
for step in prepare prepare.import prepare.clone set-attribute copy-in mount-in set-env set-hosts set-rss; do
	in_parallel "a failure at $step" fails $step fail "start pot 'nomad_"
done
for step in prepare set-attribute copy-in mount-in set-env set-hosts set-rss; do
	in_parallel "the reason of a failure at $step" fails $step fail \
		"ordered to fail at $step.*'pot $step' ended with 1"
done
for step in prepare prepare.import set-attribute copy-in mount-in set-env set-hosts set-rss; do
	in_parallel "hang at $step" fails $step hang 'did not end within 10 s'
done
for step in prepare prepare.import prepare.clone set-attribute copy-in copy-in.mounted mount-in mount-in.mounted \
	set-env \
	set-hosts set-rss; do
	in_parallel "kill at $step" fails $step kill "start pot 'nomad_"
done
for step in start start.mount start.net start.jail; do
	in_parallel "a failure at $step" fails $step fail 'ended before the jail ran'
	in_parallel "kill at $step" fails $step kill 'ended before the jail ran'
	in_parallel "hang at $step" fails $step hang 'did not run within'
done

# Once the jail runs the task counts as started.
ends_badly() {		# STEP ORDER
	limits "$2"
	order "$1" "$2"
	run_task "$(config 'echo ran; sleep 2; exit 5')"
	order "$1"
	[ $STATUS -ne 0 ] && [ $STATUS -ne 124 ] || { echo "status $STATUS"; return 1; }
	left_nothing
}
in_parallel 'pot start dies just after the jail has started' ends_badly start.started kill
in_parallel 'pot start dies before its cleanup' ends_badly start.ended kill
in_parallel 'pot start fails before its cleanup' ends_badly start.ended fail

recovers() {		# STATUS STEP ORDER...
	_want=$1 _step=$2; shift 2
	limits "$1"
	order "$_step" "$@"
	run_task "$(config 'exit 5')"
	order "$_step"
	is $STATUS "$_want" && left_nothing || { cat "$T/err"; return 1; }
}
in_parallel 'destroy fails twice' recovers 5 destroy fail 2
in_parallel 'the data set is busy three times' recovers 5 destroy.zfs fail 3
in_parallel 'destroy hangs once' recovers 5 destroy hang 1
in_parallel 'destroy dies with the pot partly removed' recovers 5 destroy.half kill 1
# pot then refuses to stop or destroy the pot, whose status stays "stopping", and knows its interface no longer.
for step in stop.jail stop.net stop.mount; do
	in_parallel "pot start dies in its cleanup, at $step" recovers 5 $step kill 1
done
in_parallel 'last-run-stats fails once' recovers 5 last-run-stats fail 1
in_parallel 'last-run-stats dies twice' recovers 5 last-run-stats kill 2
in_parallel 'last-run-stats always fails: pot start'"'"'s exit code is reported' recovers 125 last-run-stats fail

t_half_image() {
	limits kill
	order prepare.receive kill 1
	run_task "$(config 'exit 5')"
	[ $STATUS -ne 0 ] && run_task "$(config 'exit 5')"
	[ $STATUS = 5 ] || run_task "$(config 'exit 5')"
	is $STATUS 5 && left_nothing || { cat "$T/err"; return 1; }
}
in_parallel 'an image of an interrupted import is removed and imported again' t_half_image

ended() { cat "$POT_DIR"/state/jails/nomad_*/conf/.last_run_stats >/dev/null 2>&1; }
t_hang_at_end() {
	limits none
	order start.ended hang
	job "$(config 'exit 5')"
	"$BUILD/plugins/nomad-driver-pot" run --config "$T/config.json" "$T/job.json" >"$T/out" 2>"$T/err" &
	_run=$! STATUS=0
	wait_for 60 'the command has ended' ended || return 1
	kill $_run
	wait $_run || STATUS=$?
	is $STATUS 5 && left_nothing || { cat "$T/err"; return 1; }
}
in_parallel 'pot start hangs after its task has ended: a stop ends it, the exit code is correct' t_hang_at_end

t_stale_rule() {
	limits none
	run_task "$(config 'exit 0')"
	is $STATUS 0 && is "$(cat "$POT_DIR/state/rctl")" '' && left_nothing
}
in_parallel 'no rctl rule is left' t_stale_rule
wait_parallel
done_testing
