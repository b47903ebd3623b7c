#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A clean clone on a fresh Debian 12: nothing but make and git there; `make image` installs what it takes and builds,
# `make run-image` starts it.  The machine is a chroot made from Debian's mirror.
. test/nomadinit/lib.sh
[ "${NOMAD_TEST_LONG:-}" = 1 ] || skip_all "downloads 300 MB and takes minutes: NOMAD_TEST_LONG=1"
requires mmdebstrap git perl unshare
requires_root
nomad=${NOMAD:-$(command -v nomad || :)}
fresh=$T/fresh
mirror=${MIRROR:-http://deb.debian.org}
mmdebstrap --quiet --mode=root --variant=apt --include=make,git,ca-certificates --format=directory bookworm "$fresh" \
	"deb $mirror/debian bookworm main" "deb $mirror/debian bookworm-updates main" \
	"deb $mirror/debian-security bookworm-security main" >"$T/debian.log" 2>&1 ||
	skip_all "cannot make a Debian from $mirror: $(tail -n 1 "$T/debian.log")"
must "the sources are cloned" git clone -q --no-hardlinks "$top" "$fresh/src"
[ -z "$nomad" ] || cp -L "$nomad" "$fresh/nomad"
cp /etc/resolv.conf "$fresh/etc/resolv.conf"
# In a mount and pid namespace: nothing mounted there can be left, and what runs ends with it.
cat >"$T/in-fresh" <<'IN'
root=$1
shift
mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" && mount -t sysfs -o ro sysfs "$root/sys" &&
exec chroot "$root" env -i HOME=/root TERM=dumb PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
IN
in_fresh="nice unshare --mount --pid --fork --kill-child sh $T/in-fresh $fresh"
# The namespace's first process ends it: unshare returns when all of it is gone.
end_fresh() {
	kill -9 "$(pgrep -P "$qemu")" 2>/dev/null
	wait "$qemu" 2>/dev/null
}
for f in gcc qemu-system-x86_64; do check "that machine has no $f" test ! -e "$fresh/usr/bin/$f"; done

# shellcheck disable=SC2086
# run WHAT ARGUMENTS...: image and run-image
run() {
	name=$1
	shift
	check "$name: make image $*" $in_fresh make -C /src image "$@" || return
	diag "$(tail -n 20 "$T/.run")"
	$in_fresh make -C /src run-image >"$T/console" 2>&1 </dev/null &
	qemu=$!
	pids="$pids $qemu"
	console=$T/console
	check "$name: make run-image says where the API is" soon 300 console_has 'http://127.0.0.1:'
	port=$(sed -n 's|.*http://127.0.0.1:\([0-9]*\).*|\1|p' "$console" | head -n 1)
	check "$name: the machine boots" soon 240 console_has 'starting the agent'
}
run "without Nomad"
check "without Nomad: that there is none is said" soon 60 console_has 'exit status 127'
end_fresh
run "stand-in" NOMAD=stand-in
check "stand-in: the API answers" wait_up 240
end_fresh
if [ -n "$nomad" ]; then
	run "with Nomad" NOMAD=/nomad
	check "with Nomad: the API answers" wait_up 400
	end_fresh
else
	skip "with Nomad" "no Nomad binary; give NOMAD=path"
fi
check "the clone has nothing new but build/" is "$(git -C "$fresh/src" status --porcelain)" ""
done_testing
