#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A real Nomad agent ($NOMAD, or the one in PATH) in an image: it comes up in 192 MiB, runs a raw_exec job that is submitted
# over the forwarded API, and is drained and ended by the power button.
. "$(dirname "$0")/lib.sh"
[ "${NOMAD_TEST_LONG:-}" = 1 ] || skip_all "takes minutes under emulation: NOMAD_TEST_LONG=1"
nomad=${NOMAD:-$(command -v nomad || :)}
[ -n "$nomad" ] && [ -f "$nomad" ] || skip_all "no Nomad binary; give NOMAD=path"
# shellcheck disable=SC2086
needs $image_tools jq

image_dir=$tests_dir/nomad
mkdir -p "$image_dir"
if "$top/nomadinit/image/build" --init "$init.stripped" --out "$image_dir" --cache "$BUILD/image-cache" --nomad "$nomad" \
	--config "$top/examples/nomadinit/single.json" >"$tmp/image.log" 2>&1; then
	ok "an image with Nomad is built"
else
	not_ok "an image with Nomad is built" "$(cat "$tmp/image.log")"
	exit 1
fi
sed 's/^/# /' "$tmp/image.log"
bytes=$(stat -c %s "$image_dir/nomadinit.qcow2")
check "it has at most 60 MB ($bytes bytes)" test "$bytes" -le 60000000

overlay "$image_dir/nomadinit.qcow2" "$tmp/disk.qcow2" 4G
memory=192 boot "$tmp/disk.qcow2"
if wait_up 300; then ok "in 192 MiB of memory the API answers"; else not_ok "in 192 MiB of memory the API answers" "$(tail -n 40 "$console")"; exit 1; fi
node_ready() { http GET "$port" /v1/nodes | jq -e '.[] | select(.Status == "ready")'; }
check "the node is ready" wait_for 300 node_ready
cat >"$tmp/job.json" <<'JOB'
{"Job": {"ID": "hello", "Type": "batch", "Datacenters": ["*"], "TaskGroups": [{"Name": "g", "Tasks": [{"Name": "t", "Driver": "raw_exec",
	"Config": {"command": "/bin/sh", "args": ["-c", "echo done"]},
	"Resources": {"CPU": 50, "MemoryMB": 16}, "LogConfig": {"MaxFiles": 1, "MaxFileSizeMB": 1}}], "EphemeralDisk": {"SizeMB": 10}}]}}
JOB
http POST "$port" /v1/jobs "$(cat "$tmp/job.json")" >"$tmp/submitted" || not_ok "the job is submitted" "$(cat "$tmp/submitted")"
complete() { http GET "$port" /v1/job/hello/allocations | jq -e '.[0].ClientStatus == "complete"'; }
check "a raw_exec job runs to completion" wait_for 180 complete
alloc=$(http GET "$port" /v1/job/hello/allocations | jq -r '.[0].ID')
check "its output can be read" test "$(http GET "$port" "/v1/client/fs/cat/$alloc?path=alloc/logs/t.stdout.0")" = "done"
qmp system_powerdown
if wait_down 240; then ok "the power button ends it"; else not_ok "the power button ends it" "$(tail -n 40 "$console")"; fi
check "all was unmounted" sh -c "! grep -q 'stay busy' '$console' && grep -q 'power off' '$console'"
grep -h -e 'starting the agent' -e 'the agent is ready' "$console" | sed 's/^/# /'
