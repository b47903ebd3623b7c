#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A clean clone on a fresh Debian 12: nothing but make and git there; `make image` installs what it takes and builds,
# `make run-image` starts it.  The machine is a chroot made from Debian's mirror.
. "$(dirname "$0")/lib.sh"
[ "${NOMAD_TEST_LONG:-}" = 1 ] || skip_all "downloads 300 MB and takes minutes: NOMAD_TEST_LONG=1"
needs mmdebstrap git perl unshare
needs_root
nomad=${NOMAD:-$(command -v nomad || :)}
fresh=$tmp/fresh
mirror=${MIRROR:-http://deb.debian.org}
mmdebstrap --quiet --mode=root --variant=apt --include=make,git,ca-certificates --format=directory bookworm "$fresh" \
	"deb $mirror/debian bookworm main" "deb $mirror/debian bookworm-updates main" \
	"deb $mirror/debian-security bookworm-security main" >"$tmp/debian.log" 2>&1 ||
	skip_all "cannot make a Debian from $mirror: $(tail -n 1 "$tmp/debian.log")"
git clone -q --no-hardlinks "$top" "$fresh/src" || { not_ok "the sources are cloned"; exit 1; }
[ -z "$nomad" ] || cp -L "$nomad" "$fresh/nomad"
cp /etc/resolv.conf "$fresh/etc/resolv.conf"
# In a mount and pid namespace: nothing mounted there can be left, and what runs ends with it.
cat >"$tmp/in-fresh" <<'IN'
root=$1
shift
mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" && mount -t sysfs -o ro sysfs "$root/sys" &&
exec chroot "$root" env -i HOME=/root TERM=dumb PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
IN
in_fresh="nice unshare --mount --pid --fork --kill-child sh $tmp/in-fresh $fresh"
# The namespace's first process ends it: unshare returns when all of it is gone.
end_fresh() {
	kill -9 "$(pgrep -P "$qemu")" 2>/dev/null
	wait "$qemu" 2>/dev/null
}
check "that machine has no compiler and no QEMU" sh -c "! [ -e '$fresh/usr/bin/gcc' ] && ! [ -e '$fresh/usr/bin/qemu-system-x86_64' ]"

# shellcheck disable=SC2086
# run WHAT ARGUMENTS...: image and run-image
run() {
	name=$1
	shift
	if $in_fresh make -C /src image "$@" >"$tmp/$name.log" 2>&1; then
		ok "$name: make image $*"
	else
		not_ok "$name: make image $*" "$(cat "$tmp/$name.log")"
		return
	fi
	sed 's/^/# /' "$tmp/$name.log" | tail -n 20
	$in_fresh make -C /src run-image >"$tmp/console" 2>&1 </dev/null &
	qemu=$!
	pids="$pids $qemu"
	console=$tmp/console
	check "$name: make run-image says where the API is" wait_for 300 console_has 'http://127.0.0.1:'
	port=$(sed -n 's|.*http://127.0.0.1:\([0-9]*\).*|\1|p' "$console" | head -n 1)
	check "$name: the machine boots" wait_for 240 console_has "$signs"
}
signs='starting the agent'
run "without Nomad"
check "without Nomad: that there is none is said" wait_for 60 console_has 'exit status 127'
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
check "the clone has nothing new but build/" test -z "$(git -C "$fresh/src" status --porcelain)"
