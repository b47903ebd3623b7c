#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The image builder: needs no root, gives the same bytes twice, in all formats; what it refuses.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2086
needs $image_tools setpriv
make_standin
# A first run as we are gets the kernel package; the rest runs as nobody.
image plain --formats qcow2 || { not_ok "an image is built"; exit 1; }
builder="$tmp/tree/nomadinit/image/build"
mkdir -p "$tmp/tree/nomadinit" "$tmp/out"
cp -r "$top/nomadinit/image" "$tmp/tree/nomadinit/"
cp "$init.stripped" "$tmp/tree/init"
cp "$standin" "$tmp/tree/agent"
cp -r "$BUILD/image-cache" "$tmp/tree/cache"
chmod -R a+rX "$tmp" && chmod 755 "$tmp"
as_nobody() {
	if [ "$(id -u)" -eq 0 ]; then
		chown -R 65534:65534 "$tmp/out" "$tmp/tree/cache"
		HOME=$tmp/out TMPDIR=$tmp/out setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	else
		"$@"
	fi
}
build() { as_nobody env SOURCE_DATE_EPOCH=1700000000 "$builder" --init "$tmp/tree/init" --cache "$tmp/tree/cache" --level 1 --nomad "$tmp/tree/agent" "$@"; }
built() { build "$@" >"$tmp/sizes"; }
check "it is built by an ordinary user" built --out "$tmp/out/one" --formats "raw qcow2 vmdk vdi vhdx"
sleep 1
check "and once more" build --out "$tmp/out/two" --formats "raw qcow2"
check "both are the same, byte for byte: raw" cmp "$tmp/out/one/nomadinit.raw" "$tmp/out/two/nomadinit.raw"
check "and qcow2" cmp "$tmp/out/one/nomadinit.qcow2" "$tmp/out/two/nomadinit.qcow2"
check "and update" cmp "$tmp/out/one/nomadinit.update" "$tmp/out/two/nomadinit.update"
check "the partition table is sound" sfdisk -q --verify "$tmp/out/one/nomadinit.raw"
for f in qcow2 vmdk vdi vhdx; do
	check "$f and raw hold the same" qemu-img compare -q "$tmp/out/one/nomadinit.raw" "$tmp/out/one/nomadinit.$f"
	check "$f: qemu-img check" qemu-img check -q "$tmp/out/one/nomadinit.$f"
done
for part in kernel initramfs 'unified kernel image' 'GRUB for BIOS' 'GRUB for UEFI' 'root, compressed' 'verity tree' nomadinit.qcow2 nomadinit.vmdk; do
	check "its size is printed: $part" grep -q "^  $part.* [0-9][0-9]*\$" "$tmp/sizes"
done
mib=$(sfdisk -d "$tmp/out/one/nomadinit.raw" | awk -F '[=, ]+' '/name="nomadesp"/ { for (i = 1; i < NF; i++) if ($i == "size") print $(i + 1) / 2048 }')
dd if="$tmp/out/one/nomadinit.raw" of="$tmp/esp" bs=1M skip=1 count="$mib" status=none
check "the FAT file system of $mib MiB is sound" /sbin/fsck.vfat -n "$tmp/esp"
printf '{"nomadinit": {"hostnam": "x"}}' >"$tmp/tree/bad.json"
chmod a+r "$tmp/tree/bad.json"
check "a wrong configuration is refused, by name" sh -c "! '$builder' --init '$tmp/tree/init' --out '$tmp/bad' --cache '$tmp/tree/cache' --config '$tmp/tree/bad.json' 2>'$tmp/err'; grep -q hostnam '$tmp/err'"
check "a missing agent is refused" sh -c "! '$builder' --init '$tmp/tree/init' --out '$tmp/bad' --nomad /no/such 2>'$tmp/err' && grep -q '/no/such' '$tmp/err'"
size=$(stat -c %s "$init.stripped")
check "the program has less than 1 MiB ($size bytes)" test "$size" -lt 1048576
check "the program is static" sh -c "! readelf -lW '$init.stripped' | grep -q interpreter"
