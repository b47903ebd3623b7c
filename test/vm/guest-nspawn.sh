#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# In the machine: its own root, booted once more as a container that throws its changes away.
NOMAD_TEST_DIR=/var/lib/vm
mkdir -p $NOMAD_TEST_DIR/tmp
. test/lib.sh
. test/nspawn/lib-nspawn.sh
need_root_tree
require_nomad
mkdir "$T/plugins" && cp "$DRIVER" "$T/plugins/"
printf 'plugin "nomad-driver-nspawn" {\n  config {\n    state_dir = "%s/state"\n  }\n}\n' "$T" >"$T/plugin.hcl"
# The unit that runs this test is in that root, too.
config='{"image":"/","ephemeral":true,"network_veth":false,"command":["systemd.mask=vm-test.service","systemd.mask=getty.target","systemd.mask=console-getty.service"]}'
service() {
	job_json "$1" nspawn "$2" service | jq '.Job.TaskGroups[0].Tasks[0] |= (.KillTimeout = 290000000000 | .Resources.MemoryMB = 512)' >"$T/$1.json" &&
		run_job "$T/$1.json" && wait_alloc "$ALLOC_ID" running 200
}
ex() { "$NOMAD" alloc exec -i=false -t=false -task task "$ALLOC_ID" "$@"; }
up() { ex systemctl is-system-running 2>&1 | grep -Eq '^(running|degraded)'; }
machines() { machinectl list --no-legend --no-pager; }
no_machine() { [ "$(machines | grep -c .)" -eq 0 ]; }
ended() { [ "$(task_state "$ALLOC_ID" task | jq -r .State)" = dead ]; }
policy() { like "$(ex /bin/sh -c 'mknod /run/disk b 254 0 && dd if=/run/disk of=/dev/null count=1 || echo refused' 2>&1)" refused; }

t_agent() { systemctl start systemd-machined && start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver nspawn; }
t_boot() { service system "$config" && wait_for 200 'systemd in the container is up' up && is "$(ex cat /proc/1/comm)" systemd; }
one_machine() { [ "$(machines | grep -c .)" -eq 1 ]; }
t_registered() {
	wait_for 20 'machinectl lists it' one_machine || { grep machined "$AGENT_DIR/agent.log"; journalctl -q --no-pager -u systemd-machined; return 1; }
	machine=$(machines | awk '{ print $1 }') && [ -n "$machine" ] && machinectl status --no-pager "$machine" >"$T/status" &&
		file_has "$T/status" 'Class: container|; container|container' && is "$(machinectl show -p Id --value "$machine")" "$(echo "$ALLOC_ID" | tr -d -)" &&
		like "$(machinectl show -p Service --value "$machine")" nomad-driver-nspawn && is "$(machinectl show -p Leader --value "$machine")" "$(pgrep -P "$(pgrep -x systemd-nspawn)")"
}
t_journal() { journalctl -q --no-pager -u systemd-machined | grep "New machine $machine"; }
t_unit() { like "$(ex systemd-run --wait --pipe --quiet /bin/sh -c 'echo from a unit' 2>&1)" 'from a unit'; }
t_stop() {
	"$NOMAD" job stop -detach system >/dev/null && wait_for 290 'the end' ended && is "$(task_exit_code "$ALLOC_ID" task)" 0 &&
		unlike "$(task_events "$ALLOC_ID" task)" 'Exit Code: 137'
}
t_gone() { wait_for 60 'machined forgets it' no_machine && unlike "$(pgrep -a systemd-nspawn)" . && wait_for 60 'its state is gone' sh -c "[ -z \"\$(ls '$T/state/tasks')\" ]"; }
t_kept() { [ ! -e /var/lib/made-inside ]; }
run_test 'agent: the driver is healthy' t_agent
run_test 'boot: systemd is PID 1 and comes up' t_boot
run_test 'machinectl: class, id, service, leader' t_registered
run_test 'the journal tells of it' t_journal
run_test 'units can be started in it' t_unit
ex touch /var/lib/made-inside >/dev/null 2>&1
run_test 'device_policy: no disks of the host' policy
run_test 'stop: the system in it shuts down by itself' t_stop
run_test 'nothing is left, machined has forgotten it' t_gone
run_test "and nothing of it is in the host's root" t_kept
done_testing
