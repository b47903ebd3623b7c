#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The same image on other hardware: disks behind NVMe, AHCI, virtio-scsi and VMware's controller; a config drive, kernel
# arguments, two network cards; no network card; a state partition that is another one's; and a hang that the watchdog
# ends.
. test/nomadinit/lib.sh
long_only
requires_image_tools
plain_image

controller='' disk_device=''
for kind in nvme ahci virtio-scsi pvscsi; do
	overlay "$base" "$T/$kind.qcow2"
	case $kind in
	nvme) controller='' disk_device=nvme,serial=1 ;;
	ahci) controller=ich9-ahci,id=ahci disk_device=ide-hd,bus=ahci.0 ;;
	virtio-scsi) controller=virtio-scsi-pci disk_device=scsi-hd ;;
	pvscsi) controller=pvscsi disk_device=scsi-hd ;;
	esac
	# This OVMF has no driver for VMware's.
	[ $kind = pvscsi ] || firmware=$(uefi_args)
	# shellcheck disable=SC2086
	boot "$T/$kind.qcow2" ${firmware:-}
	firmware=
	check "$kind: it comes up" soon 240 agent_is_ready
	check "$kind: its state is on it" console_has "state is on '/dev/[a-z0-9]*', "
	end_qemu
done
controller='' disk_device=''

qemu-img convert -O raw "$base" "$T/disk.raw"
printf 'set args="nomadinit.set.region=mars"\n' >"$T/args.cfg"
mcopy -i "$T/disk.raw@@1M" "$T/args.cfg" ::nomadinit/args.cfg
mkfs.vfat -C -n NOMADINIT "$T/drive.img" 4096 >/dev/null
cat >"$T/init.json" <<'E'
{"nomadinit": {"hostname": "fromdrive", "log_bytes": 65536,
	"network": {"eth1": {"addresses": ["198.51.100.9/24"]}, "*": {}}}}
E
printf '#nomadinit\n{"region": "venus"}\n' >"$T/user-data"
mcopy -i "$T/drive.img" "$T/user-data" ::user-data
mmd -i "$T/drive.img" ::tls
echo certificate >"$T/ca.pem"
mcopy -i "$T/drive.img" "$T/init.json" ::init.json
mcopy -i "$T/drive.img" "$T/ca.pem" ::tls/ca.pem
boot "$T/disk.raw" -drive "file=$T/drive.img,format=raw,if=none,id=conf" -device virtio-blk-pci,drive=conf \
	-netdev user,id=two,restrict=on -device virtio-net-pci,netdev=two,romfile=
check "with a config drive it comes up" wait_up
check "config drive: the host name" guest_is fromdrive hostname
check "config drive: its user-data, before the kernel's arguments" console_has "configuration: user-data of the config"
check "config drive: its other files are there" guest_is certificate 'cat /run/nomadinit/config/tls/ca.pem'
check "config drive: it is not left mounted" guest_is 0 'grep -c nomadinit/drive /proc/mounts'
check "a second network card has its fixed address" prints 198.51.100.9/24 guest 'ip -4 addr show eth1'
check "kernel arguments from the boot partition count" guest_is 1 'grep -c mars /run/nomad/agent.json'
end_qemu

# What is not ours is not formatted.
qemu-img convert -O raw "$base" "$T/disk.raw"
at=$(sfdisk -d "$T/disk.raw" | sed -n 's/.*start= *\([0-9]*\),.*name="nomadstate".*/\1/p')
state_sum() { dd if="$T/disk.raw" bs=512 skip="$at" count=64 status=none | sha256sum; }
dd if=/dev/urandom of="$T/disk.raw" bs=512 seek="$at" count=64 conv=notrunc status=none
sum=$(state_sum)
boot "$T/disk.raw"
check "a state partition with something else: the agent runs all the same" soon 240 agent_is_ready
check "it is said" console_has "it is left alone"
end_qemu
check "and it is not touched" is "$(state_sum)" "$sum"
dd if=/dev/zero of="$T/disk.raw" bs=512 seek="$at" count=64 conv=notrunc status=none
boot "$T/disk.raw"
check "an empty one is formatted" soon 240 console_has "making a file system on"
check "and used" soon 240 agent_is_ready
end_qemu

# A disk of 4096-byte sectors: firmware finds no table there that is counted in 512 bytes, so the image does not start
# from one; as a disk for the state it serves, whole.
overlay "$base" "$T/4kn.qcow2"
truncate -s 64M "$T/4kn.raw"
mke2fs -q -F -t ext4 -b 4096 -L bigsectors "$T/4kn.raw"
printf '{"nomadinit": {"state": {"label": "bigsectors"}}}' >"$T/4kn.json"
boot "$T/4kn.qcow2" -fw_cfg "name=opt/nomadinit/init.json,file=$T/4kn.json" \
	-drive "file=$T/4kn.raw,format=raw,if=none,id=big" \
	-device virtio-blk-pci,drive=big,logical_block_size=4096,physical_block_size=4096
check "a state disk of 4096-byte sectors: it comes up" soon 240 agent_is_ready
check "a state disk of 4096-byte sectors: it is used" console_has "state is on '/dev/vdb'"
check "fw_cfg: its configuration counts" console_has "configuration: fw_cfg"
end_qemu

# PID 1 cannot be stopped from within, but all of the machine can hang: its CPUs are stopped for the emulated watchdog.
overlay "$base" "$T/hang.qcow2"
boot "$T/hang.qcow2" -action watchdog=poweroff
wait_up
check "the watchdog is fed" console_has "watchdog 'i6300ESB timer' starts"
check "and does not bite a machine that lives" guest_is alive 'sleep 70; echo alive'
guest 'echo c > /proc/sysrq-trigger' >/dev/null 2>&1 &
check "a machine that is stuck is ended by it (or by panic=)" soon 240 qemu_ended
done_testing
