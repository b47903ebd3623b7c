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
check "it is built by an ordinary user" built --out "$T/out/one" --formats "raw qcow2 vmdk vdi vhdx vhd gce"
sleep 1
check "and once more" build --out "$T/out/two" --formats "raw qcow2 vhd gce"
for f in raw qcow2 vhd tar.gz update; do check "both are the same, byte for byte: $f" cmp "$one.$f" "$two.$f"; done
check "the partition table is sound" sfdisk -q --verify "$one.raw"
for f in qcow2 vmdk vdi vhdx; do
	check "$f and raw hold the same" qemu-img compare -q "$one.raw" "$one.$f"
	check "$f: qemu-img check" qemu-img check -q "$one.$f"
done
raw_bytes=$(stat -c %s "$one.raw")
check "vhd: whole MiB and a footer" test "$(stat -c %s "$one.vhd")" -eq \
	$(((raw_bytes + 1048575) / 1048576 * 1048576 + 512))
check "vhd and raw hold the same" qemu-img compare -q -f raw -F vpc "$one.raw" "$one.vhd"
check "gce: one file of that name" prints '^disk.raw$' tar -tf "$one.tar.gz"
tar -xf "$one.tar.gz" -C "$T" disk.raw
check "gce: of whole GiB" test $(($(stat -c %s "$T/disk.raw") % 1073741824)) -eq 0
check "gce and raw hold the same" qemu-img compare -q -f raw -F raw "$one.raw" "$T/disk.raw"
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
check "CNI plugins that are not there are refused" names containernetworking-plugins --cni /no/such
if [ -x /usr/lib/cni/bridge ] && command -v nft xtables-nft-multi unsquashfs >/dev/null; then
	check "CNI plugins are built in" build --out "$T/out/two" --formats qcow2 --cni /usr/lib/cni
	tar -xf "$T/out/two/nomadinit.update" -C "$T" root.img
	for f in opt/cni/bin/bridge opt/cni/bin/portmap usr/sbin/nft usr/sbin/iptables; do
		check "they are there: $f" prints "$f" unsquashfs -l "$T/root.img" "$f"
	done
fi
size=$(stat -c %s "$init.stripped")
check "the program has at most 1.3 MiB ($size bytes)" test "$size" -le 1363148
check "the program is static" fails prints interpreter readelf -lW "$init.stripped"
done_testing
