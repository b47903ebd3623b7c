#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# What the README says under Install, word by word, in a fresh Debian with
# nothing but a nomad: apt install ./it, four lines, the example.  Minutes:
# make test-packages.  (There is no systemd to restart the agent there: at that
# line the test does.)
. test/lib.sh
. test/ship/lib-ship.sh
[ -n "${NOMAD_TEST_LONG:-}" ] || skip_all 'takes minutes: make test-packages, or NOMAD_TEST_LONG=1'
requires_debootstrap; requires dpkg-deb jq
require_nomad
isolate --with-network "$@"
VERSION=$(sed -n 's/^VERSION := //p' Makefile)
export VERSION
deb=$T/dist/nomad-driver-nspawn_${VERSION}_amd64.deb

# The README's lines, before and behind the restart of the agent.
awk '/^## Install/ { on = 1 } on && /^```sh/ { in_it = 1; next } /^```/ { if (in_it) exit } in_it' README.md >"$T/steps"
sed '/^systemctl/,$d' "$T/steps" >"$T/before"
sed '1,/^systemctl/d' "$T/steps" >"$T/behind"

t_fresh() {
	BUILD=$T/own .packaging/deb "$T/dist" nomad-driver-nspawn || return 1
	fresh_root install && mkdir -p "$ROOT/etc/nomad.d" "$ROOT/root/download" && cp "$NOMAD" "$ROOT/usr/bin/nomad" &&
		cp "$deb" "$ROOT/root/download/" && enter_root &&
		is "$(inside 'ls /root/download')" "${deb##*/}" && inside 'apt-get update -q'
	read -r http rpc serf <<-PORTS
	$(_free_ports 3)
	PORTS
	# As HashiCorp's package has it, but for addresses and what a cloud would be asked.
	cat >"$ROOT/etc/nomad.d/nomad.hcl" <<-CONFIG
	data_dir = "/opt/nomad/data"
	bind_addr = "127.0.0.1"
	disable_update_check = true
	ports {
	  http = $http
	  rpc = $rpc
	  serf = $serf
	}
	advertise {
	  http = "127.0.0.1"
	  rpc = "127.0.0.1"
	  serf = "127.0.0.1"
	}
	server {
	  enabled = true
	  bootstrap_expect = 1
	}
	client {
	  enabled = true
	  servers = ["127.0.0.1:$rpc"]
	  network_interface = "lo"
	  options = {
	    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean,consul,vault,cni"
	  }
	}
	CONFIG
}
in_readme() { [ "$(wc -l <"$T/before")" -ge 7 ] && [ "$(wc -l <"$T/behind")" -ge 4 ] &&
	is "$(sed -n "/<<'END'/,/^END/p" "$T/before" | sed '1d;$d' | wc -l)" 4; }
# -y where a person would be asked.
t_install() {
	{ echo 'set -e; cd /root/download'; sed 's/^apt install /&-y /' "$T/before"; } >"$ROOT/root/before.sh"
	inside 'sh /root/before.sh' >"$T/log" 2>&1 || { cat "$T/log"; return 1; }
	tail -n 5 "$T/log"
	inside 'test -x /opt/nomad/data/plugins/nomad-driver-nspawn && nomad-driver-nspawn --version || /usr/lib/nomad/plugins/nomad-driver-nspawn --version'
}
t_no_others() {
	unlike "$(inside "dpkg-query -W -f '\${Package}\n'")" \
		'^(libcurl4-openssl-dev|libgrpc.*|buildah|gcc|libgrpc-dev)$'
}
t_off() {
	# Without the four lines no plugin is loaded: only the package's own config names it.
	unlike "$(inside 'dpkg -L nomad-driver-nspawn')" '^/etc/nomad' && inside 'grep -rl nomad-driver /etc/nomad.d' |
		grep -qx /etc/nomad.d/nspawn.hcl
}
t_agent() {
	inside 'exec nomad agent -config /etc/nomad.d' >"$T/agent.log" 2>&1 </dev/null &
	agent=$!
	cleanup "kill $agent"
	export NOMAD_ADDR="http://127.0.0.1:$http"
	wait_for 90 'the driver is healthy' healthy || { tail -n 30 "$T/agent.log"; return 1; }
}
# The node, too: a job that is sent before would be placed later, which `nomad job run` tells as a failure.
healthy() {
	[ "$(api GET /v1/nodes 2>/dev/null |
		jq -r '.[0] | .Status == "ready" and (.Drivers.nspawn | .Detected and .Healthy)' 2>/dev/null)" = true ]
}
t_example() {
	# All but the logs, which are there a little later.
	{ echo "set -e; export NOMAD_ADDR=$NOMAD_ADDR"; grep -v '^nomad alloc logs' "$T/behind"; } \
		>"$ROOT/root/behind.sh"
	inside 'sh /root/behind.sh' >"$T/log" 2>&1 || { cat "$T/log"; tail -n 20 "$T/agent.log"; return 1; }
	wait_for 90 'the task has ended' ended && is "$(code)" 7
}
ended() { api GET /v1/job/hello/allocations | jq -r '.[0].ClientStatus' | grep -Eqx 'failed|complete'; }
code() { api GET /v1/job/hello/allocations |
	jq -r '.[0].TaskStates.hello.Events | map(select(.Type == "Terminated")) | last | .ExitCode'; }
t_logs() {
	logs=$(grep '^nomad alloc logs' "$T/behind")
	wait_for 30 'the log is there' logged && like "$(inside "NOMAD_ADDR=$NOMAD_ADDR $logs")" \
		'^Hello from hello, PID [0-9]+ in a container of user root'
}
logged() { inside "NOMAD_ADDR=$NOMAD_ADDR $logs" 2>/dev/null | grep -q Hello; }
t_manuals() {
	inside 'zcat /usr/share/man/man8/nomad-driver-nspawn.8.gz' | grep -q 'nd-missing' &&
		inside 'zcat /usr/share/man/man5/nomad-driver-nspawn.5.gz' | grep -q image_download
}
t_stop() {
	inside "NOMAD_ADDR=$NOMAD_ADDR nomad job stop -detach -purge hello; NOMAD_ADDR=$NOMAD_ADDR nomad system gc" \
		>/dev/null 2>&1
	wait_for 60 'the allocation is collected' gone && kill -INT "$(plugin_parent)" &&
		wait_for 60 'the agent has ended' pid_gone "$agent"
}
gone() { api PUT /v1/system/gc >/dev/null; [ -z "$(ls "/proc/$HOLDER/root/opt/nomad/data/alloc" 2>/dev/null)" ]; }
plugin_parent() { for _d in /proc/[0-9]*; do case $(readlink "$_d/exe" 2>/dev/null) in */usr/bin/nomad) tr '\0' ' ' \
	<"$_d/cmdline" | grep -q '^nomad agent' && echo "${_d#/proc/}" ;; esac; done | head -n 1; }
t_remove() {
	inside 'apt-get remove -y -q nomad-driver-nspawn' >"$T/log" 2>&1 || { cat "$T/log"; return 1; }
	inside '! test -L /opt/nomad/data/plugins/nomad-driver-nspawn && ! test -e /usr/lib/nomad'
}

run_test 'the README has the commands, and four lines of configuration' in_readme
run_test 'a fresh Debian with nothing but nomad and the .deb' t_fresh
run_test 'the package is installed, the agent configured' t_install
run_test 'nothing else came with it' t_no_others
run_test 'only these lines name the plugin' t_off
run_test 'the agent finds the driver healthy' t_agent
run_test 'the example runs; Nomad sees its exit code' t_example
run_test 'its log is there' t_logs
run_test 'the manuals are there' t_manuals
run_test 'all is collected' t_stop
run_test 'removed, the package leaves no link that would stop the agent' t_remove
done_testing
