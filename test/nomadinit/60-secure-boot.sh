#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Secure Boot under OVMF with our own keys enrolled: the signed image starts and the kernel knows; the same image unsigned,
# or with one byte changed, does not; a changed root is stopped by dm-verity.
. "$(dirname "$0")/lib.sh"
[ "${NOMAD_TEST_LONG:-}" = 1 ] || skip_all "takes minutes under emulation: NOMAD_TEST_LONG=1"
# shellcheck disable=SC2086
needs $image_tools openssl sbsign
[ -f /usr/share/OVMF/OVMF_CODE_4M.secboot.fd ] || skip_all "no OVMF with Secure Boot (package ovmf)"
keys=$tests_dir/keys
if [ ! -f "$keys/db.crt" ]; then
	mkdir -p "$keys"
	openssl req -new -x509 -newkey rsa:2048 -nodes -days 3650 -subj '/CN=nomadinit test/' -keyout "$keys/db.key" -out "$keys/db.crt" 2>/dev/null
fi
perl "$top/test/nomadinit/enroll.pl" "$keys/db.crt" </usr/share/OVMF/OVMF_VARS_4M.fd >"$tmp/enrolled.fd" ||
	{ not_ok "keys are enrolled"; exit 1; }
ok "keys are enrolled"
image signed --formats qcow2 --version signed --key "$keys/db.key" --cert "$keys/db.crt" && signed=$image_dir || { not_ok "a signed image is built"; exit 1; }
ok "a signed image is built"
image plain --formats qcow2 && plain=$image_dir || { not_ok "an unsigned image is built"; exit 1; }

secure() {
	disk=$1
	shift
	cp "$tmp/enrolled.fd" "$tmp/vars.fd"
	boot "$disk" -machine q35,smm=on -global driver=cfi.pflash01,property=secure,value=on \
		-drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd \
		-drive "if=pflash,format=raw,file=$tmp/vars.fd" "$@"
}
overlay "$signed/nomadinit.qcow2" "$tmp/signed.qcow2"
secure "$tmp/signed.qcow2"
if wait_up 300; then ok "the signed image starts"; else not_ok "the signed image starts" "$(tail -n 40 "$console")"; exit 1; fi
state=$(guest 'dmesg | grep -i -e "secure boot" -e "secureboot"')
check "and that it is locked down: $(echo "$state" | head -n 1 | cut -c1-60)" test "$(guest 'cat /sys/kernel/security/lockdown' | grep -c '\[integrity\]\|\[confidentiality\]')" = 1
check "the root is verified" console_has "verified"
qmp system_powerdown
wait_down 120 || end_pid "$qemu"

overlay "$plain/nomadinit.qcow2" "$tmp/plain.qcow2"
secure "$tmp/plain.qcow2"
check "the unsigned image is refused by the firmware" wait_for 240 console_has 'Access Denied\|Security Violation'
check "and nothing of it ran" sh -c "! grep -q -e nomadinit: -e 'Welcome to GRUB' '$console'"
end_pid "$qemu"

# The boot loader untouched, the kernel changed by one byte.
esp_at=1048576
qemu-img convert -O raw "$signed/nomadinit.qcow2" "$tmp/changed.raw"
mcopy -i "$tmp/changed.raw@@$esp_at" ::EFI/nomadinit/a.efi "$tmp/a.efi"
size=$(stat -c %s "$tmp/a.efi")
printf X | dd of="$tmp/a.efi" bs=1 seek=$((size / 2)) conv=notrunc status=none
mcopy -o -i "$tmp/changed.raw@@$esp_at" "$tmp/a.efi" ::EFI/nomadinit/a.efi
secure "$tmp/changed.raw"
check "a changed kernel is refused" wait_for 240 console_has "cannot be started"
check "and did not run" sh -c "! grep -q nomadinit: '$console'"
end_pid "$qemu"

# Kernel and boot loader untouched, the root changed.
qemu-img convert -O raw "$signed/nomadinit.qcow2" "$tmp/changed.raw"
root_at=$(sfdisk -J "$tmp/changed.raw" | tr -d ' \n' | sed 's/.*"start":\([0-9]*\),"size":[0-9]*,"type":"[^"]*","uuid":"[^"]*","name":"nomadroot-a".*/\1/')
printf XXXX | dd of="$tmp/changed.raw" bs=1 seek=$((root_at * 512 + 100)) conv=notrunc status=none
secure "$tmp/changed.raw"
check "a changed root is found out and the machine starts anew" wait_for 300 qemu_ended
check "by dm-verity" console_has "is corrupted"
check "and the agent did not run" sh -c "! grep -q 'starting the agent' '$console'"
end_pid "$qemu"
