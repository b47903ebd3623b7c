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
printf 'plugin "nomad-driver-nspawn" {\n  config {\n    state_dir = "%s/state"\n    policy {\n      mode = "open"\n    }\n  }\n}\n' "$T" >"$T/plugin.hcl"
CENSUS_DIRS=$T/state/tasks
# What systemd and Nomad do by themselves meanwhile is not ours.
CENSUS_IGNORE='^(process: .*(systemd|udev|dbus|agetty|machinectl|nomad)|cgroup: .*/(system|user|init)[.](slice|scope)|cgroup: [^ ]*/machine[.]slice$|mount: /run/(credentials|user)|process: \(sd|socket: )'
# The unit that runs this test is in that root, too.
args='["systemd.mask=vm-test.service","systemd.mask=getty.target","systemd.mask=console-getty.service","systemd.mask=systemd-logind.service"]'
config() { jq -cn --argjson args "$args" --argjson more "$1" '{ image: "/", ephemeral: true, network_veth: false,
	command: $args } + $more'; }
service() {
	job_json "$1" nspawn "$2" service |
		jq ".Job.TaskGroups[0].Tasks[0] |= (.KillTimeout = 290000000000 | .Resources.MemoryMB = 512 |
		${3:-.})" >"$T/$1.json" &&
		run_job "$T/$1.json" && wait_alloc "$ALLOC_ID" running 200
}
ex() { "$NOMAD" alloc exec -i=false -t=false -task task "$ALLOC_ID" "$@"; }
up() { ex systemctl is-system-running 2>&1 | grep -Eq '^(running|degraded)'; }
machines() { machinectl list --no-legend --no-pager; }
# Of an allocation: its id is in the name.
machine_of() { machines | awk -v a="-$(echo "$1" | cut -c1-8)-" 'index($1, a) { print $1 }'; }
known() { MACHINE=$(machine_of "$ALLOC_ID"); [ -n "$MACHINE" ]; }
registered() { wait_for 60 'machinectl lists it' known ||
	{ grep machine "$AGENT_DIR/agent.log" | tail; journalctl -q --no-pager -u systemd-machined; return 1; }; }
no_machine() { [ "$(machines | grep -c .)" -eq 0 ]; }
parent_of() { sed -n 's/^PPid:[^0-9]*//p' "/proc/$1/status"; }
prop() { machinectl show -p "$1" --value "$MACHINE"; }
ended() { [ "$(task_state "$ALLOC_ID" task | jq -r .State)" = dead ]; }
cgroup_of() { sed -n 's/^0:://p' "/proc/$1/cgroup"; }
# A true end: it was told, with this code, and nothing had to be killed.
ended_with() { wait_for 290 'the end' ended && is "$(task_exit_code "$ALLOC_ID" task)" "$1" &&
	unlike "$(task_events "$ALLOC_ID" task)" 'Exit Code: 137|was killed|did not end'; }
# Neither machine nor scope nor processes of that allocation.
forgotten() {
	[ -z "$(machine_of "$1")" ] && [ -z "$(find /sys/fs/cgroup -type d -name "$1.task.scope")" ] &&
		! systemctl list-units --all --no-legend "$1*" | grep -q . && ! pgrep -f "nspawn.*$1" >/dev/null
}
gone() { wait_for 60 'machinectl, systemd and the kernel have forgotten it' forgotten "$ALLOC_ID" ||
	{ machines; systemctl list-units --all --no-legend "$ALLOC_ID*"
	pgrep -af systemd-nspawn; find /sys/fs/cgroup -type d -name "$ALLOC_ID*"; return 1; }; }

t_agent() { systemctl start systemd-machined && start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver nspawn &&
	census_before; }
run_test 'agent: the driver is healthy' t_agent

# ---- A system with users and a link of its own --------------------------------------------
t_boot() { service system "$(config '{"network_veth":true}')" && wait_for 200 'systemd in the container is up' up &&
	is "$(ex cat /proc/1/comm)" systemd; }
run_test 'boot: systemd is PID 1 and comes up' t_boot
t_registered() {
	registered && is "$(prop Class)" container && is "$(prop Id)" "$(echo "$ALLOC_ID" | tr -d -)" &&
		like "$(prop Service)" nomad-driver-nspawn &&
		LEADER=$(prop Leader) && KEEPER=$(parent_of "$LEADER") &&
		is "$(cat "/proc/$LEADER/comm" "/proc/$KEEPER/comm" | tr '\n' ' ')" 'systemd systemd-nspawn ' &&
		is "$(cgroup_of "$LEADER" | grep -o "$ALLOC_ID")" "$ALLOC_ID" && is "$(prop State)" running &&
		is "$(prop Unit)" "$ALLOC_ID.task.scope"
}
run_test 'machinectl: class, id, service, leader, unit' t_registered
t_status() { machinectl status --no-pager "$MACHINE" >"$T/status" && file_has "$T/status" \
	'Leader: [0-9]+ \(systemd\)' &&
	file_has "$T/status" 'OS: Debian' && file_has "$T/status" 'Iface: vn' &&
	file_has "$T/status" 'Address: 10[.]88[.]' && like "$(machines)" '10[.]88[.]'; }
run_test 'machinectl status: leader, system, link, address' t_status
# It forgets machines whose unit systemd does not know, but not at once.
stays() { for _i in 1 2 3 4 5 6; do known || return 1; sleep 0.5; done; is "$(prop Leader)" "$LEADER"; }
run_test 'it is known still when somebody has looked at its status' stays
t_reload() { systemctl daemon-reload && stays && systemctl daemon-reexec &&
	wait_for 60 'systemd answers' systemctl show --property=Version >/dev/null && stays; }
run_test 'and when systemd has been reloaded' t_reload
t_machined() { systemctl restart systemd-machined && stays; }
run_test 'and when systemd-machined has been restarted' t_machined
t_journal() { journalctl -q --no-pager -u systemd-machined | grep "New machine $MACHINE"; }
run_test "the host's journal tells of it" t_journal
in_journal() { journalctl -q --no-pager -M "$MACHINE" -t probe | grep -q 'said in there'; }
t_own_journal() { ex systemd-cat -t probe echo 'said in there' && wait_for 30 'journalctl -M' in_journal; }
run_test 'journalctl -M: its own journal' t_own_journal
t_unit() { like "$(ex systemd-run --wait --pipe --quiet /bin/sh -c 'echo from a unit' 2>&1)" 'from a unit'; }
run_test 'units can be started in it' t_unit
t_run() { like "$(systemd-run -M "$MACHINE" --wait --pipe --quiet /bin/sh -c \
	'echo from outside; cat /proc/sys/kernel/hostname' </dev/null 2>&1 | tr '\n' ' ')" \
	"from outside $(ex cat /proc/sys/kernel/hostname)"; }
run_test 'systemd-run -M: and from outside of it' t_run
t_shell() { script -qec "machinectl -q shell $MACHINE /bin/sh -c 'cat /etc/machine-id'" /dev/null </dev/null \
	>"$T/shell" 2>&1; file_has "$T/shell" "$(echo "$ALLOC_ID" | tr -d -)"; }
run_test 'machinectl shell' t_shell
t_copy() { echo copied >"$T/copy" && machinectl copy-to "$MACHINE" "$T/copy" /root/copied &&
	is "$(ex cat /root/copied)" copied; }
run_test 'machinectl copy-to' t_copy
t_place() {
	like "$(cgroup_of "$LEADER")" "^/nomad[.]slice/.*/${ALLOC_ID}[.]task[.]scope/.*payload" &&
		is "$(cgroup_of "$KEEPER")" "/machine.slice/$ALLOC_ID.task.scope" &&
		is "$(cat "/sys/fs/cgroup$(cgroup_of "$LEADER" | sed 's|[.]scope/.*|.scope|')/memory.max")" \
		$((512 << 20)) && is "$(systemctl is-active "$ALLOC_ID.task.scope")" active &&
		like "$(systemctl show -p Before --value "$ALLOC_ID.task.scope")" 'vm-test[.]service'
}
run_test "it is in Nomad's cgroup with its limits, systemd-nspawn in the scope" t_place
measured() { api GET "/v1/client/allocation/$ALLOC_ID/stats" |
	jq -e '.Tasks.task.ResourceUsage | .MemoryStats.Usage > 5000000 and .CpuStats.Measured != null
	and .CpuStats.TotalTicks > 0' >/dev/null; }
t_stats() { wait_for 60 'statistics' measured || { api GET "/v1/client/allocation/$ALLOC_ID/stats"; return 1; }; }
run_test 'statistics' t_stats
ex touch /var/lib/made-inside >/dev/null 2>&1
policy() { like "$(ex /bin/sh -c 'mknod /run/disk b 254 0 && dd if=/run/disk of=/dev/null count=1 || echo refused' \
	2>&1)" refused; }
run_test 'device_policy: no disks of the host' policy
another() { _pid=$(plugin_pid nomad-driver-nspawn) && [ -n "$_pid" ] && [ "$_pid" != "$1" ]; }
told() { journalctl -q --no-pager -u systemd-machined | grep -c "New machine $MACHINE"; }
t_killed() {
	times=$(told) && old=$(plugin_pid nomad-driver-nspawn) && kill -KILL "$old" &&
		wait_for 60 'another plugin' another "$old" && wait_driver nspawn &&
		wait_for 60 'exec' ex true && stays && is "$(parent_of "$LEADER")" "$KEEPER" && t_place && t_stats &&
		is "$(told)" "$times"
}
run_test 'the plugin is killed: the same system, machinectl, exec, statistics' t_killed
# As if the first plugin had not come to it.
t_forgotten() {
	systemctl stop systemd-machined && rm -f "/run/systemd/machines/$MACHINE" "/run/systemd/machines/unit:"* &&
		systemctl start systemd-machined && no_machine &&
		old=$(plugin_pid nomad-driver-nspawn) && kill -KILL "$old" &&
		wait_for 60 'another plugin' another "$old" && registered && is "$(prop Leader)" "$LEADER" && stays
}
run_test 'a plugin that recovers it makes it known if it is not' t_forgotten
t_stop() { "$NOMAD" job stop -detach system >/dev/null && ended_with 0; }
run_test 'stop: the system in it shuts down by itself' t_stop
run_test 'stop: nothing is left of it' gone

# ---- Two in a zone, one of them with systemd-networkd --------------------------------------
args=$(echo "$args" | jq -c '. + ["systemd.wants=systemd-networkd.service"]')
t_ready() { service zone1 "$(config '{"network_zone":"lab","notify_ready":true,"user_namespacing":false}')" && up &&
	BOOTED=$ALLOC_ID; }
run_test 'notify_ready: started means up' t_ready
t_networkd() {
	wait_for 60 'systemd-networkd takes host0 as it is' sh -c \
		"'$NOMAD' alloc exec -i=false -t=false -task task '$ALLOC_ID' networkctl --no-pager --no-legend list host0 | grep -Eq 'routable +configured'" ||
		{ ex networkctl --no-pager status host0; return 1; }
	ADDRESS=$(ex ip -o -4 addr show host0 | awk '{ print $4 }' | cut -d/ -f1) && like "$ADDRESS" '^10[.]88[.]' &&
		registered && like "$(machines)" "$ADDRESS"
}
run_test 'zone: systemd-networkd in it keeps the address' t_networkd
sh_root() { jq -cn --arg script "$1" '{ image: "/", ephemeral: true, boot: false, network_zone: "lab",
	command: ["/bin/sh", "-c", $script] }'; }
fetched() { ex curl -s -m 20 "http://$ADDRESS/hostname" | grep -q .; }
t_zone() {
	ALLOC_ID=$BOOTED && ex systemd-run --quiet --unit=web /bin/sh -c 'exec busybox httpd -f -p 80 -h /etc' \
		>/dev/null &&
		service zone2 "$(sh_root 'trap "exit 7" TERM; while :; do sleep 0.2; done')" &&
		wait_for 60 'the neighbour answers' fetched && registered && is "$(machines | grep -c .)" 2
}
run_test 'zone: one that has not booted reaches it, both are known' t_zone
t_terminate_plain() { machinectl terminate "$MACHINE" && ended_with 7; }
run_test 'machinectl terminate: the command gets SIGTERM, its exit code is the end' t_terminate_plain
run_test 'machinectl terminate: nothing is left of it' gone
t_poweroff() { ALLOC_ID=$BOOTED && registered && machinectl poweroff "$MACHINE" && ended_with 0; }
run_test 'machinectl poweroff: a true end' t_poweroff
run_test 'machinectl poweroff: nothing is left of it' gone

# ---- One with the users of the host -------------------------------------------------------
t_plain() { service plain "$(config '{"user_namespacing":false}')" '.Resources.MemoryMB = 300' &&
	wait_for 200 'systemd in the container is up' up && registered; }
run_test 'boot: without users of its own' t_plain
events() { cat "/sys/fs/cgroup$(cgroup_of "$(prop Leader)" | sed 's|[.]scope/.*|.scope|')/memory.events"; }
t_oom() { ! ex /bin/sh -c 'head -c 400000000 /dev/zero | tail | wc -c; exit 1' >/dev/null 2>&1 &&
	like "$(events)" '^oom_kill [1-9]' && up && is "$(task_state "$ALLOC_ID" task | jq -r .State)" running; }
run_test 'memory: the killer takes what grows, the system goes on' t_oom
t_terminate() { machinectl terminate "$MACHINE" && ended_with 0; }
run_test 'machinectl terminate: it shuts down' t_terminate
run_test 'machinectl terminate: nothing is left of that system' gone
t_oom_end() {
	job_json oom nspawn "$(sh_config 'x=$(head -c 200000000 /dev/zero | tr "\0" x); sleep 9')" batch |
		jq '.Job.TaskGroups[0].Tasks[0].Resources.MemoryMB = 32' >"$T/oom.json" &&
		run_job "$T/oom.json" && wait_for 120 'the end' ended &&
		like "$(task_events "$ALLOC_ID" task)" 'out of memory|OOM Killed' &&
		is "$(task_state "$ALLOC_ID" task |
		jq -r '[.Events[] | select(.Type == "Terminated")] | last | .Details.oom_killed')" true
}
run_test 'memory: what is killed as a whole is told as that' t_oom_end

t_end() { for job in system zone1 zone2 plain oom; do purge_job $job || return 1; done; no_machine && nothing_left &&
	[ -z "$(ls "$T/state/tasks")" ]; }
run_test 'nothing is left' t_end
t_kept() { [ ! -e /var/lib/made-inside ]; }
run_test "and nothing of it is in the host's root" t_kept
done_testing
