#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# In the machine: cgroup v2 alone, all of it ours.
NOMAD_TEST_DIR=/tmp/vm
mkdir -p $NOMAD_TEST_DIR/tmp
. test/lib.sh
. test/vm/lib-guest.sh
. test/lib/lib-limits.sh
DRIVER=$PWD/build/test/nomad-driver-test
CGROUPS=/sys/fs/cgroup
printf '{ "state_dir": "%s/state" }\n' "$T" >"$T/plugin.json"
CENSUS_DIRS=$T/state

t_pure() {
	is "$(awk '$3 ~ /^cgroup/ { print $3 }' /proc/self/mounts)" cgroup2 && is "$(cat /proc/self/cgroup)" 0::/ &&
		for c in cpuset cpu io memory pids; do like "$(cat $CGROUPS/cgroup.controllers)" "(^| )$c( |\$)" ||
		return 1; done
}
run_test 'cgroup v2 is all there is, with its controllers' t_pure

# The task's child dies, the task goes on and ends by itself: what then?  The kernel killed in it, and the code is its
# own.
t_oom_child() { task '{}' '{"MemoryMB":16}' 'perl -e '\''$x = "x" x (200 << 20)'\''; echo the child: $?; exit 3' &&
	is "$CODE" 3 && file_has "$T/out" 'the child: 137'; }
t_no_oom() { task '{}' '{"MemoryMB":64}' 'kill -9 $$' && is "$CODE" 137 && unlike "$(cat "$T/err")" 'out of memory'; }
t_bomb() {
	spawn_task '{"pids_max":50}' '{}' \
		'trap "" TERM; echo on; bomb() { while :; do bomb & done; }; bomb & exec sleep 4711' &&
		wait_for 60 'it runs' said on && sleep 2 &&
		end_task TERM; is "$CODE" 137 && is "$(task_cgroup)" ''
}
# Own session, no parent, deaf, stopped: only the cgroup holds them.
t_daemons() {
	spawn_task '{}' '{}' 'for i in 1 2 3; do (trap "" TERM HUP; setsid sleep 4711 & ) ; done;
		sh -c "kill -STOP \$\$" & echo on; exec sleep 4711' && wait_for 60 'it runs' said on &&
		wait_for 20 'four sleep' four && cg=$(task_cgroup) && [ -e "$cg/cgroup.kill" ] && end_task TERM
	is "$CODE" 143 && unlike "$(ps -o args)" 'sleep 4711'
}
four() { [ "$(ps -o args | grep -c '^sleep 4711')" -eq 4 ]; }
# cgroup.events says it, and nothing but the task is in its cgroup; the supervisor is elsewhere.
t_place() {
	spawn_task '{}' '{}' 'echo on; exec sleep 4711' && wait_for 60 'it runs' said on && cg=$(task_cgroup) &&
		is "$(wc -l <"$cg/cgroup.procs")" 1 && file_has "$cg/cgroup.events" 'populated 1' &&
		is "$(tr '\0' ' ' <"/proc/$(cat "$cg/cgroup.procs")/cmdline")" 'sleep 4711 ' &&
		[ "$(wc -l <$CGROUPS/nomad-drivers/supervisors/cgroup.procs)" -ge 1 ]
	_r=$?; end_task TERM; return $_r
}
# Two that want the whole processor get it as 1 to 9.
t_weight() {
	taskset 1 true || { skip_this 'no taskset'; return 0; }
	usage() { sed -n 's/^usage_usec //p' "$1/cpu.stat"; }
	tasks=
	for shares in 2000 18000; do
		spawn_task '{}' "{\"CPU\":$shares}" 'echo on; while :; do :; done' && wait_for 60 'it runs' said on ||
			return 1
		tasks="$tasks $TASK_PID"
	done
	a='' b=''
	for cg in $(task_cgroup); do
		taskset -p 1 "$(cat "$cg/cgroup.procs")" >/dev/null
		if [ "$(cat "$cg/cpu.weight")" -lt 200 ]; then a=$cg; else b=$cg; fi
	done
	a0=$(usage "$a") b0=$(usage "$b")
	sleep 6
	a1=$(($(usage "$a") - a0)) b1=$(($(usage "$b") - b0))
	# shellcheck disable=SC2086
	{ kill $tasks; wait $tasks; }
	echo "$a1 and $b1 microseconds"
	[ $a1 -gt 0 ] && [ $((b1 / a1)) -ge 4 ] && [ $((b1 / a1)) -le 16 ]
}

# The first task makes what all share.
task '{}' '{}' true >/dev/null
census_before
limits_tests
run_test 'memory: a child of the task that the OOM killer ended' t_oom_child
run_test 'memory: SIGKILL alone is no OOM' t_no_oom
run_test 'kill: a fork bomb' t_bomb
run_test 'kill: daemons, the deaf and the stopped' t_daemons
run_test 'the task is alone in its cgroup, the supervisor has another' t_place
run_test 'cpu.weight: shares are kept' t_weight
run_test 'nothing is left behind' census_after

for program in build/libnomadplugin/os/*_test build/libnomadplugin/os/linux/confine_test \
	build/libnomadplugin/supervisor/*_test; do
	unit "$program"
done
run_test 'nothing is left behind by the unit tests' census_after

if [ -x build/test/conformance.test ]; then
	(cd test/conformance && PLUGIN=$DRIVER ../../build/test/conformance.test -test.v -test.timeout 900s \
		${RUN:+-test.run "$RUN"}) >"$T/go.log" 2>&1
	test/go2tap "$T/go.log" >"$T/go.tap"
	relay conformance "$T/go.tap"
	run_test 'nothing is left behind by the conformance tests' census_after
else
	skip 'conformance tests' 'not built: test/lib/40-conformance.sh does'
fi
done_testing
