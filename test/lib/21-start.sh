#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# What a plugin does before its handshake line is time that the agent waits.
. test/lib.sh
requires_linux
requires strace
driver=${PLUGIN:-$PWD/$BUILD/test/nomad-driver-test}
[ -x "$driver" ] || skip_all "$driver is not built"

# The agent's side is a pipe whose reader goes once the line is there; the plugin then ends by SIGTERM.
traced() {
	strace -f -o "$T/trace" -e trace=clone,clone3,write env -i PATH="$PATH" TMPDIR="$T" PLUGIN_PROTOCOL_VERSIONS=2 \
		NOMAD_PLUGIN_MAGIC_COOKIE=e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255 \
		"$driver" >"$T/out" 2>"$T/err" </dev/null &
	pid=$!
	cleanup "kill -9 $pid 2>/dev/null"
	wait_for 30 'the handshake line' test -s "$T/out" || { cat "$T/err"; return 1; }
	plugin=$(sed -n 's/^\([0-9]*\) .*write(.*"1|2|unix|.*/\1/p' "$T/trace")
	kill -TERM "$plugin"
	wait "$pid" || true
	like "$(cat "$T/out")" '^1\|2\|unix\|.*\|grpc'
}
# The loop's thread, and no thread of gRPC.
t_threads() {
	n=$(sed '/"1|2|unix|/,$d' "$T/trace" | grep -c 'clone3*(.*CLONE_THREAD')
	[ "$n" -le 1 ] || { echo "$n threads before the handshake line"; return 1; }
}

run_test 'a traced plugin prints its handshake and exits' traced
run_test 'the handshake line does not wait for gRPC to start' t_threads
done_testing
