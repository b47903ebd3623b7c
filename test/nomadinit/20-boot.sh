#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# One image, started by BIOS and by UEFI under plain emulation, with a stand-in for the agent: it comes up,
# has network, time and state, runs a command, and goes down by the power button.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2086
needs $image_tools
image plain --formats qcow2 || { not_ok "an image is built"; exit 1; }
ok "an image is built"
base=$image_dir/nomadinit.qcow2
bytes=$(stat -c %s "$base")
echo "# qcow2 without Nomad: $bytes bytes"
check "without Nomad it is at most 26 MB" test "$bytes" -le 26000000

power_off() {
	qmp system_powerdown
	if wait_down; then ok "$1: the power button ends it"; else not_ok "$1: the power button ends it" "$(tail -n 20 "$console")"; fi
	check "$1: the button is named on the console" console_has "power button: power off"
	check "$1: the agent was told to end and did" console_has "the agent ended: exit status 0"
	check "$1: all was unmounted" sh -c "! grep -q 'stay busy' '$console' && grep -q 'power off' '$console'"
}

overlay "$base" "$tmp/disk.qcow2" 2G
boot "$tmp/disk.qcow2"
if wait_up; then ok "BIOS: the agent's API answers"; else not_ok "BIOS: the agent's API answers" "$(tail -n 40 "$console")"; exit 1; fi
check "BIOS: the root is verified" console_has "root is slot a.*verified"
check "BIOS: the state partition grew to the disk" console_has "grew from 64 to"
check "BIOS: an address came by DHCP" console_has "10.0.2.15/24 by DHCP"
check "BIOS: the agent said that it is ready" console_has "the agent is ready"
room=$(guest 'df -kP /state' | awk 'NR == 2 { print $2 }')
check "BIOS: and its file system with it ($room KiB)" test "${room:-0}" -gt 1500000
check "BIOS: cgroup2 has its controllers" test "$(guest 'cat /sys/fs/cgroup/cgroup.subtree_control' | grep -c 'cpu.*memory.*pids')" = 1
check "BIOS: name servers are known" test "$(guest 'cat /etc/resolv.conf' | grep -c '^nameserver 10.0.2.3')" = 1
check "BIOS: the root is read-only" test "$(guest 'touch /x 2>&1' | grep -ci 'read-only')" = 1
# Private_Clean too, which the kernel may drop at any time: its program's pages that are mapped at the moment, private
# only because nobody else maps them.  Between two trims the code of what happened last is there as well.
private() { guest "awk '/^Private_(Clean|Dirty)/ { n += \$2 } END { print n }' /proc/1/smaps_rollup"; }
is_small() { kib=$(private) && [ "${kib:-9999}" -lt 400 ]; }
wait_for 120 is_small
check "BIOS: PID 1 has less than 400 KiB of private memory, clean and dirty (${kib:-?} KiB)" test "${kib:-9999}" -lt 400
echo "# PID 1: $(guest "awk '/^(Rss|Private)/ { printf \"%s %s  \", \$1, \$2 }' /proc/1/smaps_rollup") KiB"
check "BIOS: no process but ours and the agent's runs" test "$(guest 'ps -o pid,args' | grep -vc -e '\[' -e nomadinit -e /opt/nomad/nomad -e 'sh -c' -e ' ps ' -e PID)" = 0
guest 'echo kept > /state/kept; sync' >/dev/null
id=$(guest 'cat /etc/machine-id')
power_off BIOS

# shellcheck disable=SC2046
boot "$tmp/disk.qcow2" $(uefi_args)
if wait_up; then ok "UEFI: the same disk comes up"; else not_ok "UEFI: the same disk comes up" "$(tail -n 40 "$console")"; exit 1; fi
check "UEFI: the firmware is EFI" test "$(guest 'ls -d /sys/firmware/efi')" = /sys/firmware/efi
check "UEFI: the state was kept" test "$(guest 'cat /state/kept')" = kept
check "UEFI: the machine id was kept" test "$(guest 'cat /etc/machine-id')" = "$id"
check "UEFI: the log of the boot before is on the state partition" test "$(guest 'grep -c "power button" /state/log/log')" -ge 1
qmp send-key '{"keys":[{"type":"qcode","data":"ctrl"},{"type":"qcode","data":"alt"},{"type":"qcode","data":"delete"}]}'
if wait_down; then ok "UEFI: ctrl-alt-del ends it"; else not_ok "UEFI: ctrl-alt-del ends it" "$(tail -n 20 "$console")"; fi
check "UEFI: and means to restart" sh -c "grep -q 'ctrl-alt-del: restart' '$console' && grep -q 'nomadinit: restarting' '$console'"
check "UEFI: the agent was told to end and did" console_has "the agent ended: exit status 0"
