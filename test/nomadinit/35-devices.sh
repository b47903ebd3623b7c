#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The same image on other hardware: disks behind NVMe, AHCI, virtio-scsi and VMware's controller; a config drive, kernel
# arguments, two network cards; no network card; a state partition that is another one's; and a hang that the watchdog ends.
. "$(dirname "$0")/lib.sh"
[ "${NOMAD_TEST_LONG:-}" = 1 ] || skip_all "takes minutes under emulation: NOMAD_TEST_LONG=1"
# shellcheck disable=SC2086
needs $image_tools
image plain --formats qcow2 || { not_ok "an image is built"; exit 1; }
base=$image_dir/nomadinit.qcow2
is_ready() { console_has "the agent is ready"; }

controller='' disk_device=''
for kind in nvme ahci virtio-scsi pvscsi; do
	overlay "$base" "$tmp/$kind.qcow2"
	case $kind in
	nvme) controller='' disk_device=nvme,serial=1 ;;
	ahci) controller=ich9-ahci,id=ahci disk_device=ide-hd,bus=ahci.0 ;;
	virtio-scsi) controller=virtio-scsi-pci disk_device=scsi-hd ;;
	pvscsi) controller=pvscsi disk_device=scsi-hd ;;
	esac
	# This OVMF has no driver for VMware's.
	[ $kind = pvscsi ] || firmware=$(uefi_args)
	# shellcheck disable=SC2086
	boot "$tmp/$kind.qcow2" ${firmware:-}
	firmware=
	if wait_for 240 is_ready; then ok "$kind: it comes up"; else not_ok "$kind: it comes up" "$(tail -n 30 "$console")"; fi
	check "$kind: its state is on it" console_has "state is on '/dev/[a-z0-9]*', "
	end_pid "$qemu"
done
controller='' disk_device=''

qemu-img convert -O raw "$base" "$tmp/disk.raw"
printf 'set args="nomadinit.set.region=mars"\n' >"$tmp/args.cfg"
mcopy -i "$tmp/disk.raw@@1M" "$tmp/args.cfg" ::nomadinit/args.cfg
mkfs.vfat -C -n NOMADINIT "$tmp/drive.img" 4096 >/dev/null
printf '{"nomadinit": {"hostname": "fromdrive", "network": {"eth1": {"addresses": ["198.51.100.9/24"]}, "*": {}}, "log_bytes": 65536}}' >"$tmp/init.json"
mmd -i "$tmp/drive.img" ::tls
echo certificate >"$tmp/ca.pem"
mcopy -i "$tmp/drive.img" "$tmp/init.json" ::init.json
mcopy -i "$tmp/drive.img" "$tmp/ca.pem" ::tls/ca.pem
boot "$tmp/disk.raw" -drive "file=$tmp/drive.img,format=raw,if=none,id=conf" -device virtio-blk-pci,drive=conf \
	-netdev user,id=two,restrict=on -device virtio-net-pci,netdev=two,romfile=
if wait_up; then ok "with a config drive it comes up"; else not_ok "with a config drive it comes up" "$(tail -n 40 "$console")"; fi
check "config drive: the host name" test "$(guest hostname)" = fromdrive
check "config drive: its other files are there" test "$(guest 'cat /run/nomadinit/config/tls/ca.pem')" = certificate
check "config drive: it is not left mounted" test "$(guest 'grep -c nomadinit/drive /proc/mounts')" = 0
check "a second network card has its fixed address" test "$(guest 'ip -4 addr show eth1' | grep -c 198.51.100.9/24)" = 1
check "kernel arguments from the boot partition count" test "$(guest 'grep -c mars /run/nomad/agent.json')" = 1
end_pid "$qemu"

# What is not ours is not formatted.
qemu-img convert -O raw "$base" "$tmp/disk.raw"
at=$(sfdisk -d "$tmp/disk.raw" | awk -F '[=, ]+' '/name="nomadstate"/ { for (i = 1; i < NF; i++) if ($i == "start") print $(i + 1) }')
dd if=/dev/urandom of="$tmp/disk.raw" bs=512 seek="$at" count=64 conv=notrunc status=none
sum=$(dd if="$tmp/disk.raw" bs=512 skip="$at" count=64 status=none | sha256sum)
boot "$tmp/disk.raw"
check "a state partition with something else: the agent runs all the same" wait_for 240 is_ready
check "it is said" console_has "it is left alone"
end_pid "$qemu"
check "and it is not touched" test "$(dd if="$tmp/disk.raw" bs=512 skip="$at" count=64 status=none | sha256sum)" = "$sum"
dd if=/dev/zero of="$tmp/disk.raw" bs=512 seek="$at" count=64 conv=notrunc status=none
boot "$tmp/disk.raw"
check "an empty one is formatted" wait_for 240 console_has "making a file system on"
check "and used" wait_for 240 is_ready
end_pid "$qemu"

# A disk of 4096-byte sectors: firmware finds no table there that is counted in 512 bytes, so the image does not start from
# one; as a disk for the state it serves, whole.
overlay "$base" "$tmp/4kn.qcow2"
truncate -s 64M "$tmp/4kn.raw"
mke2fs -q -F -t ext4 -b 4096 -L bigsectors "$tmp/4kn.raw"
printf '{"nomadinit": {"state": {"label": "bigsectors"}}}' >"$tmp/4kn.json"
boot "$tmp/4kn.qcow2" -fw_cfg "name=opt/nomadinit/init.json,file=$tmp/4kn.json" -drive "file=$tmp/4kn.raw,format=raw,if=none,id=big" \
	-device virtio-blk-pci,drive=big,logical_block_size=4096,physical_block_size=4096
check "a state disk of 4096-byte sectors: it comes up" wait_for 240 is_ready
check "a state disk of 4096-byte sectors: it is used" console_has "state is on '/dev/vdb'"
check "fw_cfg: its configuration counts" console_has "configuration: fw_cfg"
end_pid "$qemu"

# PID 1 cannot be stopped from within, but all of the machine can hang: its CPUs are stopped for the emulated watchdog.
overlay "$base" "$tmp/hang.qcow2"
boot "$tmp/hang.qcow2" -action watchdog=poweroff
wait_up
check "the watchdog is fed" console_has "watchdog 'i6300ESB timer' starts"
guest 'sleep 70; echo alive' >"$tmp/alive"
check "and does not bite a machine that lives" test "$(cat "$tmp/alive")" = alive
guest 'echo c > /proc/sysrq-trigger' >/dev/null 2>&1 &
check "a machine that is stuck is ended by it (or by panic=)" wait_for 240 qemu_ended
