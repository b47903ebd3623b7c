#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Whose disk: with another node's disk of the same build attached, in front or behind, root and state come from the disk
# that the firmware started, by BIOS and by UEFI; two disks that cannot be told apart are refused.
. test/nomadinit/lib.sh
requires_image_tools
plain_image
guids() { sfdisk -d "$1" | grep -o 'uuid=[0-9A-F-]*\|label-id: [0-9A-F-]*' | sort; }
# Two nodes, each with a life of its own behind it.
for node in mine theirs; do
	qemu-img convert -O raw "$base" "$T/$node.raw"
	guids "$T/$node.raw" >"$T/$node.before"
	boot "$T/$node.raw"
	must "$node: it comes up" wait_up
	guest "echo $node >/state/whose; sync" >/dev/null
	check "$node: it goes down" press_power
	guids "$T/$node.raw" >"$T/$node.guids"
	check "$node: the first boot gave the disk and each partition a GUID of their own" \
		is "$(sort "$T/$node.before" "$T/$node.guids" | uniq -d)" ''
	check "$node: the table is sound" sfdisk -q --verify "$T/$node.raw"
done
check "no GUID is on both" is "$(sort "$T/mine.guids" "$T/theirs.guids" | uniq -d)" ''

other="-drive file=$T/theirs.raw,format=raw,if=none,id=other -device virtio-blk-pci,drive=other"
is_mine() {
	is "$(guest 'cat /state/whose')" mine && console_has "root is slot a \('/dev/$1" &&
		console_has "state is on '/dev/$1"
}
# The one with the lower PCI address is vda.
for firmware in BIOS UEFI; do
	args=
	[ $firmware = BIOS ] || args=$(uefi_args)
	# shellcheck disable=SC2086
	disk_device=virtio-blk-pci,addr=0x10 boot "$T/mine.raw" $other,addr=0x11 $args
	must "$firmware: with another node's disk behind it comes up" wait_up
	check "$firmware: on its own disk" is_mine vda
	end_qemu
	# shellcheck disable=SC2086
	disk_device=virtio-blk-pci,addr=0x11 boot "$T/mine.raw" $other,addr=0x10 $args
	must "$firmware: with another node's disk in front it comes up" wait_up
	check "$firmware: on its own disk, the second" is_mine vdb
	end_qemu
done

cp "$T/mine.raw" "$T/theirs.raw"
# shellcheck disable=SC2086
boot "$T/mine.raw" $other
check "a disk and its copy are refused" soon 240 console_has 'more than one disk'
sleep 5
check "and neither is used" console_lacks 'root is slot'
end_qemu
done_testing
