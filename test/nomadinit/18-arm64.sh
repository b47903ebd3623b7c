#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The program for arm64: built by Debian's cross compiler, run by QEMU's user emulation with its unit tests.
. test/nomadinit/lib.sh
requires aarch64-linux-gnu-gcc qemu-aarch64-static apt-get dpkg perl jq

# Packages of another architecture are only unpacked, so that nothing of the system changes.
packages=$(realpath "$BUILD")/cache/arm64
system=$packages/system/usr
fetch_packages() {
	[ ! -f "$system/lib/aarch64-linux-gnu/libyaml.a" ] || return 0
	mkdir -p "$packages/lists/partial"
	(
		cd "$packages" || exit 1
		set -- -q -o APT::Architecture=arm64 -o Dir::State::lists="$packages/lists" -o Dir::Cache::pkgcache= \
			-o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root
		apt-get "$@" update &&
			apt-get "$@" download libjansson-dev libyaml-dev zlib1g-dev libcmocka-dev libcmocka0
	) >"$T/apt.log" 2>&1 || return 1
	for p in "$packages"/*.deb; do dpkg -x "$p" "$packages/system"; done
}
fetch_packages || skip_all "cannot fetch arm64 packages: $(tail -n 1 "$T/apt.log")"

arm=$BUILD/arm64
units='cloud cmdline config confdrive dhcp dhcp6 gpt util'
build() {
	# shellcheck disable=SC2046,SC2086
	$MAKE BUILD="$arm" CC=aarch64-linux-gnu-gcc CPPFLAGS="-I$system/include" \
		LDFLAGS="-L$system/lib/aarch64-linux-gnu" WERROR=1 "$arm/nomadinit/nomadinit" \
		$(printf "$arm/nomadinit/%s_test " $units) >"$T/build.log" 2>&1 ||
		{ tail -n 20 "$T/build.log"; return 1; }
}
on_arm() { qemu-aarch64-static -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH="$system/lib/aarch64-linux-gnu" "$@"; }
must "it is built without a warning" build
check "it is static, for arm64" prints 'Machine: *AArch64' readelf -hW "$arm/nomadinit/nomadinit"
check "it needs no loader" fails prints interpreter readelf -lW "$arm/nomadinit/nomadinit"
for u in $units; do check "its unit tests pass: $u" on_arm "$arm/nomadinit/${u}_test"; done
check "it checks a configuration" prints 'client only' on_arm "$arm/nomadinit/nomadinit" check \
	examples/nomadinit/client.json
perl test/nomadinit/replay.pl ec2 plain >"$T/port" 2>/dev/null &
pids="$pids $!"
soon 10 grep -q . "$T/port"
check "it asks a cloud" on_arm "$arm/nomadinit/nomadinit" cloud fetch ec2 20 "$T/result" \
	--at "127.0.0.1:$(cat "$T/port")"
check "and takes its answer" jq -e '.config.nomadinit.hostname == "node-1"' "$T/result"
done_testing
