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
	task "$(sh_config 'x=$(head -c 200000000 /dev/zero | tr "\0" x); echo ${#x}; sleep 9')" \
		'.Resources = {MemoryMB: 32}' && [ "$CODE" -ne 0 ] &&
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

# ---- In a unit of systemd, which is restarted, as an upgrade of a package does ------------
# The plugin's caller is the unit: `run` stands in for an agent.
unit() { systemctl show --property="$1" --value vm-plugin.service; }
unit_up() { systemd-run --quiet --unit=vm-plugin --service-type=exec --property=KillMode=process \
	--property=Delegate=yes --working-directory="$PWD" \
	--property=StandardOutput="append:$T/unit.out" --property=StandardError="append:$T/unit.err" "$PWD/$DRIVER" \
	run --config "$T/plugin.json" "$T/unit.json"; }
lines() { grep -c '^tick' "$T/unit.out"; }
ticked() { [ "$(lines)" -gt "$1" ]; }
of_task() { "$DRIVER" ps --config "$T/plugin.json" --json | jq -r ".[0].$1"; }
t_unit() {
	task_json "$(sh_config 'while :; do echo tick; sleep 1; done')" '.Resources = { MemoryMB: 55, CPU: 100 }' \
		>"$T/unit.json" && unit_up &&
		wait_for 90 'the task writes' ticked 0 && UNIT_PID=$(of_task pid) &&
		UNIT_SUPER=$(of_task supervisor_pid) && [ -d "/proc/$UNIT_PID" ]
}
cgroup_of() { sed -n 's/^0:://p' "/proc/$1/cgroup"; }
t_unit_place() {
	is "$(cgroup_of "$(unit MainPID)")" /system.slice/vm-plugin.service &&
		is "$(cgroup_of "$UNIT_SUPER")" /nomad-drivers/supervisors &&
		like "$(cgroup_of "$UNIT_PID")" '^/nomad-drivers/'
}
task_limits() { cat "/sys/fs/cgroup$(cgroup_of "$UNIT_PID" | cut -d/ -f1-3)/$1"; }
t_unit_limits() { is "$(task_limits memory.max)" $((55 << 20)); }
# systemd goes over the controllers of the root when units come and go.
t_reload() {
	systemctl daemon-reload && systemctl daemon-reexec && wait_for 60 'systemd answers' systemctl show \
		--property=Version >/dev/null &&
		[ -d "/proc/$UNIT_PID" ] && t_unit_limits && t_unit_place
}
# SIGKILL: what a stop of `run` would do with its task is not asked here.
t_unit_killed() {
	systemctl kill --kill-whom=main --signal=KILL vm-plugin && wait_for 30 'the unit is down' unit_down &&
		[ -d "/proc/$UNIT_PID" ] &&
		[ -d "/proc/$UNIT_SUPER" ] && is "$(of_task state)" running && is "$(of_task pid)" "$UNIT_PID" &&
		is "$(of_task claimed)" false && t_unit_limits
}
unit_down() { [ "$(unit MainPID)" = 0 ]; }
t_unit_gc() {
	is "$("$DRIVER" gc --config "$T/plugin.json")" '' && [ -d "/proc/$UNIT_PID" ] &&
		"$DRIVER" gc --running --config "$T/plugin.json" && wait_for 20 'it is gone' pid_gone "$UNIT_PID" &&
		wait_for 20 'machined forgets it' no_machine
}
run_test 'a unit runs the plugin: the task runs' t_unit
run_test 'the plugin is in the unit, supervisor and task are outside' t_unit_place
run_test 'limits of the task' t_unit_limits
run_test 'systemd reloads and re-executes itself: the task is where it was, with its limits' t_reload
run_test 'the unit dies: supervisor and task live, and are known to ps' t_unit_killed
run_test 'gc leaves what runs; gc --running ends it, machined forgets it' t_unit_gc
systemctl reset-failed vm-plugin 2>/dev/null
run_test 'nothing is left behind by the unit' nothing_left

# ---- Under Nomad, which has a cgroup of its own for each task ----------------------------
require_nomad
mkdir "$T/plugins" && cp "$DRIVER" "$T/plugins/"
printf 'plugin "nomad-driver-nspawn" {\n  config {\n    state_dir = "%s/state"\n    policy {\n      mode = "open"\n    }\n  }\n}\n' "$T" >"$T/plugin.hcl"
service() { job_json "$1" nspawn "$2" "${4:-service}" | jq ".Job.TaskGroups[0].Tasks[0] |= (${3:-.})" >"$T/$1.json" &&
	run_job "$T/$1.json"; }
scope() { find /sys/fs/cgroup/nomad.slice -type d -name "$ALLOC_ID.task.scope"; }
t_agent() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver nspawn; }
t_scope() {
	service scope "$(sh_config 'echo on; exec sleep 4711')" '.Resources.MemoryMB = 77' &&
		wait_alloc "$ALLOC_ID" running 120 &&
		s=$(scope) && find "$s" -type d && [ -n "$s" ] && is "$(cat "$s/memory.max")" $((77 << 20)) &&
		[ "$(find "$s" -name cgroup.procs -exec cat {} + | wc -l)" -ge 1 ]
}
measured() { api GET "/v1/client/allocation/$ALLOC_ID/stats" |
	jq -e '.Tasks.task.ResourceUsage | .MemoryStats.Usage > 0 and .CpuStats.Measured != null' >/dev/null; }
t_stats() { wait_for 60 'statistics' measured || { api GET "/v1/client/allocation/$ALLOC_ID/stats"; return 1; }; }
t_exec() { like "$("$NOMAD" alloc exec -i=false -t=false -task task "$ALLOC_ID" cat /proc/self/cgroup 2>&1)" '^0::/'; }
# systemd-machined takes what is in a unit, which a scope of Nomad's looks like; /nomad-drivers does not.
t_registered() {
	wait_for 20 'machinectl lists it' one_machine && machine=$(machines | awk '{ print $1 }') &&
		machinectl status --no-pager "$machine" &&
		journalctl -q --no-pager -u systemd-machined | grep "New machine $machine"
}
# The agent as a unit of its own, which is restarted: same pid, the exit code is the true one.
nomad_unit_up() { systemd-run --quiet --unit=vm-nomad --service-type=exec --property=KillMode=process \
	--property=Delegate=yes --setenv=TMPDIR="$AGENT_DIR/tmp" \
	--property=StandardOutput="append:$AGENT_DIR/agent.log" --property=StandardError="append:$AGENT_DIR/agent.log" \
	"$NOMAD" agent -config="$AGENT_DIR/agent.hcl" -config="$T/plugin.hcl"; }
leader() { "$DRIVER" ps --config "$T/plugin.json" --json | jq -r --arg a "$ALLOC_ID" '.[] | select(.alloc == $a).pid'; }
agent_unit_ready() { AGENT_PID=$(systemctl show --property=MainPID --value vm-nomad) && _agent_ready; }
t_restart() {
	pid=$(leader) && [ "$pid" -gt 0 ] && stop_agent TERM && [ -d "/proc/$pid" ] && nomad_unit_up &&
		wait_for 120 'the agent is up' agent_unit_ready && wait_driver nspawn 120 &&
		wait_for 60 'the allocation runs' _alloc_is "$ALLOC_ID" running && is "$(leader)" "$pid" &&
		systemctl restart vm-nomad && [ -d "/proc/$pid" ] &&
		wait_for 120 'the agent is up' agent_unit_ready && wait_driver nspawn 120 &&
		wait_for 60 'the allocation runs' _alloc_is "$ALLOC_ID" running && is "$(leader)" "$pid" &&
		s=$(scope) && is "$(cat "$s/memory.max")" $((77 << 20)) &&
		is "$(cgroup_of "$AGENT_PID")" /system.slice/vm-nomad.service && t_exec
}
t_stop() { s=$(scope); purge_job "$JOB_ID" && wait_for 20 'machined forgets it' no_machine && [ ! -e "$s" ]; }
run_test 'agent: it runs in a systemd unit, the driver is healthy' t_agent
run_test "agent: limits are on Nomad's scope, the processes below it" t_scope
run_test 'agent: statistics' t_stats
run_test 'agent: exec is in the cgroup of the task' t_exec
run_test 'agent: machinectl and the journal know it' t_registered
run_test 'agent: as a unit with KillMode=process, restarted twice: the same process, limits and exec' t_restart
run_test 'agent: stop leaves neither scope nor machine' t_stop
done_testing
