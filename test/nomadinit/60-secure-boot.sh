#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Secure Boot under OVMF with our own keys enrolled: the signed image starts and the kernel knows; the same image
# unsigned, or with one byte changed, does not; a changed root is stopped by dm-verity.
. test/nomadinit/lib.sh
long_only
requires_image_tools
requires openssl sbsign
[ -f /usr/share/OVMF/OVMF_CODE_4M.secboot.fd ] || skip_all "no OVMF with Secure Boot (package ovmf)"
keys=$tests_dir/keys
if [ ! -f "$keys/db.crt" ]; then
	mkdir -p "$keys"
	openssl req -new -x509 -newkey rsa:2048 -nodes -days 3650 -subj '/CN=nomadinit test/' -keyout "$keys/db.key" \
		-out "$keys/db.crt" 2>/dev/null
fi
enroll() { perl test/nomadinit/enroll.pl "$keys/db.crt" </usr/share/OVMF/OVMF_VARS_4M.fd >"$T/enrolled.fd"; }
must "keys are enrolled" enroll
must "a signed image is built" image signed --formats qcow2 --version signed --key "$keys/db.key" --cert "$keys/db.crt"
signed=$image_dir
plain_image

secure() {
	disk=$1
	shift
	cp "$T/enrolled.fd" "$T/vars.fd"
	flash=if=pflash,format=raw
	boot "$disk" -machine q35,smm=on -global driver=cfi.pflash01,property=secure,value=on \
		-drive "$flash,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd" \
		-drive "$flash,file=$T/vars.fd" "$@"
}
overlay "$signed/nomadinit.qcow2" "$T/signed.qcow2"
secure "$T/signed.qcow2"
must "the signed image starts" wait_up 300
diag "$(guest 'dmesg | grep -i -e "secure boot" -e "secureboot"' | head -n 1)"
check "and is locked down" prints '\[(integrity|confidentiality)\]' guest 'cat /sys/kernel/security/lockdown'
check "the root is verified" console_has "verified"
press_power || end_qemu

overlay "$base" "$T/plain.qcow2"
secure "$T/plain.qcow2"
check "the unsigned image is refused by the firmware" soon 240 console_has 'Access Denied|Security Violation'
check "and nothing of it ran" console_lacks 'nomadinit:|Welcome to GRUB'
end_qemu

# The boot loader untouched, the kernel changed by one byte.
change() { printf XXXX | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
qemu-img convert -O raw "$signed/nomadinit.qcow2" "$T/changed.raw"
mcopy -i "$T/changed.raw@@1M" ::EFI/nomadinit/a.efi "$T/a.efi"
change "$T/a.efi" $(($(stat -c %s "$T/a.efi") / 2))
mcopy -o -i "$T/changed.raw@@1M" "$T/a.efi" ::EFI/nomadinit/a.efi
secure "$T/changed.raw"
check "a changed kernel is refused" soon 240 console_has "cannot be started"
check "and did not run" console_lacks nomadinit:
end_qemu

# Kernel and boot loader untouched, the root changed.
qemu-img convert -O raw "$signed/nomadinit.qcow2" "$T/changed.raw"
root_at=$(sfdisk -d "$T/changed.raw" | sed -n 's/.*start= *\([0-9]*\),.*name="nomadroot-a".*/\1/p')
change "$T/changed.raw" $((root_at * 512 + 100))
secure "$T/changed.raw"
check "a changed root is found out and the machine starts anew" soon 300 qemu_ended
check "by dm-verity" console_has "is corrupted"
check "and the agent did not run" console_lacks 'starting the agent'
end_qemu
done_testing
