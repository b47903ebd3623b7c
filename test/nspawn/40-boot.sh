#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Systems that boot: a minimal Debian with systemd (debootstrap, cached). The last test boots Debian 13.
# TREE=trixie: all do.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
if [ -z "${NOMAD_TEST_DIR:-}" ] && command -v debootstrap >/dev/null; then
	make_tree "${TREE:-debian}" && make_tree trixie || true
fi
isolate "$@"
need_root_tree
DEBIAN=$(cd "$NSPAWN_CACHE/${TREE:-debian}" 2>/dev/null && pwd) ||
	skip_all 'no Debian tree: debootstrap is missing or has failed'
require_nomad
mkdir "$T/plugins" && cp "$DRIVER" "$T/plugins/"
printf 'plugin "nomad-driver-nspawn" {\n  config {\n    state_dir = "%s/state"\n    policy {\n      mode = "open"\n    }\n  }\n}\n' "$T" >"$T/plugin.hcl"
config() { jq -cn --arg image "$DEBIAN" --argjson more "$1" '{ image: $image, network_veth: false } + $more'; }
service() { job_json "$1" nspawn "$2" service |
	jq "${3:-.} | .Job.TaskGroups[0].Tasks[0].KillTimeout = 20000000000 | .Job.TaskGroups[0].Tasks[0].Resources.MemoryMB = 256" >"$T/$1.json" && run_job "$T/$1.json" && wait_alloc "$ALLOC_ID" running 120; }
ex() { "$NOMAD" alloc exec -i=false -t=false -task task "$ALLOC_ID" "$@"; }
up() { like "$(ex systemctl is-system-running 2>&1)" '^(running|degraded)$'; }
ended() { [ "$(task_state "$ALLOC_ID" task | jq -r .State)" = dead ]; }
stop() { "$NOMAD" job stop -detach "$JOB_ID" >/dev/null && wait_for 60 'the end' ended; }

t_start() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver nspawn; }
run_test 'the driver is healthy' t_start
t_boot() { service boot "$(config '{"environment":[{"MINE":"for PID 1"}],"hostname":"booted"}')" \
	'.Job.TaskGroups[0].Tasks[0].Env = {"a-b":"odd"}' && wait_for 60 'systemd is up' up; }
run_test 'boot: systemd runs, with users of its own' t_boot
t_pid1() { is "$(ex cat /proc/1/comm)" systemd && like "$(ex cat /proc/1/environ | tr '\0' '\n')" '^MINE=for PID 1$' &&
	like "$(ex cat /proc/1/environ | tr '\0' '\n')" '^a-b=odd$' && like "$(ex cat /proc/1/environ | tr '\0' '\n')" \
	'^container=systemd-nspawn$'; }
run_test 'boot: PID 1 has the environment' t_pid1
t_id() { is "$(ex cat /etc/machine-id)" "$(echo "$ALLOC_ID" | tr -d -)"; }
run_test 'boot: machine id' t_id
t_name() { is "$(ex cat /etc/hostname)" booted && is "$(ex uname -n)" booted &&
	like "$(ex getent hosts booted)" booted; }
run_test 'boot: hostname, whatever the image says' t_name
logged() { "$NOMAD" alloc logs "$@" "$ALLOC_ID" task | grep -q "$LINE"; }
t_journal() {
	ex systemd-cat -t said -p info echo 'to the journal' && ex systemd-cat -t said -p err echo 'an error' ||
		return 1
	LINE='said.*: to the journal' && wait_for 20 'the line' logged || return 1
	LINE='said.*: an error' && wait_for 20 'the error' logged -stderr &&
		unlike "$(alloc_logs "$ALLOC_ID" task)" "$LINE" && like "$(alloc_logs "$ALLOC_ID" task)" 'systemd\[1\]'
}
run_test 'journal: it is the log of the task' t_journal
t_journal_plugin() {
	kill -KILL "$(plugin_pid nomad-driver-nspawn)" && ex true
	for i in 1 2 3 4 5; do ex systemd-cat -t count -p info echo "number $i"; done
	LINE='count.*: number 5'
	wait_for 30 'the last line' logged && is "$(alloc_logs "$ALLOC_ID" task | grep -c 'count.*: number')" 5
}
run_test 'journal: no gap and no line twice when the plugin is killed' t_journal_plugin
t_unit() { like "$(ex systemd-run --wait --pipe --quiet /bin/sh -c 'echo from a unit')" 'from a unit'; }
run_test 'boot: units can be started' t_unit
t_failed() { is "$(ex systemctl --failed --no-legend --plain | awk '{ print $1 }' | tr '\n' ' ')" ''; }
run_test 'boot: no unit has failed' t_failed
t_dirs() { ex touch /alloc/data/x /local/y && is "$(stat -c %u "$AGENT_DIR/data/alloc/$ALLOC_ID/alloc/data/x")" 0; }
run_test 'boot: task directories' t_dirs
t_stop() { stop && is "$(task_exit_code "$ALLOC_ID" task)" 0; }
run_test 'boot: an orderly end' t_stop
t_ready() { service ready "$(config '{"notify_ready":true}')" && up; }
run_test 'notify_ready: started means up' t_ready
t_exit() { ex systemctl exit 5 || true; wait_for 60 'the end' ended && is "$(task_exit_code "$ALLOC_ID" task)" 5; }
run_test 'boot: systemctl exit N is the exit code' t_exit
stop >/dev/null 2>&1
# A reboot ends the container with the code 133; what happens then is for the job to say.
restarted() { [ "$(task_state "$ALLOC_ID" task | jq .Restarts)" -eq 1 ] &&
	[ "$(task_state "$ALLOC_ID" task | jq -r .State)" = running ]; }
t_reboot() {
	service reboot "$(config '{}')" '.Job.TaskGroups[0].RestartPolicy = { Attempts: 1, Interval: 3600000000000,
		Delay: 100000000, Mode: "fail" }' && wait_for 60 'systemd is up' up &&
			first=$(ex cat /proc/sys/kernel/random/uuid; ex stat -c %y /proc/1) &&
		{ ex systemctl reboot || true; } && wait_for 90 'the task is started again' restarted &&
		is "$(task_exit_code "$ALLOC_ID" task)" 133 && wait_for 60 'systemd is up again' up && stop
}
run_test 'boot: a reboot inside is exit code 133, and restarts by the job' t_reboot
t_plain() { service plain "$(config '{"user_namespacing":false}')" && wait_for 60 'systemd is up' up &&
	is "$(ex cat /proc/self/uid_map | tr -s ' ')" ' 0 0 4294967295' && stop &&
	is "$(task_exit_code "$ALLOC_ID" task)" 0; }
run_test 'boot: without users of its own' t_plain
t_args() { service args "$(config '{"command":["systemd.unit=rescue.target","--log-level=debug"]}')" &&
	like "$(ex cat /proc/1/cmdline | tr '\0' ' ')" 'systemd.unit=rescue.target --log-level=debug' &&
	{ stop || true; }; }
run_test 'boot: command becomes the arguments of init' t_args
t_modes() {
	for more in '{"read_only":true}' '{"volatile":"state"}' '{"volatile":"overlay"}' '{"volatile":"yes"}' \
		'{"ephemeral":true}'; do
		service "mode-$(echo "$more" | tr -dc a-z)" "$(config "$more")" &&
			wait_for 60 "systemd is up: $more" up && stop || { echo "$more"; return 1; }
	done
}
run_test 'boot: every kind of root' t_modes
t_net() {
	service net "$(config '{"network_veth":true}')" && wait_for 60 'systemd is up' up &&
		like "$(ex cat /etc/systemd/network/10-nomad.network)" '^Address=10\.88\.' && stop
}
run_test 'boot: own network, known to a systemd-networkd in there' t_net
# With requests and answers of its own it finds nothing to change; it gives up where the broadcast address is not what
# it wants.
configured() { like "$(ex networkctl --no-pager --no-legend list host0 2>&1)" 'routable +configured'; }
t_networkd() {
	for more in '{"network_veth":true}' '{"network_zone":"lab"}' \
		'{"network_zone":"lab","user_namespacing":false}'; do
		service "networkd-$(echo "$more" | tr -dc a-z)" \
			"$(config "$more" | jq -c '. + { command: ["systemd.wants=systemd-networkd.service"] }')" &&
			wait_for 60 "systemd is up: $more" up &&
			{ wait_for 30 "systemd-networkd is content: $more" configured ||
			{ ex networkctl --no-pager status host0; return 1; }; } &&
			like "$(ex systemctl show -p ActiveState systemd-networkd)" '=active$' && stop ||
			{ echo "$more"; return 1; }
	done
}
run_test 'boot: a systemd-networkd in there leaves the network as it is' t_networkd
t_two() {
	service twin1 "$(config '{}')" && first=$ALLOC_ID && service twin2 "$(config '{}')" &&
		wait_for 60 'both are up' up && stop && ALLOC_ID=$first JOB_ID=twin1 && wait_for 60 'both are up' up &&
		stop
}
run_test 'boot: two on one image' t_two
# Its systemd is younger than that of the host can be.
t_13() {
	[ -e "$NSPAWN_CACHE/trixie/.complete" ] || { skip_this 'no tree of Debian 13'; return 0; }
	DEBIAN=$(cd "$NSPAWN_CACHE/trixie" && pwd)
	service trixie "$(config '{"notify_ready":true,"hostname":"booted","network_veth":true}')" && up &&
		is "$(ex sed -n 's/^VERSION_ID=//p' /etc/os-release)" '"13"' && t_failed && t_name && t_id && t_unit &&
		t_journal && { ex systemctl exit 6 || true; } && wait_for 60 'the end' ended &&
		is "$(task_exit_code "$ALLOC_ID" task)" 6
}
run_test 'boot: Debian 13' t_13
t_end() { stop_agent && unlike "$(cat /proc/self/mounts)" "$T/state" && unlike "$(pgrep -a systemd-nspawn)" . &&
	[ -z "$(ls "$T/state/tasks")" ]; }
run_test 'nothing is left' t_end
done_testing
