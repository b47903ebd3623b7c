# shellcheck shell=sh
# SPDX-License-Identifier: MPL-2.0
#
# test/ship/lib-ship.sh: fresh Debian systems, after test/lib.sh.
#
#   fresh_root NAME [SUITE]      a minimal Debian (bookworm) in $T/root-NAME, from debootstrap; its
#                                tarball is kept in build/cache/debootstrap.  Sets ROOT
#   enter_root                   a mount namespace whose root it is, kept by process $HOLDER
#   inside COMMAND               a shell command in there, with nothing of our environment
#   leave_root

requires_debootstrap() {
	requires_linux; requires_root; requires debootstrap unshare nsenter tar flock
}

fresh_root() {
	_suite=${2:-bookworm} _cache=$PWD/$BUILD/cache/debootstrap
	ROOT=$T/root-$1
	if [ ! -s "$_cache/$_suite.tar" ]; then
		mkdir -p "$_cache"
		debootstrap --variant=minbase "$_suite" "$_cache/$_suite.$$" \
			"${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$T/debootstrap.log" 2>&1 || {
			tail -n 20 "$T/debootstrap.log"; return 1; }
		tar -C "$_cache/$_suite.$$" -cf "$_cache/$_suite.tar.$$" . &&
			mv "$_cache/$_suite.tar.$$" "$_cache/$_suite.tar" || return 1
		rm -rf --one-file-system "$_cache/$_suite.$$"
	fi
	mkdir -p "$ROOT" && tar -C "$ROOT" -xf "$_cache/$_suite.tar" && cp -L /etc/resolv.conf "$ROOT/etc/resolv.conf"
}

# pivot_root, as a chroot may not have user namespaces and containers want a root that is a mount.
enter_root() {
	# Each script its own, and what is run twice at a time one that is not kept: apt does not wait for another's
	# lock.
	_apt=$PWD/$BUILD/cache/apt/${0##*/}
	mkdir -p "$ROOT/.old" "$_apt" "$T/apt"
	exec 9>"$_apt.lock"
	flock -n 9 || _apt=$T/apt
	rm -f "$ROOT/.entered"
	unshare --mount --propagation private sh -c '
		set -e
		mount --bind "$1" "$1"
		for d in proc sys dev; do mount --rbind "/$d" "$1/$d"; done
		mount -t tmpfs tmpfs "$1/run"
		mount -t tmpfs tmpfs "$1/tmp"
		mount --bind "$2" "$1/var/cache/apt/archives"
		cd "$1"
		pivot_root . .old
		umount -l .old
		: >/.entered
		exec sleep 100000' sh "$ROOT" "$_apt" >"$T/enter.log" 2>&1 </dev/null &
	HOLDER=$!
	cleanup "kill -9 $HOLDER"
	wait_for 20 'the new root is entered' test -e "$ROOT/.entered" || { cat "$T/enter.log"; return 1; }
}
inside() {
	nsenter --target "$HOLDER" --mount --root -- /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /bin/sh -c "cd /; $1"
}
leave_root() {
	kill -9 "$HOLDER" 2>/dev/null
	wait "$HOLDER" 2>/dev/null
	rm -rf --one-file-system "$ROOT"
}
