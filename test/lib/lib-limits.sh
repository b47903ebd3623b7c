# shellcheck shell=sh
# SPDX-License-Identifier: MPL-2.0
#
# test/lib/lib-limits.sh: that limits hold, as a task finds them.  For this
# host, whatever it has, and for the virtual machine with cgroup v2 alone.
# After test/lib.sh and test/vm/lib-guest.sh, with $DRIVER and $T/plugin.json.

# In the task: `file V2_NAME V1_CONTROLLER V1_NAME` shows what its cgroup says.
# shellcheck disable=SC2016
in_task='file() {
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		cat "/sys/fs/cgroup$(sed -n "s/^0:://p" /proc/self/cgroup)/$1"
		return
	fi
	dir=$(awk -v c="$2" '\''$3 == "cgroup" && ("," $4 ",") ~ ("," c ",") { print $2; exit }'\'' /proc/self/mounts)
	cat "$dir$(awk -F: -v c="$2" '\''("," $2 ",") ~ ("," c ",") { print $3 }'\'' /proc/self/cgroup)/$3"
}
'
v2() { [ -e /sys/fs/cgroup/cgroup.controllers ]; }
# A task that ends with 0 and says this.  usage: says OPTIONS RESOURCES SCRIPT TEXT
says() { task "$1" "$2" "$in_task$3" && is "$CODE" 0 && is "$(cat "$T/out")" "$4"; }
# One that cannot start, and why.
refused() { task "$1" '{}' 'echo started'; unlike "$(cat "$T/out")" started && like "$(cat "$T/err")" "$2"; }

l_memory() {
	says '{}' '{"MemoryMB":48}' 'file memory.max memory memory.limit_in_bytes' 50331648 &&
		says '{}' '{"MemoryMB":32,"MemoryMaxMB":64}' \
		'file memory.max memory memory.limit_in_bytes; file memory.low memory memory.soft_limit_in_bytes' \
			"$(printf '67108864\n33554432')"
}
l_no_memory() {
	task '{}' '{"MemoryMB":48,"MemoryMaxMB":-1}' \
		"$in_task"'file memory.max memory memory.limit_in_bytes; file memory.low memory memory.soft_limit_in_bytes' &&
		like "$(cat "$T/out")" '^(max|9223372036854771712)$' && like "$(cat "$T/out")" '^50331648$'
}
l_oom() { task '{}' '{"MemoryMB":16}' 'exec perl -e '\''$x = "x" x (200 << 20); sleep 9'\''' && is "$CODE" 137 &&
	file_has "$T/err" 'killed: out of memory'; }
l_shares() { says '{}' '{"CPU":1000}' 'file cpu.weight cpu cpu.shares' "$(if v2; then echo 39; else echo 1000; fi)"; }
# A tenth of a core: more than that is never had, however busy or idle the host is.
l_quota() {
	task '{"cpu_hard_limit":true}' '{"CPU":100}' "$in_task"'file cpu.max cpu cpu.cfs_quota_us
		end=$(($(date +%s) + 3)); while [ $(date +%s) -lt $end ]; do :; done
		file cpu.stat cpu cpu.stat; times' || return 1
	is "$CODE" 0 && is "$(head -n 1 "$T/out")" "$(if v2; then echo 10000 100000; else echo 10000; fi)" &&
		[ "$(sed -n 's/^nr_throttled //p' "$T/out")" -gt 0 ]
}
l_period() {
	says '{"cpu_hard_limit":true,"cpu_period":10000}' '{"CPU":500}' 'file cpu.max cpu cpu.cfs_quota_us' \
		"$(if v2; then echo 5000 10000; else echo 5000; fi)" &&
		refused '{"cpu_hard_limit":true,"cpu_period":999}' 'period of 999 microseconds'
}
l_share_only() { says '{}' '{"CPU":100}' 'file cpu.max cpu cpu.cfs_quota_us' \
	"$(if v2; then echo max 100000; else echo -1; fi)"; }
l_cores() { says '{}' '{"Cores":1}' 'sed -n "s/^Cpus_allowed_list:.//p" /proc/self/status' 0; }
l_pids() {
	says '{"pids_max":10}' '{}' 'file pids.max pids pids.max' 10 &&
		task '{"pids_max":10}' '{}' \
		'n=0; while [ $n -lt 30 ]; do sleep 5 & n=$((n + 1)); done; echo all started' &&
		unlike "$(cat "$T/out")" 'all started' && like "$(cat "$T/out" "$T/err")" 'fork'
}
# What opens and what does not.
# shellcheck disable=SC2016
try='try() { for d in "$@"; do if (exec 3<$d) 2>/dev/null; then echo "$d opens"; else echo "$d does not"; fi; done; }
'
l_devices_any() { says '{}' '{}' "$try"'try /dev/null /dev/kmsg' "$(printf '/dev/null opens\n/dev/kmsg opens')"; }
l_devices() {
	says '{"device_policy":"listed"}' '{}' \
		"$try"'try /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/ptmx /dev/kmsg; echo 1 >/dev/null && head -c 9 /dev/zero | wc -c' \
		"$(printf '%s opens\n' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/ptmx
		printf '/dev/kmsg does not\n9')"
}
# It may be made, which changes nothing.
l_mknod() {
	says '{"device_policy":"listed"}' '{}' \
		"$try"'rm -f node; mknod node c 1 11 && mknod good c 1 5 && try ./node ./good; rm -f node good' \
		"$(printf './node does not\n./good opens')"
}
l_devices_more() {
	says '{"device_policy":"listed","devices":["/dev/kmsg:r"]}' '{}' \
		"$try"'try /dev/kmsg; (exec 3>/dev/kmsg) 2>/dev/null || echo not to write' \
		"$(printf '/dev/kmsg opens\nnot to write')" &&
		says '{"device_policy":"listed","devices":["/dev/kmsg"]}' '{}' \
		"$try"'try /dev/kmsg; (exec 3>/dev/kmsg) && echo to write' \
			"$(printf '/dev/kmsg opens\nto write')" &&
		refused '{"device_policy":"listed","devices":["/dev/none"]}' "device '/dev/none'" &&
		refused '{"device_policy":"listed","devices":["/etc"]}' "'/etc': not a device"
}
l_rlimits() {
	says '{"ulimit":[{"nofile":"111:222","core":"0","fsize":"1024:unlimited"}]}' '{}' \
		'ulimit -n; ulimit -Hn; ulimit -c; ulimit -Hf' "$(printf '111\n222\n0\nunlimited')" &&
		refused '{"ulimit":[{"nofiles":"1"}]}' "resource limit 'nofiles'" &&
		refused '{"ulimit":[{"nofile":"2:1"}]}' 'above the hard one'
}
# CAP_SYS_RESOURCE, without which root cannot raise a limit either.
may_raise() { [ $((0x$(sed -n 's/^CapEff:.//p' /proc/self/status) >> 24 & 1)) -eq 1 ] ||
	{ skip_this 'root without CAP_SYS_RESOURCE'; return 1; }; }
l_rlimits_nobody() {
	may_raise || return 0
	says '{"user":"nobody","ulimit":[{"nofile":"70000"}]}' '{}' 'ulimit -Hn; id -un' "$(printf '70000\nnobody')"
}
l_oom_score() {
	says '{"oom_score_adj":321}' '{}' 'cat /proc/self/oom_score_adj' 321 &&
		says '{}' '{}' 'cat /proc/self/oom_score_adj' 0
}
# shellcheck disable=SC2016
l_oom_score_below() {
	may_raise || return 0
	says '{"oom_score_adj":-50}' '{}' \
		'cat /proc/self/oom_score_adj; grep -q supervisor /proc/$PPID/comm && cat /proc/$PPID/oom_score_adj' \
		"$(printf '%s\n-900' -50)"
}
limits_tests() {
	run_test 'memory: the limit applies, memory_max raises it' l_memory
	run_test 'memory: memory_max of -1' l_no_memory
	run_test 'memory: a kill by the OOM killer is reported' l_oom
	run_test 'CPU: shares' l_shares
	run_test 'CPU: without a hard limit there is no quota' l_share_only
	run_test 'CPU: the hard limit applies' l_quota
	run_test 'CPU: a period can be set' l_period
	run_test 'cores: the task runs on its own cores' l_cores
	run_test 'pids: the limit applies' l_pids
	run_test 'devices: without a policy all open' l_devices_any
	run_test 'devices: only listed ones open' l_devices
	run_test 'devices: a created device file does not open' l_mknod
	run_test "devices: the driver's own, with its permissions" l_devices_more
	run_test 'rlimits' l_rlimits
	run_test 'rlimits: raised for an unprivileged user' l_rlimits_nobody
	run_test 'oom_score_adj' l_oom_score
	run_test 'oom_score_adj below 0, and that of the supervisor' l_oom_score_below
}
