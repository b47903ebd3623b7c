#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Each static file, of each CPU that was built: static indeed, small, and works where there is nothing else.
. test/lib.sh
requires_linux
requires_root
requires readelf unshare jq
top=$PWD/$BUILD/static

# How a file of CPU $1 is run: by itself, or by qemu-user.
emulator() {
	case $1 in
	"$(uname -m)") ;;
	*) command -v "qemu-$1-static" || return 1 ;;
	esac
}
t_static() {
	! readelf -lW "$1" | grep -q INTERP || { echo 'it has an interpreter'; return 1; }
	! readelf -dW "$1" | grep -q NEEDED || { echo 'it needs libraries'; return 1; }
}
t_stack() { ! readelf -lW "$1" | grep GNU_STACK | grep -q RWE; }
# Two carry OpenSSL.
max_size() { case $1 in *-triton | *-build) echo 4500000 ;; *) echo 2600000 ;; esac; }
t_size() {
	size=$(stat -c %s "$1") max_size=$(max_size "$1")
	[ "$size" -le "$max_size" ] || { echo "$size bytes, at most $max_size are wanted"; return 1; }
}
t_paths() { ! grep -qaF "$PWD" "$1" || { echo "it names $PWD"; return 1; }; }
# A root with the file, /proc and /dev, and nothing else.
t_empty_root() { # FILE EMULATOR
	rm -rf "$T/root" && mkdir -p "$T/root/proc" "$T/root/dev" "$T/root/tmp" && cp "$1" "$T/root/plugin" || return 1
	[ -z "$2" ] || cp "$2" "$T/root/emulator"
	version=$(sed -n 's/^VERSION := //p' Makefile)
	# shellcheck disable=SC2016
	T=$T emulator=${2:+/emulator} unshare --mount sh -c '
		mount -t proc proc "$T/root/proc" && mount --bind /dev "$T/root/dev" || exit 1
		run() { chroot "$T/root" $emulator /plugin "$@"; }
		run --version >"$T/version" && run schema --json --task >"$T/schema"
		run doctor >"$T/doctor" 2>&1; [ $? -le 1 ]' &&
		like "$(cat "$T/version")" "$version" && jq -e .properties "$T/schema" >/dev/null && [ -s "$T/doctor" ]
}
t_handshake() { # FILE EMULATOR
	mkdir -p "$T/sockets"
	# shellcheck disable=SC2086
	env -i PATH="$PATH" TMPDIR="$T/sockets" PLUGIN_PROTOCOL_VERSIONS=2 \
		NOMAD_PLUGIN_MAGIC_COOKIE=e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255 \
		$2 "$1" >"$T/out" 2>"$T/err" </dev/null &
	pid=$!
	cleanup "kill -9 $pid 2>/dev/null"
	wait_for 30 'the handshake line' test -s "$T/out" || { cat "$T/err"; return 1; }
	kill -TERM $pid && wait $pid && like "$(cat "$T/out")" '^1\|2\|unix\|.*\|grpc'
}

for cpu in x86_64 aarch64; do
	for file in "$top/$cpu/plugins"/nomad-driver-* "$top/$cpu/examples/nomad-driver-hello"; do
		[ -f "$file" ] || continue
		what="$cpu $(basename "$file"):"
		run_test "$what no interpreter, no needed library" t_static "$file"
		run_test "$what its stack is not executable" t_stack "$file"
		run_test "$what is at most $(max_size "$file") bytes" t_size "$file"
		run_test "$what names no path of the build" t_paths "$file"
		if emulator=$(emulator "$cpu"); then
			run_test "$what version, schema and doctor in an empty root" t_empty_root "$file" "$emulator"
			run_test "$what says its handshake and ends by SIGTERM" t_handshake "$file" "$emulator"
		else
			skip "$what runs" "no qemu-$cpu-static on PATH"
		fi
	done
done
done_testing
