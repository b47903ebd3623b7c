#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The page for users of docker and podman names each of their options, and only options that exist here.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
requires jq
[ -x "$DRIVER" ] || skip_all "no $DRIVER"
page=nomad-driver-nspawn/MOVING.md
theirs='image load arch os variant command args entrypoint work_dir working_dir auth auth_soft_fail force_pull
	image_pull_timeout extra_hosts hostname network_mode network_aliases advertise_ipv6_address ipv4_address
	ipv6_address mac_address static_ips static_mac dns_servers dns_search_domains dns_options ports port_map mount
	mounts volumes volume_driver tmpfs shm_size storage_opt devices cap_add cap_drop privileged readonly_rootfs
	security_opt apparmor_profile selinux_opts userns_mode userns pid_mode ipc_mode uts_mode cgroupns group_add
	sysctl ulimit pids_limit oom_score_adj cpu_hard_limit cpu_cfs_period cpuset_cpus memory_hard_limit
	memory_reservation memory_swap memory_swappiness init init_path tty interactive labels logging healthchecks
	runtime container_exists_attempts isolation kill_signal user'
table() { sed -n '/^## Options of a task/,/^## Options of the plugin/p' "$page" | grep '^| `'; }
"$DRIVER" schema --json --task | jq -r '(.properties | keys[]), (."$defs" | to_entries[] | .key as $block |
	.value.properties | keys[] | "\($block).\(.)")' >"$T/options"

t_all() {
	for o in $theirs; do
		[ "$(table | cut -d'|' -f2 | grep -cF "\`$o\`")" -eq 1 ] || { echo "$o: not in one row"; return 1; }
	done
}
t_ours() {
	table | cut -d'|' -f3 | grep -o '`[^`]*`' | tr -d '`' | while read -r o; do
		grep -qxF "$o" "$T/options" || { echo "$o is no option"; exit 1; }
	done
}
# Those that the schema calls docker's have their row.
t_marked() {
	"$DRIVER" schema --json --task | jq -r '.properties | to_entries[] |
		select(.value.description | test("\\(docker")) | .key' >"$T/marked"
	[ "$(wc -l <"$T/marked")" -gt 10 ] || return 1
	while read -r o; do
		table | cut -d'|' -f3 | grep -qF "\`$o\`" || { echo "$o has no row"; return 1; }
	done <"$T/marked"
}
run_test 'each option of docker and podman has a row' t_all
run_test 'what a row names here is an option' t_ours
run_test 'what the schema calls docker'"'"'s has a row' t_marked
done_testing
