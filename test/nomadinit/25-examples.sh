#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# examples/nomadinit: its QEMU command lines as they are written there, and its configurations, each run; the agent here is a
# stand-in, and a real one, if there is one, judges the configurations.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2086
needs $image_tools
examples=$top/examples/nomadinit
image plain --formats qcow2 || { not_ok "an image is built"; exit 1; }
nomad=${NOMAD:-$(command -v nomad || :)}
for f in single client; do
	check "$f.json is right" "$init" check "$examples/$f.json"
	if [ -n "$nomad" ]; then
		"$init" check --show "$examples/$f.json" >"$tmp/$f.json"
		check "$f.json: Nomad thinks so too" "$nomad" config validate "$tmp/$f.json"
	else
		skip "$f.json: Nomad thinks so too" "no nomad on PATH"
	fi
done
check "single.json is what an image has by default" cmp "$examples/single.json" "$top/nomadinit/image/init.json"
for f in "$examples"/*.hcl; do
	if [ -n "$nomad" ]; then
		check "$(basename "$f") is right" "$nomad" job validate -address=http://127.0.0.1:1 "$f"
	else
		skip "$(basename "$f") is right" "no nomad on PATH"
	fi
done

# The folder that the commands are written for.
mkdir -p "$tmp/here/build/image"
qemu-img create -q -f qcow2 -b "$image_dir/nomadinit.qcow2" -F qcow2 "$tmp/here/build/image/nomadinit.qcow2"
ln -s "$top/examples" "$tmp/here/examples"
# The indented lines after a line that begins with $1.
commands_after() { awk -v head="$1" 'index($0, head) == 1 { on = 1; next } on && /^    / { print substr($0, 5); seen = 1; next } on && seen && NF { exit }' "$examples/README.md"; }
# run HEAD [QEMU ARGUMENT...]: with a port and consoles of our own
run() {
	commands_after "$1" >"$tmp/commands"
	shift
	port=$(free_port)
	console=$tmp/console
	: >"$console"
	sed -i "s/:4646-:4646/:$port-:4646/; s/^qemu-system-x86_64/exec nice &/" "$tmp/commands"
	sed -i "\$s|\$| $*|" "$tmp/commands"
	sed 's/^/# /' "$tmp/commands"
	(cd "$tmp/here" && exec sh "$tmp/commands") >"$tmp/qemu.log" 2>&1 </dev/null &
	qemu=$!
	pids="$pids $qemu"
}
run "Serial console, BIOS:" -serial "file:$tmp/console" -monitor none
if wait_up; then ok "serial console, BIOS, single.json: it comes up"; else not_ok "serial console, BIOS, single.json: it comes up" "$(cat "$tmp/qemu.log"; tail -n 40 "$console")"; fi
check "single.json: server and client" test "$(guest 'grep -c -A1 -e \"server\" -e \"client\" /run/nomad/agent.json')" = 2
end_pid "$qemu"
run "Graphic console, UEFI:" -display none -serial "file:$tmp/console" -fw_cfg "name=opt/nomadinit/init.json,file=examples/nomadinit/client.json"
check "graphic console, UEFI, client.json: it comes up" wait_for 240 console_has 'the agent is ready'
check "client.json: its host's address" console_has "'eth0': 192.0.2.11/24 as configured"
end_pid "$qemu"
