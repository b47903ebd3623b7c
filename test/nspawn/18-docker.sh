#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Options that have docker's names, by what they do in the container.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
task "$(sh_config true '{"network_veth":true}')"
census_before

run_test 'ulimit' says "$(sh_config 'ulimit -n; ulimit -Hn' '{"ulimit":[{"nofile":"100:200"}]}')" '^200$'
run_test 'oom_score_adj' says "$(sh_config 'cat /proc/self/oom_score_adj' '{"oom_score_adj":77}')" '^77$'
run_test 'oom_score_adj: none below 0' fails "$(sh_config true '{"oom_score_adj":-1}')" 'oom_score_adj'
run_test 'shm_size' says "$(sh_config 'df -k /dev/shm | tail -n 1; touch /dev/shm/x && echo written' \
	'{"shm_size":1048576,"user":"web"}')" '^tmpfs +1024 '
run_test 'shm_size: written by anybody' says "$(sh_config 'touch /dev/shm/x && echo written' \
	'{"shm_size":1048576,"user":"web"}')" '^written$'
run_test 'extra_hosts' says "$(sh_config 'cat /etc/hosts' \
	'{"extra_hosts":["db:10.0.0.5","six:fd00::1"]}')" '^fd00::1 six$'
run_test 'extra_hosts: wrong' fails "$(sh_config true '{"extra_hosts":["db"]}')" 'NAME:ADDRESS'
t_ipc() {
	own=$(readlink /proc/self/ns/ipc)
	says "$(sh_config 'readlink /proc/self/ns/ipc')" '^ipc' && unlike "$(cat "$T/out")" "^$own$" &&
		says "$(sh_config 'readlink /proc/self/ns/ipc' '{"ipc_mode":"host"}')" '^ipc' &&
		is "$(cat "$T/out")" "$own"
}
run_test 'ipc_mode' t_ipc
t_cpu() {
	says "$(sh_config 'cat /sys/fs/cgroup/cpu*/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null; true' \
		'{"cpu_hard_limit":true,"cpu_cfs_period":50000}')" . '.Resources = { CPU: 100 }' || return 1
	[ "$(sed -n 1p "$T/out" | cut -d' ' -f1)" -gt 0 ]
}
[ -e /sys/fs/cgroup/cpu/cpu.cfs_quota_us ] && run_test 'cpu_hard_limit and cpu_cfs_period' t_cpu ||
	skip 'cpu_hard_limit and cpu_cfs_period' 'no cpu controller of cgroup v1'

# ---- sysctl
t_sysctl() {
	before=$(cat /proc/sys/kernel/msgmax)
	says "$(sh_config 'cat /proc/sys/kernel/msgmax; echo 9 >/proc/sys/kernel/msgmax 2>/dev/null || echo kept' \
		'{"sysctl":[{"kernel.msgmax":"4321"}]}')" '^4321$' && file_has "$T/out" '^kept$' &&
		is "$(cat /proc/sys/kernel/msgmax)" "$before"
}
run_test 'sysctl: of its own namespace only' t_sysctl
run_test 'sysctl: without users of its own' says "$(sh_config 'cat /proc/sys/kernel/msgmax' \
	'{"sysctl":[{"kernel.msgmax":"4321"}],"user_namespacing":false}')" '^4321$'
run_test 'sysctl: net' says "$(sh_config 'cat /proc/sys/net/core/somaxconn' \
	'{"sysctl":[{"net.core.somaxconn":"321"}],"network_veth":true}')" '^321$'
run_test "sysctl: net, in the host's network" fails "$(sh_config true '{"sysctl":[{"net.core.somaxconn":"321"}]}')" \
	"option 'sysctl': 'net.core.somaxconn' is not the container's own"
for name in kernel.core_pattern vm.swappiness 'kernel.sem[+]x' 'net/../kernel/sysrq'; do
	run_test "sysctl: $name is refused" fails \
		"$(sh_config true "{\"sysctl\":[{\"$(echo "$name" | tr -d '[]')\":\"1\"}],\"network_veth\":true}")" \
		"option 'sysctl': '$name' is not the container's own"
done
run_test "sysctl: the host's IPC" fails \
	"$(sh_config true '{"sysctl":[{"kernel.msgmax":"4321"}],"ipc_mode":"host","user_namespacing":false}')" \
	"option 'sysctl': 'kernel.msgmax' is not the container's own"
run_test 'sysctl: no such' fails "$(sh_config true '{"sysctl":[{"kernel.semx":"1"}]}')" "cannot set 'kernel.semx'"

# ---- volumes, mount
mkdir "$T/data" && echo hello >"$T/data/file"
run_test 'volumes' says "$(sh_config 'cat /data/file; touch /data/new && echo written' \
	"{\"volumes\":[\"$T/data:/data\"]}")" '^written$'
run_test 'volumes: read-only' says "$(sh_config 'cat /data/file; touch /data/x 2>&1; true' \
	"{\"volumes\":[\"$T/data:/data:ro\"]}")" 'Read-only'
run_test 'volumes: in the directory of the task' says "$(sh_config 'touch /local/x; ls /in' \
	'{"volumes":["local:/in"]}')" '^x$'
run_test 'mount: bind' says "$(sh_config 'cat /data/file; touch /data/x 2>&1; true' \
	"{\"mount\":[{\"type\":\"bind\",\"source\":\"$T/data\",\"target\":\"/data\",\"readonly\":true}]}")" 'Read-only'
run_test 'mount: tmpfs' says "$(sh_config 'df -k /deep/fast | tail -n 1; stat -c %a /deep/fast' \
	'{"mount":[{"type":"tmpfs","target":"/deep/fast","tmpfs_options":[{"size":1048576,"mode":448}]}]}')" \
	'^tmpfs +1024 '
t_mode() { file_has "$T/out" '^700$'; }
run_test 'mount: permissions of a tmpfs' t_mode
run_test 'mount: bind without a source' fails "$(sh_config true '{"mount":[{"type":"bind","target":"/x"}]}')" \
	"mount '/x': bind needs a source"
t_policy() {
	printf '{ "state_dir": "%s/state", "policy": { "allow_image": ["/"], "allow_bind_read_only": ["%s"] } }\n' \
		"$T" "$T/data" >"$T/plugin.json"
	mount='{"mount":[{"type":"bind","source":"/etc","target":"/x"}]}'
	says "$(sh_config 'cat /data/file' "{\"volumes\":[\"$T/data:/data:ro\"]}")" hello &&
		fails "$(sh_config true "{\"volumes\":[\"$T/data:/data\"]}")" 'rule allow_bind[;]' &&
		fails "$(sh_config true "$mount")" 'rule allow_bind' &&
		says "$(sh_config 'ls -d /in' '{"volumes":["local:/in"]}')" '^/in$' &&
		fails "$(sh_config true '{"ipc_mode":"host"}')" 'rule allow_host_ipc' &&
		says "$(sh_config 'ulimit -n' '{"ulimit":[{"nofile":"100"}]}')" '^100$' &&
		fails "$(sh_config true '{"ulimit":[{"memlock":"100"}]}')" 'rule allow_rlimits'
}
run_test 'the rules of binds, limits and namespaces count' t_policy
run_test 'nothing is left' nothing_left
done_testing
