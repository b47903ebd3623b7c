#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Faults of the disk: a damaged copy of the partition table, errors of reading and writing, a disk that is read-only.
# What was on it is there when the fault is gone, and the node never starts as a new one.
. test/nomadinit/lib.sh
long_only
requires_image_tools
plain_image
qemu-img convert -O raw "$base" "$T/disk.raw"
boot "$T/disk.raw"
must "it comes up" wait_up
guest 'echo kept >/state/kept; sync' >/dev/null
check "it goes down" press_power
state_at=$(sfdisk -d "$T/disk.raw" | sed -n 's/.*start= *\([0-9]*\),.*name="nomadstate".*/\1/p')
copy() { cp --sparse=always "$T/disk.raw" "$T/hurt.raw"; }
# zero SECTOR COUNT
zero() { dd if=/dev/zero of="$T/hurt.raw" bs=512 seek="$1" count="$2" conv=notrunc status=none; }
# is_kept WHAT [QEMU ARGUMENT...]: the disk as it is now
is_kept() {
	what=$1
	shift
	boot "$T/hurt.raw" "$@"
	check "$what: it comes up" wait_up
	check "$what: what was there is there" guest_is kept 'cat /state/kept'
	end_qemu
}
not_a_new_one() {
	check "$1: the agent does not start, and nothing is made anew" \
		console_lacks 'starting the agent|making a file system|kept in memory'
	check "$1: the power button works" press_power
	is_kept "$1: the fault is gone"
}

copy
zero $(($(stat -c %s "$T/hurt.raw") / 512 - 33)) 33
is_kept "the second partition table"
copy
zero 1 33
# BIOS and GRUB read the first one only; UEFI mends it.
# shellcheck disable=SC2046
is_kept "the first partition table, by UEFI" $(uefi_args)

# fault EVENT [SECTOR]: from now on
fault() { printf '[inject-error]\nevent = "%s"\nerrno = "5"\n%s' "$1" "${2:+sector = \"$2\"}" >"$T/fault"; }
copy
fault read_aio $((state_at + 2))
boot "blkdebug:$T/fault:$T/hurt.raw"
check "the superblock cannot be read: that is said" soon 240 console_has "cannot read '/dev/vda5'"
sleep 10
not_a_new_one "the superblock cannot be read"
copy
fault write_aio
boot "blkdebug:$T/fault:$T/hurt.raw"
soon 120 console_has "cannot mount '/dev/vda5'|state is on"
check "nothing can be written: nothing is made anew" console_lacks 'making a file system|kept in memory'
check "nothing can be written: the power button works" press_power
is_kept "nothing can be written: the fault is gone"
copy
drive_options=readonly=on boot "$T/hurt.raw"
check "a disk that is read-only: that is said" soon 240 console_has "cannot mount '/dev/vda5'"
sleep 10
not_a_new_one "a disk that is read-only"
done_testing
