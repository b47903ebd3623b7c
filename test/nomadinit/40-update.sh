#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Updates: a new system goes to the other slot, is tried, is kept when its agent is healthy; a broken one is given up
# and the old one starts again by itself.  First by BIOS, then by UEFI, on the same disk.
. "$(dirname "$0")/lib.sh"
[ "${NOMAD_TEST_LONG:-}" = 1 ] || skip_all "takes minutes under emulation: NOMAD_TEST_LONG=1"
# shellcheck disable=SC2086
needs $image_tools
quick='{"nomadinit": {"agent": {"healthy_seconds": 3}}}'
printf '%s\n' "$quick" >"$tests_dir/quick.json"
image one --formats qcow2 --version one --config "$tests_dir/quick.json" && one=$image_dir &&
	image two --formats qcow2 --version two --config "$tests_dir/quick.json" && two=$image_dir &&
	image broken --formats qcow2 --version broken --config "$tests_dir/quick.json" && broken=$image_dir ||
	{ not_ok "three images are built"; exit 1; }
ok "three images are built"

# A broken update: its kernel starts but a block of its root, the first, is not what the root hash says.
mkdir "$tmp/b"
tar -C "$tmp/b" -xf "$broken/nomadinit.update"
printf X | dd of="$tmp/b/root.img" bs=1 seek=100 conv=notrunc status=none
tar -C "$tmp/b" --format=ustar -cf "$tmp/broken.update" root.img trailer boot.efi boot.cfg

# Updates reach the guest on a second disk, as a whole.
second() { echo "-drive file=$1,format=raw,if=none,id=second,readonly=on -device virtio-blk-pci,drive=second"; }
slot_is() { [ "$(guest 'cat /run/nomadinit/slot')" = "$1" ] && [ "$(guest 'cat /etc/nomadinit/version')" = "$2" ]; }
is_kept() { console_has "slot $1 works and is kept"; }

run() {
	how=$1
	shift
	overlay "$one/nomadinit.qcow2" "$tmp/$how.qcow2" 1G
	# shellcheck disable=SC2046
	boot "$tmp/$how.qcow2" -action reboot=reset $(second "$two/nomadinit.update") "$@"
	if wait_up; then ok "$how: version one is up"; else not_ok "$how: version one is up" "$(tail -n 40 "$console")"; return; fi
	check "$how: in slot a" slot_is a one
	guest 'nomadinit update /dev/vdb' >"$tmp/update.log"
	check "$how: the update is written" grep -q "version 'two' is in slot b" "$tmp/update.log"
	guest /sbin/reboot >/dev/null
	check "$how: it is started" wait_for 300 slot_is b two
	check "$how: and kept" wait_for 120 is_kept b
	guest 'poweroff' >/dev/null
	wait_down 120 || end_pid "$qemu"
	# shellcheck disable=SC2046
	boot "$tmp/$how.qcow2" -action reboot=reset $(second "$tmp/broken.update") "$@"
	wait_up
	check "$how: it is still slot b after power off" slot_is b two
	guest 'nomadinit update /dev/vdb' >"$tmp/update.log"
	check "$how: the broken update is written" grep -q "version 'broken' is in slot a" "$tmp/update.log"
	guest /sbin/reboot >/dev/null
	wait_for 120 console_has restarting
	check "$how: after its trials the good slot is back" wait_for 500 slot_is b two
	check "$how: which was because the root was found changed" console_has "is corrupted"
	check "$how: three times" test "$(grep -c 'root is slot a\|cannot mount\|data block.*corrupted' "$console")" -ge 3
	check "$how: that it failed is said" wait_for 120 console_has "the update in slot a did not work"
	qmp system_powerdown
	wait_down 120 || end_pid "$qemu"
}
# FIRMWARE=BIOS or UEFI: only that one
[ "${FIRMWARE:-BIOS}" != BIOS ] || run BIOS
# shellcheck disable=SC2046
[ "${FIRMWARE:-UEFI}" != UEFI ] || run UEFI $(uefi_args)
