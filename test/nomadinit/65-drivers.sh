#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# An image with task drivers of ours, and what they need, under a real agent: it starts them and finds them healthy.
. "$(dirname "$0")/lib.sh"
[ "${NOMAD_TEST_LONG:-}" = 1 ] || skip_all "takes minutes under emulation: NOMAD_TEST_LONG=1"
nomad=${NOMAD:-$(command -v nomad || :)}
[ -n "$nomad" ] && [ -f "$nomad" ] || skip_all "no Nomad binary; give NOMAD=path"
# shellcheck disable=SC2086
needs $image_tools jq systemd-nspawn buildah crun
drivers="nspawn build"
for d in $drivers; do
	[ -x "$BUILD/plugins/nomad-driver-$d" ] || skip_all "no nomad-driver-$d in $BUILD/plugins; make nomad-driver-$d"
done
image_dir=$tests_dir/drivers
if "$top/nomadinit/image/build" --init "$init.stripped" --out "$image_dir" --cache "$BUILD/image-cache" --level 3 --nomad "$nomad" \
	--config "$top/examples/nomadinit/single.json" --drivers "$drivers" --plugins "$BUILD/plugins" >"$tmp/image.log" 2>&1; then
	ok "an image with Nomad and the drivers $drivers is built"
else
	not_ok "an image with Nomad and the drivers $drivers is built" "$(cat "$tmp/image.log")"
	exit 1
fi
sed 's/^/# /' "$tmp/image.log"
check "nothing that they need was left out" sh -c "! grep 'left out' '$tmp/image.log'"
overlay "$image_dir/nomadinit.qcow2" "$tmp/disk.qcow2" 4G
memory=768 boot "$tmp/disk.qcow2"
if wait_up 300; then ok "the API answers"; else not_ok "the API answers" "$(tail -n 40 "$console")"; exit 1; fi
node_ready() { http GET "$port" /v1/nodes | jq -e '.[] | select(.Status == "ready")'; }
check "the node is ready" wait_for 300 node_ready
node=$(http GET "$port" /v1/nodes | jq -r '.[0].ID')
driver() { http GET "$port" "/v1/node/$node" | jq -e ".Drivers[\"$1\"] | select(.Healthy)"; }
for d in $drivers; do
	check "the driver $d is detected and healthy" wait_for 400 driver "$d"
	echo "# $(driver "$d" | jq -c '{HealthDescription, Attributes}' | cut -c1-900)"
done
# One task by a driver of ours: an empty root with one static program.
cat >"$tmp/job.json" <<'JOB'
{"Job": {"ID": "root", "Type": "batch", "Datacenters": ["*"], "TaskGroups": [{"Name": "g", "RestartPolicy": {"Attempts": 0, "Mode": "fail"},
	"ReschedulePolicy": {"Attempts": 0, "Unlimited": false}, "EphemeralDisk": {"SizeMB": 50}, "Tasks": [
	{"Name": "make", "Driver": "raw_exec", "Lifecycle": {"Hook": "prestart"}, "Config": {"command": "/bin/sh", "args": ["-c",
		"r=/var/lib/machines/tiny; mkdir -p $r/bin $r/etc $r/usr $r/proc $r/sys $r/dev $r/tmp $r/run $r/var; cp /bin/busybox $r/bin/sh; echo ID=x >$r/etc/os-release; ls -l $r/bin"]},
		"Resources": {"CPU": 50, "MemoryMB": 32}, "LogConfig": {"MaxFiles": 1, "MaxFileSizeMB": 1}},
	{"Name": "t", "Driver": "nspawn", "Config": {"image": "/var/lib/machines/tiny", "boot": false, "command": ["/bin/sh", "-c", "echo from a container"]},
		"Resources": {"CPU": 50, "MemoryMB": 64}, "LogConfig": {"MaxFiles": 1, "MaxFileSizeMB": 1}}]}]}}
JOB
http POST "$port" /v1/jobs "$(cat "$tmp/job.json")" >"$tmp/submitted" || not_ok "the job is submitted" "$(cat "$tmp/submitted")"
allocs() { http GET "$port" /v1/job/root/allocations; }
over() { allocs | jq -e '.[0].ClientStatus | . == "complete" or . == "failed"'; }
wait_for 400 over
alloc=$(allocs | jq -r '.[0].ID')
[ "$(allocs | jq -r '.[0].ClientStatus')" = complete ] && ok "a container runs to completion" ||
	not_ok "a container runs to completion" "$(allocs | jq -c '.[0].TaskStates | map_values([.Events[].DisplayMessage])'; tail -n 20 "$console")"
check "and says something" test "$(http GET "$port" "/v1/client/fs/cat/$alloc?path=alloc/logs/t.stdout.0")" = "from a container"
qmp system_powerdown
if wait_down 240; then ok "the power button ends it"; else not_ok "the power button ends it" "$(tail -n 40 "$console")"; fi
