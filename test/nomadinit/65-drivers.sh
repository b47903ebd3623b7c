#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# An image with task drivers of ours, and what they need, under a real agent: it starts them and finds them healthy.
. test/nomadinit/lib.sh
long_only
requires_nomad_file
requires_image_tools
requires jq systemd-nspawn buildah crun umoci
drivers="nspawn build"
for d in $drivers; do
	[ -x "$BUILD/plugins/nomad-driver-$d" ] ||
		skip_all "no nomad-driver-$d in $BUILD/plugins; make nomad-driver-$d"
done
image_dir=$tests_dir/drivers
must "an image with Nomad and the drivers $drivers is built" build_image --out "$image_dir" --level 3 --nomad "$nomad" \
	--config examples/nomadinit/single.json --drivers "$drivers" --plugins "$BUILD/plugins"
diag "$(cat "$T/image.log")"
check "nothing that they need was left out" lacks "$T/image.log" 'left out'
overlay "$image_dir/nomadinit.qcow2" "$T/disk.qcow2" 4G
memory=768 boot "$T/disk.qcow2" -fw_cfg name=opt/nomadinit/init.json,file=examples/nomadinit/open.json
must "the API answers" wait_up 300
check "the node is ready" soon 300 node_ready
node=$(http GET "$port" /v1/nodes | jq -r '.[0].ID')
driver() { http GET "$port" "/v1/node/$node" | jq -e ".Drivers[\"$1\"] | select(.Healthy)"; }
for d in $drivers; do
	check "the driver $d is detected and healthy" soon 400 driver "$d"
	diag "$(driver "$d" | jq -c '{HealthDescription, Attributes}' | cut -c1-900)"
done
# One task by a driver of ours: an empty root with one static program.
make='r=/var/lib/machines/tiny
mkdir -p $r/bin $r/etc $r/usr $r/proc $r/sys $r/dev $r/tmp $r/run $r/var
cp /bin/busybox $r/bin/sh; echo ID=x >$r/etc/os-release; ls -l $r/bin'
# task NAME DRIVER CONFIG MEMORY [FIELD]
task() {
	printf '{"Name": "%s", "Driver": "%s", "Config": %s, "Resources": {"CPU": 50, "MemoryMB": %d}, %s
		"LogConfig": {"MaxFiles": 1, "MaxFileSizeMB": 1}}' "$1" "$2" "$3" "$4" "${5:-}"
}
cat >"$T/job.json" <<JOB
{"Job": {"ID": "root", "Type": "batch", "Datacenters": ["*"], "TaskGroups": [{"Name": "g",
	"RestartPolicy": {"Attempts": 0, "Mode": "fail"}, "ReschedulePolicy": {"Attempts": 0, "Unlimited": false},
	"EphemeralDisk": {"SizeMB": 50}, "Tasks": [
$(task make raw_exec "$(jq -nc --arg s "$make" '{command: "/bin/sh", args: ["-c", $s]}')" 32 \
	'"Lifecycle": {"Hook": "prestart"},'),
$(task t nspawn '{"image": "/var/lib/machines/tiny", "boot": false,
	"command": ["/bin/sh", "-c", "echo from a container"]}' 64)]}]}}
JOB
check "the job is submitted" http POST "$port" /v1/jobs "$(cat "$T/job.json")"
allocs() { http GET "$port" /v1/job/root/allocations; }
over() { allocs | jq -e '.[0].ClientStatus | . == "complete" or . == "failed"'; }
soon 400 over
complete() {
	is "$(allocs | jq -r '.[0].ClientStatus')" complete && return
	allocs | jq -c '.[0].TaskStates | map_values([.Events[].DisplayMessage])'
	return 1
}
check "a container runs to completion" complete
log="/v1/client/fs/cat/$(allocs | jq -r '.[0].ID')?path=alloc/logs/t.stdout.0"
check "and says something" is "$(http GET "$port" "$log")" "from a container"
check "the power button ends it" press_power 240
done_testing
