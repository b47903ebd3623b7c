#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# As a plugin, the driver runs nothing on this host and gives up what that
# takes: seen in its process, and in how it leaves its directory.
. test/lib.sh
requires_linux
driver=$PWD/$BUILD/plugins/nomad-driver-triton
[ -x "$driver" ] || skip_all "$driver is not built"

# To the handshake, as an agent launches it; its own folder for the socket.
start() {
	mkdir "$T/sockets" && chmod 700 "$T/sockets"
	env -i PATH="$PATH" TMPDIR="$T/tmp" PLUGIN_UNIX_SOCKET_DIR="$T/sockets" PLUGIN_PROTOCOL_VERSIONS=2 \
		NOMAD_PLUGIN_MAGIC_COOKIE=e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255 \
		"$driver" >"$T/out" 2>"$T/err" </dev/null &
	pid=$!
	cleanup "kill -9 $pid"
	wait_for 30 'it has said its handshake' test -s "$T/out" || { cat "$T/err"; return 1; }
	like "$(cat "$T/out")" '^1\|2\|unix\|.*\|grpc'
}
field() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status"; }
t_privileges() { is "$(field NoNewPrivs)" 1; }
t_calls() { is "$(field Seccomp)" 2; }
t_threads() {
	for task in /proc/"$pid"/task/*; do
		is "$(sed -n 's/^Seccomp:[[:space:]]*//p' "$task/status")" 2 || return 1
	done
}
t_capabilities() {
	# chown, dac_override, dac_read_search, fowner, kill
	got=$(field CapEff)
	[ $((0x$got & ~0x2f)) -eq 0 ] || { echo "effective: $got"; return 1; }
	got=$(field CapBnd)
	[ "$(id -u)" -ne 0 ] || [ $((0x$got & ~0x2f)) -eq 0 ] || { echo "bounding: $got"; return 1; }
}
t_socket() {
	socket=$(cut -d'|' -f4 "$T/out")
	[ -S "$socket" ] || return 1
	# Its folder keeps others out where the socket's own mode does not.
	mode=$(stat -c %a "$socket") && like "$mode" '^[67][0-7]0$'
}
# Those that run tasks here must not be.
t_others() {
	for other in nspawn build; do
		exe=$PWD/$BUILD/plugins/nomad-driver-$other
		[ -x "$exe" ] || continue
		nm -D "$exe" >/dev/null 2>&1 || continue
		env -i PATH="$PATH" TMPDIR="$T/tmp" PLUGIN_UNIX_SOCKET_DIR="$T/sockets" PLUGIN_PROTOCOL_VERSIONS=2 \
			NOMAD_PLUGIN_MAGIC_COOKIE=e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255 \
			"$exe" >"$T/out-$other" 2>/dev/null </dev/null &
		pid=$!
		cleanup "kill -9 $pid"
		wait_for 30 'it has said its handshake' test -s "$T/out-$other" && is "$(field NoNewPrivs)" 0 ||
			return 1
		kill -9 $pid
	done
}

run_test 'it starts as a plugin' start
run_test 'programs that it executes get no new privileges' t_privileges
run_test 'calls that change the machine are filtered' t_calls
run_test 'in every thread' t_threads
run_test 'capabilities are those for files and signals' t_capabilities
run_test 'its socket is for its own user' t_socket
run_test 'drivers that run tasks here keep theirs' t_others
done_testing
