#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# One image, started by BIOS and by UEFI under plain emulation, with a stand-in for the agent: it comes up,
# has network, time and state, runs a command, and goes down by the power button.
. test/nomadinit/lib.sh
requires_image_tools
plain_image
bytes=$(stat -c %s "$base")
diag "qcow2 without Nomad: $bytes bytes"
check "without Nomad it is at most 26 MB" test "$bytes" -le 26000000

overlay "$base" "$T/disk.qcow2" 2G
boot "$T/disk.qcow2"
must "BIOS: the agent's API answers" wait_up
check "BIOS: the root is verified" console_has "root is slot a.*verified"
check "BIOS: the state partition grew to the disk" console_has "grew from 1024 to"
check "BIOS: an address came by DHCP" console_has "10.0.2.15/24 by DHCP"
check "BIOS: the agent said that it is ready" agent_is_ready
room=$(guest 'df -kP /state' | awk 'NR == 2 { print $2 }')
check "BIOS: and its file system with it ($room KiB)" at_least "$room" 1500000
check "BIOS: cgroup2 has its controllers" \
	prints 'cpu.*memory.*pids' guest 'cat /sys/fs/cgroup/cgroup.subtree_control'
check "BIOS: name servers are known" prints '^nameserver 10.0.2.3' guest 'cat /etc/resolv.conf'
check "BIOS: the root is read-only" prints '[Rr]ead-only' guest 'touch /x 2>&1'
# Private_Clean too, which the kernel may drop at any time: its program's pages that are mapped at the moment, private
# only because nobody else maps them.  Between two trims the code of what happened last is there as well.
private() { guest "awk '/^Private_(Clean|Dirty)/ { n += \$2 } END { print n }' /proc/1/smaps_rollup"; }
is_small() { kib=$(private) && [ "${kib:-9999}" -lt 400 ]; }
soon 120 is_small
check "BIOS: PID 1 has less than 400 KiB of private memory, clean and dirty (${kib:-?} KiB)" test "${kib:-9999}" -lt 400
diag "PID 1: $(guest "awk '/^(Rss|Private)/ { printf \"%s %s  \", \$1, \$2 }' /proc/1/smaps_rollup") KiB"
check "BIOS: no process but ours and the agent's runs" guest_is 0 \
	"ps -o pid,args | grep -vc -e '\[' -e nomadinit -e /opt/nomad/nomad -e 'sh -c' -e ' ps ' -e PID"
check "BIOS: the kernel's messages are in the log" prints 'Z kernel: Linux version' guest 'cat /state/log/log'
check "BIOS: the agent is not the first to be killed for memory" guest_is -900 'cat "/proc/$PPID/oom_score_adj"'
guest 'echo kept > /state/kept; sync' >/dev/null
id=$(guest 'cat /etc/machine-id')
check "BIOS: the power button ends it" press_power
check "BIOS: the button is named on the console" console_has "power button: power off"
check "BIOS: the agent was told to end and did" console_has "the agent ended: exit status 0"
check "BIOS: all was unmounted" unmounted

# shellcheck disable=SC2046
boot "$T/disk.qcow2" $(uefi_args)
must "UEFI: the same disk comes up" wait_up
check "UEFI: the firmware is EFI" guest_is /sys/firmware/efi 'ls -d /sys/firmware/efi'
check "UEFI: the state was kept" guest_is kept 'cat /state/kept'
check "UEFI: the machine id was kept" guest_is "$id" 'cat /etc/machine-id'
check "UEFI: the log of the boot before is on the state partition" \
	at_least "$(guest 'grep -c "power button" /state/log/log')" 1
keys=
for key in ctrl alt delete; do keys="$keys${keys:+,}{\"type\":\"qcode\",\"data\":\"$key\"}"; done
qmp send-key "{\"keys\":[$keys]}"
check "UEFI: ctrl-alt-del ends it" wait_down
check "UEFI: and means to restart" console_has 'ctrl-alt-del: restart'
check "UEFI: which it does" console_has 'nomadinit: restarting'
check "UEFI: the agent was told to end and did, without a drain" console_has "stand-in agent: interrupted"
done_testing
