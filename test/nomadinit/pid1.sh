# SPDX-License-Identifier: MPL-2.0
# shellcheck shell=sh
# test/nomadinit/pid1.sh: our program as PID 1 in namespaces, on a root like the image's; after lib.sh.
requires unshare nsenter ip busybox
requires_root
unshare -fpmnui --mount-proc true 2>/dev/null || skip_all "namespaces are not allowed here"
must "the stand-in agent is built" make_standin

# A root as in the image, but with our program from the build folder.
root=$T/root
for d in sbin bin proc sys dev run tmp var state etc/nomadinit opt/nomad/plugins; do mkdir -p "$root/$d"; done
: >"$root/opt/nomad/plugins/nomad-driver-x"
cp "$init" "$root/sbin/nomadinit"
keys_program=${init%/*}/nomadinit-keys
[ ! -x "$keys_program" ] || cp "$keys_program" "$root/sbin/"
# A build with sanitizers is not static.
for l in $(ldd "$init" "$keys_program" 2>/dev/null | awk '/=> \// { print $(NF - 1) } /^\t\// { print $1 }'); do
	mkdir -p "$root$(dirname "$l")"
	cp -L "$l" "$root$l"
done
cp "$standin" "$root/opt/nomad/nomad"
cp "$(command -v busybox)" "$root/bin/busybox"
echo 1500000000 >"$root/etc/nomadinit/build-time"
for l in sh cat kill sleep ps grep; do ln -s busybox "$root/bin/$l"; done
for d in null zero urandom random; do : >"$root/dev/$d"; done
ln -s ../sbin/nomadinit "$root/bin/poweroff"
ln -s ../sbin/nomadinit "$root/bin/reboot"

# start CONFIG [ENV...]: PID 1 in new namespaces; sets outer (unshare's id), inner (PID 1's id out here), console
start() {
	printf '%s\n' "$1" >"$root/etc/nomadinit/init.json"
	shift
	console=$T/console.$_n
	rm -f "$T/inner"
	env container=test ASAN_OPTIONS=detect_leaks=0 "$@" unshare -fpmnui sh -c '
		[ -n "${NO_DEVICES:-}" ] || for d in null zero urandom random; do mount --bind /dev/$d "$0/dev/$d"; done
		if [ -n "${STATE_SIZE:-}" ]; then mount -t tmpfs -o size=$STATE_SIZE tmpfs "$0/state"; fi
		ip link set lo down
		exec chroot "$0" /sbin/nomadinit' "$root" >"$console" 2>&1 </dev/null &
	outer=$!
	pids="$pids $outer"
	# With --fork the child of unshare is PID 1.
	soon 20 has_child
	inner=$(cat "$T/inner")
	soon 20 grep -q . "$console"
}
has_child() { pgrep -P "$outer" >"$T/inner"; }
inside() { nsenter -t "$inner" -p -m -n -u -r -w "$@"; }
in_net() { nsenter -t "$inner" -n "$@"; }
says() { soon "${2:-20}" grep -q -e "$1" "$console"; }
count_is() { test "$(grep -c "$1" "$3")" "$2" "$4"; }
ready() { says "the agent is ready" "$@"; }
readies() { count_is 'the agent is ready' -ge "$console" "$1"; }
ended() { ! kill -0 "$outer" 2>/dev/null; }
# stop: and see that it is gone, with all below it
stop() {
	kill -TERM "$inner"
	soon 60 ended
}
agent_config='"restart_min_seconds": 1, "restart_max_seconds": 2, "healthy_seconds": 2, "stop_seconds": 5'
quick="\"agent\": {$agent_config}, \"wait_network_seconds\": 0, \"state\": {\"label\": \"none\"}"
