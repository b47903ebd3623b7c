#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Make a root file system out of Debian packages.
# usage: make-root.sh busybox|debian|trixie DIR
#
# busybox: a few megabytes, some seconds: busybox-static, base-files, netbase.
# debian: a minimal Debian 12 with systemd that can boot, by debootstrap.
# trixie: the same of Debian 13.
# A DIR that is complete already is left as it is.
set -eu
kind=$1 dir=$2
[ ! -e "$dir/.complete" ] || exit 0
mkdir -p "$(dirname "$dir")"
rm -rf "$dir.new" "$dir"
mkdir "$dir.new"

busybox_root() {
	debs=$(dirname "$dir")/debs
	mkdir -p "$debs"
	# The merged /usr of today's distributions, which volatile = "yes" needs.
	for name in bin sbin lib; do
		mkdir -p "$dir.new/usr/$name"
		ln -s "usr/$name" "$dir.new/$name"
	done
	for package in busybox-static base-files netbase; do
		set -- "$debs/${package}_"*.deb
		if [ ! -e "$1" ]; then
			(cd "$debs" && { apt-get download -q "$package" >/dev/null 2>&1 ||
				{ apt-get update -q >/dev/null && apt-get download -q "$package" >/dev/null \
				2>&1; }; }) ||
				{ echo "make-root: cannot download the package $package" >&2; exit 1; }
			set -- "$debs/${package}_"*.deb
		fi
		dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$dir.new" \
			--exclude=./usr/share/doc --exclude=./usr/share/man
	done
	for name in $("$dir.new/bin/busybox" --list); do
		[ -e "$dir.new/bin/$name" ] || ln -s busybox "$dir.new/bin/$name"
	done
	cat >"$dir.new/etc/passwd" <<-PASSWD
	root:x:0:0:root:/root:/bin/sh
	web:x:1000:1000:web:/home/web:/bin/sh
	nobody:x:65534:65534:nobody:/nonexistent:/bin/false
	PASSWD
	printf 'root:x:0:\nextra:x:77:web\nweb:x:1000:\nnogroup:x:65534:\n' >"$dir.new/etc/group"
	mkdir -p "$dir.new/home/web" "$dir.new/root"
}

debian_root() {
	debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus "$1" "$dir.new" >&2
	rm -rf "$dir.new/var/cache/apt/archives/"*.deb "$dir.new/var/lib/apt/lists/"*
}

case $kind in
busybox) busybox_root ;;
debian) debian_root bookworm ;;
trixie) debian_root trixie ;;
*) echo "make-root: busybox, debian or trixie, not '$kind'" >&2; exit 2 ;;
esac
touch "$dir.new/.complete"
mv "$dir.new" "$dir"
