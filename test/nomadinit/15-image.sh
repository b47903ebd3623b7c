#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The image builder: needs no root, gives the same bytes twice, in all formats; what it refuses.
. test/nomadinit/lib.sh
requires_image_tools
requires setpriv
# A first run as we are gets the kernel package; the rest runs as nobody.
plain_image
builder=$T/tree/nomadinit/image/build
one=$T/out/one/nomadinit two=$T/out/two/nomadinit
mkdir -p "$T/tree/nomadinit" "$T/out"
cp -r nomadinit/image "$T/tree/nomadinit/"
cp "$init.stripped" "$T/tree/init"
cp "$standin" "$T/tree/agent"
cp -r "$BUILD/image-cache" "$T/tree/cache"
printf '{"nomadinit": {"hostnam": "x"}}' >"$T/tree/bad.json"
chmod -R a+rX "$T" && chmod 755 "$T"
as_nobody() {
	if [ "$(id -u)" -eq 0 ]; then
		chown -R 65534:65534 "$T/out" "$T/tree/cache"
		HOME=$T/out TMPDIR=$T/out setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	else
		"$@"
	fi
}
build() {
	as_nobody env SOURCE_DATE_EPOCH=1700000000 "$builder" --init "$T/tree/init" --cache "$T/tree/cache" --level 1 \
		--nomad "$T/tree/agent" "$@"
}
built() { build "$@" >"$T/sizes"; }
check "it is built by an ordinary user" built --out "$T/out/one" --formats "raw qcow2 vmdk vdi vhdx"
sleep 1
check "and once more" build --out "$T/out/two" --formats "raw qcow2"
for f in raw qcow2 update; do check "both are the same, byte for byte: $f" cmp "$one.$f" "$two.$f"; done
check "the partition table is sound" sfdisk -q --verify "$one.raw"
for f in qcow2 vmdk vdi vhdx; do
	check "$f and raw hold the same" qemu-img compare -q "$one.raw" "$one.$f"
	check "$f: qemu-img check" qemu-img check -q "$one.$f"
done
for part in kernel initramfs 'unified kernel image' 'GRUB for BIOS' 'GRUB for UEFI' 'root, compressed' 'verity tree' \
	nomadinit.qcow2 nomadinit.vmdk; do
	check "its size is printed: $part" grep -q "^  $part.* [0-9][0-9]*\$" "$T/sizes"
done
mib=$(sfdisk -d "$one.raw" | sed -n 's/.*size= *\([0-9]*\),.*name="nomadesp".*/\1/p' | awk '{ print $1 / 2048 }')
dd if="$one.raw" of="$T/esp" bs=1M skip=1 count="$mib" status=none
check "the FAT file system of $mib MiB is sound" /sbin/fsck.vfat -n "$T/esp"
refuses() {
	if "$builder" --init "$T/tree/init" --out "$T/bad" --cache "$T/tree/cache" "$@" 2>"$T/err"; then return 1; fi
}
names() {
	named=$1
	shift
	refuses "$@" && file_has "$T/err" "$named"
}
check "a wrong configuration is refused, by name" names hostnam --config "$T/tree/bad.json"
check "a missing agent is refused" names /no/such --nomad /no/such
size=$(stat -c %s "$init.stripped")
check "the program has at most 1.3 MiB ($size bytes)" test "$size" -le 1363148
check "the program is static" fails prints interpreter readelf -lW "$init.stripped"
done_testing
