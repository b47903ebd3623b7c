#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Damage to the state: what was on the disk is there again, or the node does not start as a new one.
. test/nomadinit/lib.sh
requires_image_tools
requires mke2fs
plain_image
qemu-img convert -O raw "$base" "$T/disk.raw"
qemu-img resize -q -f raw "$T/disk.raw" 2G
boot "$T/disk.raw"
must "it comes up" wait_up
guest 'echo kept >/state/kept; sync' >/dev/null
check "it goes down" press_power
at=$(sfdisk -d "$T/disk.raw" | sed -n 's/.*start= *\([0-9]*\),.*name="nomadstate".*/\1/p')
# hurt OFFSET COUNT: zeros there, in bytes
hurt() { dd if=/dev/zero of="$T/hurt.raw" bs=1 seek=$((at * 512 + $1)) count="$2" conv=notrunc status=none; }
# survives WHAT OFFSET COUNT [OFFSET COUNT]
survives() {
	cp --sparse=always "$T/disk.raw" "$T/hurt.raw"
	what=$1
	shift
	while [ $# -gt 0 ]; do
		hurt "$1" "$2"
		shift 2
	done
	boot "$T/hurt.raw"
	check "$what: it comes up" wait_up
	check "$what: what was there is there" guest_is kept 'cat /state/kept'
	check "$what: the repair is said" console_has 'is damaged; repairing what can be'
	end_qemu
}
survives "the first 4 KiB" 0 4096
survives "the magic number" 1080 2
survives "superblock and group descriptors" 0 65536

# All of it: there is nothing to repair with.
cp --sparse=always "$T/disk.raw" "$T/hurt.raw"
size=$(sfdisk -d "$T/hurt.raw" | sed -n 's/.*size= *\([0-9]*\),.*name="nomadstate".*/\1/p')
fallocate -p -o $((at * 512)) -l $((size * 512)) "$T/hurt.raw"
boot "$T/hurt.raw"
check "all of it: the node does not start without its state" soon 240 console_has "does not start without it"
check "all of it: nor makes a new one" console_lacks 'making a file system|starting the agent'
check "all of it: the power button works" press_power
printf '{"nomadinit": {"state": {"replace_lost": true}}}' >"$T/replace.json"
boot "$T/hurt.raw" -fw_cfg "name=opt/nomadinit/init.json,file=$T/replace.json"
check "all of it: it starts anew when told to" wait_up
check "all of it: with a new file system" console_has 'making a file system'
end_qemu
done_testing
