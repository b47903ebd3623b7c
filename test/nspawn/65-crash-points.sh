#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Plugin or supervisor die at each crash point of the library
# (supervisor/crash.h), and the plugin at any moment of a start: a task with
# all that can stay behind: a link, a namespace, an address, ports, a loop
# device, the lock of an image that it writes to.  What is left is found by
# its records: `gc`, as the next StartTask or DestroyTask would.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
requires ip
MORTAL=$BUILD/test/nomad-driver-nspawn
[ -x "$MORTAL" ] || skip_all "no $MORTAL"
mkfs.ext4 -q -d "$ROOT" "$T/root.img" 32M 2>/dev/null || skip_all 'mkfs.ext4 cannot copy a tree'
config=$(sh_config 'echo up; sleep 1; echo down' \
	"{\"image\":\"$T/root.img\",\"writable_image\":true,\"network_veth\":true,\"ports\":[\"web\"]}")
task_json "$config" . '.Networks = [{ ReservedPorts: [{ Label: "web", Value: 18080, To: 80 }] }]' >"$T/crash.json"
whole() { "$DRIVER" run --config "$T/plugin.json" "$T/crash.json" >"$T/out" 2>"$T/err" </dev/null; }
left() {
	ip -o link | grep ' vn' ; grep "$T/state" /proc/self/mounts; ls "$T/state/tasks" "$(shared_network)/addresses" |
		grep -v :$ | grep .
	pgrep -a systemd-nspawn; pgrep -a nspawn-init; pgrep -af '^nomad-driver-nspawn: '
		nft list ruleset 2>/dev/null | grep dnat; losetup -a | grep "$T"
	find /sys/fs/cgroup -type d -path '*/nomad-drivers/task-*'
}
clean() {
	"$DRIVER" gc --config "$T/plugin.json" >"$T/gc" 2>&1
	_left=$(left)
	[ -z "$_left" ]
}
all_clean() { wait_for 40 'all is clean' clean || { echo "$_left"; cat "$T/gc" "$T/err"; return 1; }; }
loop() { [ -e /dev/loop-control ] || { skip_this 'no loop devices'; return 1; }; }

t_whole() { loop || return 0; whole && file_has "$T/out" '^down$' && all_clean; }
run_test 'without a crash' t_whole
crash() {
	loop || return 0
	NOMAD_DRIVER_CRASH_AT=$1 timeout -k 5 90 "$MORTAL" run --config "$T/plugin.json" "$T/crash.json" >"$T/out" \
		2>"$T/err" </dev/null
	_code=$?
	[ "$_code" -ne 0 ] || [ "${2:-}" = any ] || { echo "it did not die at $1"; return 1; }
	[ "$_code" -ne 124 ] || { echo 'it hangs'; return 1; }
	all_clean
}
for step in core-start-intent core-start-recorded core-run-recorded start-recorded start-launched start-sent \
	start-answered \
	core-run-started core-start-driver core-start-done core-tidy-begin core-tidy-killed core-tidy-destroyed \
	core-tidy-removed \
	clean-begin clean-killed clean-removed; do
	run_test "the plugin dies at $step" crash $step
done
for step in super-detached super-recorded super-listening super-cgroups super-forked super-main super-execed \
	super-started \
	super-kill super-empty super-written super-exit; do
	run_test "the supervisor dies at $step" crash $step any
done
# Wherever a start is: its network is made within the first of these.
t_anywhere() {
	loop || return 0
	for delay in 0.02 0.04 0.06 0.08 0.10 0.13 0.16 0.20 0.25 0.30; do
		setsid "$DRIVER" run --config "$T/plugin.json" "$T/crash.json" >"$T/out" 2>"$T/err" </dev/null &
		_pid=$!
		sleep $delay
		kill -KILL $_pid 2>/dev/null
		wait $_pid
		all_clean || { echo "killed after $delay s"; return 1; }
	done
}
run_test 'the plugin dies at any moment of a start' t_anywhere
t_lock() { loop || return 0; whole && file_has "$T/out" '^down$'; }
run_test 'and the image, its port and its address are free' t_lock
done_testing
