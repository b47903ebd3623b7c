#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Limits of resources, looked at from within the task: with what cgroups this
# host has, and then with none.  cgroup v2 alone: test/vm/10-cgroup2.sh.
. test/lib.sh
. test/vm/lib-guest.sh
. test/lib/lib-limits.sh
requires jq perl
isolate "$@"
DRIVER=$PWD/$BUILD/test/nomad-driver-test
[ -x "$DRIVER" ] || skip_all "$DRIVER is not built"
printf '{ "state_dir": "%s/state" }\n' "$T" >"$T/plugin.json"
CENSUS_DIRS=$T/state
[ -r /dev/kmsg ] || { rm -f /dev/kmsg; mknod /dev/kmsg c 1 11; }

n_runs() { says '{"ulimit":[{"nofile":"111"}]}' '{"MemoryMB":16}' 'ulimit -n' 111; }
n_pids() { refused '{"pids_max":10}' 'limit of 10 processes cannot be applied.*pids controller'; }
n_devices() { refused '{"device_policy":"listed"}' 'devices cannot be restricted'; }
n_quota() { refused '{"cpu_hard_limit":true}' 'hard limit of CPU time cannot be applied.*cpu controller'; }
n_kill() {
	spawn_task '{}' '{}' 'for i in 1 2 3; do (trap "" TERM HUP; setsid sleep 4711 & ) ; done; echo on;
		exec sleep 4711' && wait_for 60 'it runs' said on &&
		wait_for 20 'four sleep' four && end_task TERM
	is "$CODE" 143 && wait_for 10 'nobody sleeps' none
}
four() { [ "$(pgrep -fc '^sleep 4711')" -eq 4 ]; }
none() { ! pgrep -f '^sleep 4711' >/dev/null; }

task '{}' '{}' true >/dev/null
census_before
limits_tests
run_test 'nothing is left behind' census_after
while awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/self/mounts | sort -r | xargs -r umount -l; do
	grep -qE ' cgroup2? ' /proc/self/mounts || break
done
run_test 'no cgroups: a task runs, with its rlimits' n_runs
run_test 'no cgroups: a limit on processes is refused' n_pids
run_test 'no cgroups: a device policy is refused' n_devices
run_test 'no cgroups: a hard limit of CPU time is refused' n_quota
run_test 'no cgroups: all child processes die with the task' n_kill
done_testing
