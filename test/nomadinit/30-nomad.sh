#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A real Nomad agent ($NOMAD, or the one in PATH) in an image: it comes up in 192 MiB, runs a raw_exec job that is
# submitted over the forwarded API, and is drained and ended by the power button.
. test/nomadinit/lib.sh
long_only
requires_nomad_file
requires_image_tools
requires jq

image_dir=$tests_dir/nomad
must "an image with Nomad is built" build_image --out "$image_dir" --nomad "$nomad" \
	--config examples/nomadinit/single.json
diag "$(cat "$T/image.log")"
bytes=$(stat -c %s "$image_dir/nomadinit.qcow2")
check "it has at most 60 MB ($bytes bytes)" test "$bytes" -le 60000000

# As it is: a first job must find room.
overlay "$image_dir/nomadinit.qcow2" "$T/disk.qcow2"
memory=192 boot "$T/disk.qcow2" -fw_cfg name=opt/nomadinit/init.json,file=examples/nomadinit/open.json
must "in 192 MiB of memory the API answers" wait_up 300
check "the node is ready" soon 300 node_ready
check "the example job is submitted, as its README says" \
	"$nomad" job run -detach -address="http://127.0.0.1:$port" examples/nomadinit/hello.nomad.hcl
allocs() { http GET "$port" /v1/job/hello/allocations; }
complete() { allocs | jq -e '.[0].ClientStatus == "complete"'; }
check "a raw_exec job runs to completion" soon 180 complete
log="/v1/client/fs/cat/$(allocs | jq -r '.[0].ID')?path=alloc/logs/hello.stdout.0"
check "its output can be read" prints '^hello from' http GET "$port" "$log"
check "the power button ends it" press_power 240
memory=192 boot "$T/disk.qcow2"
check "without a configuration it comes up" soon 300 console_has 'the agent is healthy'
check "and nobody outside reaches its API" fails api_answers
check "the power button ends it once more" press_power 240
check "all was unmounted" unmounted
diag "$(grep -h -e 'starting the agent' -e 'the agent is ready' "$console")"
done_testing
