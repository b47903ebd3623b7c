#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# In the machine: systemd is PID 1, cgroup v2 alone, machined runs.
NOMAD_TEST_DIR=/var/lib/vm
mkdir -p $NOMAD_TEST_DIR/tmp
. test/lib.sh
. test/nspawn/lib-nspawn.sh
need_root_tree
CENSUS_DIRS=$T/state
# What systemd does by itself meanwhile is not ours.
CENSUS_IGNORE='^(process: .*(systemd|udev|dbus|agetty|machinectl)|cgroup: .*/(system|user|init)[.](slice|scope)|mount: /run/(credentials|user)|process: \(sd)'

t_systemd() {
	is "$(cat /proc/1/comm)" systemd && is "$(awk '$3 ~ /^cgroup/ { print $3 }' /proc/self/mounts)" cgroup2 &&
		wait_for 60 'D-Bus answers' busctl status >/dev/null
}
machines() { machinectl list --no-legend --no-pager; }
one_machine() { [ "$(machines | grep -c .)" -eq 1 ]; }
no_machine() { [ "$(machines | grep -c .)" -eq 0 ]; }
t_plain() { says "$(sh_config 'echo hello; cat /proc/self/cgroup; exit 0')" '^hello$'; }
t_code() { WANT=7; code_is "$(sh_config 'exit 7')" && WANT=137 && code_is "$(sh_config 'kill -9 $$')"; }
t_oom() {
	task "$(sh_config 'x=$(head -c 200000000 /dev/zero | tr "\0" x); echo ${#x}; sleep 9')" '.Resources = {MemoryMB: 32}' && [ "$CODE" -ne 0 ] &&
		file_has "$T/err" 'out of memory'
}
run_test 'PID 1 is systemd, cgroup v2 is all there is' t_systemd
task "$(sh_config 'true')"
systemctl start systemd-machined
census_before
run_test 'a container runs' t_plain
run_test 'exit codes and signals' t_code
run_test 'memory: the end by the OOM killer is told' t_oom
run_test 'nothing is left behind' nothing_left

# ---- Under Nomad, which has a cgroup of its own for each task ----------------------------
require_nomad
mkdir "$T/plugins" && cp "$DRIVER" "$T/plugins/"
printf 'plugin "nomad-driver-nspawn" {\n  config {\n    state_dir = "%s/state"\n  }\n}\n' "$T" >"$T/plugin.hcl"
service() { job_json "$1" nspawn "$2" "${4:-service}" | jq ".Job.TaskGroups[0].Tasks[0] |= (${3:-.})" >"$T/$1.json" && run_job "$T/$1.json"; }
scope() { find /sys/fs/cgroup/nomad.slice -type d -name "$ALLOC_ID.task.scope"; }
t_agent() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver nspawn; }
t_scope() {
	service scope "$(sh_config 'echo on; exec sleep 4711')" '.Resources.MemoryMB = 77' && wait_alloc "$ALLOC_ID" running 120 &&
		s=$(scope) && find "$s" -type d && [ -n "$s" ] && is "$(cat "$s/memory.max")" $((77 << 20)) && [ "$(find "$s" -name cgroup.procs -exec cat {} + | wc -l)" -ge 1 ]
}
measured() { api GET "/v1/client/allocation/$ALLOC_ID/stats" | jq -e '.Tasks.task.ResourceUsage | .MemoryStats.Usage > 0 and .CpuStats.Measured != null' >/dev/null; }
t_stats() { wait_for 60 'statistics' measured || { api GET "/v1/client/allocation/$ALLOC_ID/stats"; return 1; }; }
t_exec() { like "$("$NOMAD" alloc exec -i=false -t=false -task task "$ALLOC_ID" cat /proc/self/cgroup 2>&1)" '^0::/'; }
# systemd-machined takes what is in a unit, which a scope of Nomad's looks like; /nomad-drivers does not.
t_registered() {
	wait_for 20 'machinectl lists it' one_machine && machine=$(machines | awk '{ print $1 }') && machinectl status --no-pager "$machine" &&
		journalctl -q --no-pager -u systemd-machined | grep "New machine $machine"
}
t_stop() { s=$(scope); purge_job "$JOB_ID" && wait_for 20 'machined forgets it' no_machine && [ ! -e "$s" ]; }
run_test 'agent: it runs in a systemd unit, the driver is healthy' t_agent
run_test "agent: limits are on Nomad's scope, the processes below it" t_scope
run_test 'agent: statistics' t_stats
run_test 'agent: exec is in the cgroup of the task' t_exec
run_test 'agent: machinectl and the journal know it' t_registered
run_test 'agent: stop leaves neither scope nor machine' t_stop
done_testing
