#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A client-only node with a real Nomad, its server on the host, with ACLs: the power button drains it, and after the
# next boot it takes work again; an operator's word stays.
. test/nomadinit/lib.sh
long_only
requires_nomad_file
requires_image_tools
requires jq

# Ports of our own: http, rpc, serf.
http_port=$(free_port) rpc_port=$(free_port) serf_port=$(free_port)
# The guest is told to come to the advertised address, under which it has the host.
cat >"$T/server.json" <<JSON
{"data_dir": "$T/server", "bind_addr": "127.0.0.1", "log_level": "WARN", "acl": {"enabled": true},
	"ports": {"http": $http_port, "rpc": $rpc_port, "serf": $serf_port},
	"advertise": {"http": "127.0.0.1", "rpc": "10.0.2.2:$rpc_port", "serf": "127.0.0.1"},
	"server": {"enabled": true, "bootstrap_expect": 1}}
JSON
cat >"$T/init.json" <<JSON
{"nomadinit": {"hostname": "worker", "agent": {"healthy_seconds": 3}}, "acl": {"enabled": true},
	"client": {"enabled": true, "servers": ["10.0.2.2:$rpc_port"],
		"options": {"fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean"}},
	"plugin": {"raw_exec": {"config": {"enabled": true}}}}
JSON
nice "$nomad" agent -config="$T/server.json" >"$T/server.log" 2>&1 &
pids="$pids $!"
NOMAD_ADDR=http://127.0.0.1:$http_port
export NOMAD_ADDR
bootstrap() { NOMAD_TOKEN=$("$nomad" acl bootstrap -json | jq -r .SecretID) && [ -n "$NOMAD_TOKEN" ]; }
must "a server with ACLs is up on the host" soon 60 bootstrap
export NOMAD_TOKEN
image_dir=$tests_dir/client
must "an image with Nomad is built" build_image --out "$image_dir" --level 3 --nomad "$nomad" --config "$T/init.json"
overlay "$image_dir/nomadinit.qcow2" "$T/disk.qcow2"
node() { "$nomad" operator api /v1/nodes | jq -r '.[0] | "\(.Status) \(.SchedulingEligibility)"'; }
node_is() { is "$(node)" "$1"; }
turn_off() { check "$1" press_power 240 && check "$1: the node is drained" soon 60 prints ineligible node; }

memory=512 boot "$T/disk.qcow2"
must "the node registers" soon 300 node_is 'ready eligible'
check "and is healthy then" soon 60 console_has 'the agent is healthy'
turn_off "the power button ends it"
memory=512 boot "$T/disk.qcow2"
check "after the next boot it takes work again" soon 300 node_is 'ready eligible'
check "and says so" console_has 'the node takes work again'
id=$("$nomad" operator api /v1/nodes | jq -r '.[0].ID')
check "an operator marks it" "$nomad" node eligibility -disable "$id"
turn_off "it goes down once more"
memory=512 boot "$T/disk.qcow2"
check "it comes up once more" soon 300 console_has 'the agent is healthy'
check "an operator's word stays" node_is 'ready ineligible'
end_qemu
done_testing
