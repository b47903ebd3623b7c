#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# examples/nomadinit: its QEMU command lines as they are written there, and its configurations, each run; the agent here
# is a stand-in, and a real one, if there is one, judges the configurations.
. test/nomadinit/lib.sh
requires_image_tools
requires jq
examples=$top/examples/nomadinit
plain_image
nomad=${NOMAD:-$(command -v nomad || :)}
# by_nomad WHAT ARGUMENT...
by_nomad() {
	_what=$1 _kind=$2
	shift 2
	if [ -n "$nomad" ]; then check "$_what" "$nomad" "$_kind" validate "$@"
	else skip "$_what" "no nomad on PATH"; fi
}
for f in single client; do
	check "$f.json is right" "$init" check "$examples/$f.json"
	"$init" check --show "$examples/$f.json" >"$T/$f.json"
	by_nomad "$f.json: Nomad thinks so too" config "$T/$f.json"
done
# Whoever reaches the API of an agent with raw_exec and without ACLs is root.
check "single.json: it listens on loopback only" prints '^127.0.0.1$' jq -r .bind_addr "$examples/single.json"
check "single.json is what an image has by default" cmp "$examples/single.json" nomadinit/image/init.json
for f in "$examples"/*.hcl; do by_nomad "$(basename "$f") is right" job -address=http://127.0.0.1:1 "$f"; done

# The folder that the commands are written for.
mkdir -p "$T/here/build/image"
overlay "$base" "$T/here/build/image/nomadinit.qcow2"
ln -s "$top/examples" "$T/here/examples"
# The indented lines after a line that begins with $1.
commands_after() {
	awk -v head="$1" 'index($0, head) == 1 { on = 1; next }
		on && /^    / { print substr($0, 5); seen = 1; next }
		on && seen && NF { exit }' "$examples/README.md"
}
# run HEAD [QEMU ARGUMENT...]: with a port and consoles of our own
run() {
	commands_after "$1" >"$T/commands"
	shift
	port=$(free_port)
	console=$T/console
	: >"$console"
	sed -i "s/:4646-:4646/:$port-:4646/; s/^qemu-system-x86_64/exec nice &/; \$s|\$| $*|" "$T/commands"
	diag "$(cat "$T/commands")"
	(cd "$T/here" && exec sh "$T/commands") >"$T/qemu.log" 2>&1 </dev/null &
	qemu=$!
	pids="$pids $qemu"
}
run "Serial console, BIOS:" -serial "file:$T/console" -monitor none
check "serial console, BIOS, single.json: it comes up" wait_up || diag "$(cat "$T/qemu.log")"
check "single.json: server and client" guest_is 2 'grep -c -A1 -e \"server\" -e \"client\" /run/nomad/agent.json'
end_qemu
run "Graphic console, UEFI:" -display none -serial "file:$T/console" \
	-fw_cfg "name=opt/nomadinit/init.json,file=examples/nomadinit/client.json"
check "graphic console, UEFI, client.json: it comes up" soon 240 agent_is_ready
check "client.json: its host's address" console_has "'eth0': 192.0.2.11/24 as configured"
end_qemu
done_testing
