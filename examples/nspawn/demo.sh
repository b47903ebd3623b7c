#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# make demo: a first task in a container, on a machine that has nothing yet.
#
# With a `nomad` on PATH: an agent of its own on ports of its own, that loads
# the plugin, runs examples/nspawn/hello.json and goes.  Without: the same job
# by `nomad-driver-nspawn run`.  Leaves nothing behind but the build folder.
set -eu
build=${BUILD:-build}
driver=$build/plugins/nomad-driver-nspawn
job=examples/nspawn/hello.json
[ "$(id -u)" -eq 0 ] || { echo 'make demo needs root: containers do' >&2; exit 1; }

step() { printf '\n==> %s\n' "$*"; }

step 'A root file system from Debian packages (build/cache/demo/busybox)'
examples/nspawn/make-root.sh busybox build/cache/demo/busybox
du -sh build/cache/demo/busybox | awk '{ print $1 }'

step 'What this host has: nomad-driver-nspawn doctor'
"$driver" doctor

dir=$(mktemp -d /tmp/nomad-demo.XXXXXX)
agent=
end() {
	status=$?
	trap - EXIT INT TERM
	if [ -n "$agent" ]; then
		kill "$agent" 2>/dev/null || true
		wait "$agent" 2>/dev/null || true
	fi
	awk -v d="$dir/" 'index($2, d) == 1 { print $2 }' /proc/self/mounts | sort -r |
		while read -r mount; do umount -l "$mount" || true; done
	rm -rf --one-file-system "$dir"
	exit $status
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if ! command -v nomad >/dev/null; then
	step "No nomad on PATH: the same job without an agent: nomad-driver-nspawn run $job"
	printf '{ "state_dir": "%s/state", "policy": { "allow_image": ["build/cache"] } }\n' "$dir" >"$dir/plugin.json"
	code=0
	"$driver" run --config "$dir/plugin.json" "$job" || code=$?
	step "The task ended with exit code $code (7 is what it says)"
	cat <<-TEXT
	How this differs from an agent: nobody restarts or moves the task, there are no
	allocations to look at later, no services, templates, volumes or limits by the
	scheduler; logs go to this terminal instead of "nomad alloc logs"; the exit code of
	the command is that of the task.  With nomad on PATH "make demo" shows the other way.
	TEXT
	[ "$code" -eq 7 ]
	exit
fi

step 'An agent of our own, with the plugin'
# Three ports that are free now.
ports=$(perl -MIO::Socket::INET -e 'for (1 .. 3) { push @s, IO::Socket::INET->new(Listen => 1,
	LocalAddr => "127.0.0.1") or die } print join(" ", map { $_->sockport } @s)')
# shellcheck disable=SC2086
set -- $ports
cat >"$dir/ports.hcl" <<CONFIG
data_dir = "$dir/data"
bind_addr = "127.0.0.1"
disable_update_check = true
ports {
  http = $1
  rpc = $2
  serf = $3
}
client {
  options = {
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean"
    "driver.allowlist" = "nspawn"
  }
}
CONFIG
mkdir "$dir/plugins" "$dir/tmp"
cp "$driver" "$dir/plugins/"
# examples/agent.hcl, but what the driver has to remember goes with this demo.
sed "s|^  config {|&\n    state_dir = \"$dir/state\"|" examples/agent.hcl >"$dir/agent.hcl"
export NOMAD_ADDR="http://127.0.0.1:$1"
unset NOMAD_TOKEN NOMAD_NAMESPACE NOMAD_REGION 2>/dev/null || true
echo "nomad agent -dev -plugin-dir=$build/plugins -config=examples/agent.hcl   ($NOMAD_ADDR)"
TMPDIR=$dir/tmp nomad agent -dev -plugin-dir="$dir/plugins" -config="$dir/agent.hcl" -config="$dir/ports.hcl" \
	>"$dir/agent.log" 2>&1 </dev/null &
agent=$!

wait_until() {
	what=$1 n=0; shift
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		if [ $n -gt 600 ] || ! kill -0 "$agent" 2>/dev/null; then
			echo "timed out: $what; the agent's log ends:" >&2
			tail -n 30 "$dir/agent.log" >&2
			exit 1
		fi
		sleep 0.2
	done
}
healthy() { [ "$(nomad node status -self -json | jq '.Drivers.nspawn | .Detected and .Healthy')" = true ]; }
allocation() { nomad job allocs -json hello 2>/dev/null | jq -r '.[0].ID // empty' | grep .; }
ended() { nomad alloc status -json "$alloc" | jq -r .ClientStatus | grep -Ex 'complete|failed'; }
logged() { [ -n "$(nomad alloc logs "$alloc" hello)" ] && [ -n "$(nomad alloc logs -stderr "$alloc" hello)" ]; }
wait_until 'the driver is healthy' healthy
nomad node status -self -json | jq -r '.Drivers.nspawn | "driver nspawn: detected \(.Detected), healthy \(.Healthy), " +
	(.Attributes | to_entries | map("\(.key) = \(.value)") | join(", "))'

step "nomad job run -json $job"
nomad job run -detach -json "$job"
wait_until 'the job has an allocation' allocation
alloc=$(allocation)
wait_until 'the task has ended' ended
wait_until 'its logs are there' logged

step "nomad alloc status $alloc"
nomad alloc status "$alloc" | sed -n '/^ID /p; /^Client Status/p; /^Task "/p; /^Recent Events/,$p'
step 'nomad alloc logs: stdout, then stderr'
nomad alloc logs "$alloc" hello
nomad alloc logs -stderr "$alloc" hello
code=$(nomad alloc status -json "$alloc" |
	jq -r '[.TaskStates.hello.Events[] | select(.Type == "Terminated")] | last | .ExitCode')
step "The task ended with exit code $code (7 is what it says)"
nomad job stop -detach -purge hello >/dev/null
nomad system gc >/dev/null 2>&1 || true
wait_until 'the allocation is collected' sh -c "nomad system gc; [ ! -d '$dir/data/alloc/$alloc' ]"
[ "$code" = 7 ]
