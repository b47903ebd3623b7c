#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The stand-in fails, hangs or dies at each step: the error says so, and nothing is left behind.
. test/lib.sh
. test/pot/lib-pot.sh
isolate "$@"
requires jq python3
make_pot
pot_config '{ "command_timeout": 3, "prepare_timeout": 3, "start_timeout": 3 }'
mkdir -p "$T/data"; : >"$T/file"
config() {
	task_config "$1" "$(jq -n --arg t "$T" '{ copy: [$t + "/file:/copied"], mount: [$t + "/data:/data"],
		extra_hosts: ["db:192.0.2.7"], attributes: ["mlock:yes"], network_mode: "public-bridge" }')"
}
# Images come once only: where the import is to fail, it has to happen.
fresh() { rm -rf "$POT_DIR/state/jails"; rm -f "$POT_DIR"/state/control/*; }

fails() {		# STEP ORDER [PATTERN]
	fresh
	order "$1" "$2"
	run_task "$(config 'sleep 1000')"
	order "$1"
	[ $STATUS -ne 0 ] || { echo "it did not fail"; return 1; }
	[ $STATUS -ne 124 ] && [ $STATUS -ne 137 ] || { echo "run hung"; cat "$T/err"; return 1; }
	file_has "$T/err" "${3:-.}" && left_nothing
}
for step in prepare prepare.import prepare.clone set-attribute copy-in mount-in set-env set-hosts set-rss; do
	run_test "a failure at $step" fails $step fail "start pot 'nomad_"
done
for step in prepare prepare.import set-attribute copy-in mount-in set-env set-hosts set-rss; do
	run_test "no end at $step" fails $step hang 'did not end within 3 s'
done
for step in prepare prepare.import prepare.clone copy-in mount-in set-env set-rss; do
	run_test "a sudden death at $step" fails $step kill "start pot 'nomad_"
done
for step in start start.mount start.net start.jail; do
	run_test "a failure at $step" fails $step fail 'ended before the jail ran'
	run_test "a sudden death at $step" fails $step kill 'ended before the jail ran'
	run_test "no end at $step" fails $step hang 'did not run within'
done

# Once the jail runs the task counts as started.
ends_badly() {		# STEP ORDER
	fresh
	order "$1" "$2"
	run_task "$(config 'echo ran; sleep 2; exit 5')"
	order "$1"
	[ $STATUS -ne 0 ] && [ $STATUS -ne 124 ] || { echo "status $STATUS"; return 1; }
	left_nothing
}
run_test 'pot start dies with the jail just up' ends_badly start.started kill
run_test 'pot start dies before its cleaning up' ends_badly start.ended kill
run_test 'pot start fails before its cleaning up' ends_badly start.ended fail

recovers() {		# STATUS STEP ORDER...
	_want=$1 _step=$2; shift 2
	fresh
	order "$_step" "$@"
	run_task "$(config 'exit 5')"
	order "$_step"
	is $STATUS "$_want" && left_nothing
}
run_test 'destroy fails twice' recovers 5 destroy fail 2
run_test 'the data set is busy three times' recovers 5 destroy.zfs fail 3
run_test 'destroy hangs once' recovers 5 destroy hang 1
run_test 'last-run-stats fails once: the code is that of pot start' recovers 125 last-run-stats fail 1

t_stale_rule() {
	fresh
	run_task "$(config 'exit 0')"
	is $STATUS 0 && is "$(cat "$POT_DIR/state/rctl")" '' && left_nothing
}
run_test 'no rule of rctl stays' t_stale_rule
done_testing
