#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Updates: a new system goes to the other slot, is tried, is kept when its agent is healthy; a broken one is given up
# and the old one starts again by itself.  First by BIOS, then by UEFI, on the same disk.
. test/nomadinit/lib.sh
long_only
requires_image_tools
printf '{"nomadinit": {"agent": {"healthy_seconds": 3}}}\n' >"$tests_dir/quick.json"
for version in one two broken; do
	must "an image is built: $version" image $version --formats qcow2 --version $version \
		--config "$tests_dir/quick.json"
done

# A broken update: its kernel starts but a block of its root, the first, is not what the root hash says.
mkdir "$T/b"
tar -C "$T/b" -xf "$tests_dir/broken/nomadinit.update"
printf X | dd of="$T/b/root.img" bs=1 seek=100 conv=notrunc status=none
tar -C "$T/b" --format=ustar -cf "$T/broken.update" root.img trailer boot.efi boot.cfg

# Updates reach the guest on a second disk, as a whole.
second() { echo "-drive file=$1,format=raw,if=none,id=second,readonly=on -device virtio-blk-pci,drive=second"; }
slot_is() { guest_is "$1" 'cat /run/nomadinit/slot' && guest_is "$2" 'cat /etc/nomadinit/version'; }
is_kept() { console_has "slot $1 works and is kept"; }

run() {
	how=$1
	shift
	overlay "$tests_dir/one/nomadinit.qcow2" "$T/$how.qcow2"
	# shellcheck disable=SC2046
	boot "$T/$how.qcow2" -action reboot=reset $(second "$tests_dir/two/nomadinit.update") "$@"
	must "$how: version one is up" wait_up
	check "$how: in slot a" slot_is a one
	check "$how: the update is written" prints "version 'two' is in slot b" guest 'nomadinit update /dev/vdb'
	guest /sbin/reboot >/dev/null
	check "$how: it is started" soon 300 slot_is b two
	check "$how: and kept" soon 120 is_kept b
	guest 'poweroff' >/dev/null
	wait_down 120 || end_qemu
	# shellcheck disable=SC2046
	boot "$T/$how.qcow2" -action reboot=reset $(second "$T/broken.update") "$@"
	wait_up
	check "$how: it is still slot b after power off" slot_is b two
	check "$how: the broken update is written" prints "version 'broken' is in slot a" guest \
		'nomadinit update /dev/vdb'
	guest /sbin/reboot >/dev/null
	soon 120 console_has restarting
	check "$how: after its trials the good slot is back" soon 500 slot_is b two
	check "$how: which was because the root was found changed" console_has "is corrupted"
	check "$how: three times" \
		at_least "$(grep -c 'root is slot a\|cannot mount\|data block.*corrupted' "$console")" 3
	check "$how: that it failed is said" soon 120 console_has "the update in slot a did not work"
	press_power || end_qemu
}
# FIRMWARE=BIOS or UEFI: only that one
[ "${FIRMWARE:-BIOS}" != BIOS ] || run BIOS
# shellcheck disable=SC2046
[ "${FIRMWARE:-UEFI}" != UEFI ] || run UEFI $(uefi_args)
done_testing
