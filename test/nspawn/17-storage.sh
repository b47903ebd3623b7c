#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# What a container writes to its root has a limit.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
requires mkfs.ext4
[ -w /dev/loop-control ] || skip_all 'no loop devices'
task "$(sh_config true)"
census_before

fill='dd if=/dev/zero of=/fill bs=1M count=30 2>&1; rm -f /fill; df -Pm / | tail -n 1'
t_limit() {
	says "$(sh_config "$fill" '{"storage_mb":20}')" 'No space left on device' &&
		is "$(sed -n 's/^overlay *\([0-9]*\) .*/\1/p' "$T/out" | awk '{ print ($1 > 15 && $1 <= 20) }')" 1
}
run_test 'storage_mb: more does not fit' t_limit
t_full() { task "$(sh_config 'dd if=/dev/zero of=/fill bs=64k; sync' '{"storage_mb":20}')" &&
	file_has "$T/err" 'The root of the container was full \(20 MiB\): raise storage_mb'; }
run_test 'storage_mb: an event tells that it was full' t_full
run_test 'storage_mb: owners, links and devices of the image are right' says \
	"$(sh_config 'touch /x && ln /x /y && stat -c %u:%h /x /etc/passwd; rm /etc/passwd; ls /etc/passwd 2>&1; true' \
	'{"storage_mb":20}')" '^0:2$'
run_test 'storage_mb: without users of its own' says \
	"$(sh_config 'touch /x && stat -c %u /x' '{"storage_mb":20,"user_namespacing":false}')" '^0$'
run_test 'storage_mb: too small' fails "$(sh_config true '{"storage_mb":3}')" 'storage_mb is less than 8'
plugin() { printf '{ "state_dir": "%s/state", "policy": { "allow_image": ["/"],
	"allow_bind": ["/"], "allow_private_users": ["*"] %s } %s }\n' "$T" "$1" "$2" >"$T/plugin.json"; }
t_policy() {
	plugin ', "max_storage_mb": 16' '' && says "$(sh_config "$fill")" 'No space left on device' &&
		says "$(sh_config "$fill" '{"storage_mb":10}')" 'No space left on device' &&
		fails "$(sh_config true '{"storage_mb":17}')" "option 'storage_mb'.*max_storage_mb"
}
run_test 'storage_mb: the maximum of the policy counts for every task' t_policy
t_default() { plugin '' '' && says "$(sh_config 'df -Pm / | tail -n 1')" '^overlay +(9[0-9]{3}|10[01][0-9]{2}) '; }
run_test 'storage_mb: 10 GiB without a word' t_default
t_dir() {
	plugin '' ", \"layer_dir\": \"$T/layers\"" && mkdir "$T/layers" && spawn_task \
		"$(sh_config 'dd if=/dev/zero of=/fill bs=1M count=8 2>/dev/null; sync; echo up; sleep 600')" &&
		wait_for 60 up has_said up || return 1
	used=$(du -sm "$T/layers" | cut -f1)
	end_task TERM
	[ "$used" -ge 8 ] && is "$(ls "$T/layers")" ''
}
run_test 'layer_dir: layers are there, and go with their tasks' t_dir
t_many() {
	pids=
	task_json "$(sh_config 'echo runs; sleep 1')" >"$T/many.json"
	for n in $(seq 12); do
		"$DRIVER" run --config "$T/plugin.json" "$T/many.json" >"$T/many-$n.out" 2>"$T/many-$n.err" </dev/null &
		pids="$pids $!"
	done
	for p in $pids; do wait "$p" || { cat "$T"/many-*.err; return 1; }; done
	is "$(ls "$T/layers")" ''
}
run_test '12 at once' t_many
t_gone() { is "$(losetup -a | grep -c "$T")" 0; }
run_test 'no loop device is left' t_gone
run_test 'nothing is left' nothing_left
done_testing
