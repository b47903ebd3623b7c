#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# examples/nomadinit/cluster.json: nodes of one image with one configuration become a cluster with TLS, ACLs and gossip
# encryption.  One node; with NOMAD_TEST_LONG=1 three, one of which is killed and comes back.
. test/nomadinit/lib.sh
requires_nomad_file
requires_image_tools
requires jq curl openssl dnsmasq ip
[ -x "${init%/*}/nomadinit-keys" ] || skip_all "no nomadinit-keys (package libmbedtls-dev)"
# The default image, built where there is a network.
image_dir=$tests_dir/cluster
if [ -z "${NOMAD_TEST_DIR:-}" ]; then
	rm -rf "$image_dir"
	build_image --out "$image_dir" --level 3 --nomad "$nomad" || diag "no image"
fi
isolate
must "an image with Nomad is built" test -s "$image_dir/nomadinit.qcow2"
count=1
[ "${NOMAD_TEST_LONG:-}" != 1 ] || count=3
nodes=$(seq $count)

lacks_secret_of() { ! "$@" 2>&1 | grep -F -e "$secret"; }
keyring() { "$nomad" operator gossip keyring list | grep -E '^[A-Za-z0-9+/]{43}=( |$)'; }
one_gossip_key() { gossip=$(keyring | cut -d' ' -f1) && is "$(echo "$gossip" | wc -w)" 1; }
refused_to_other() {
	openssl rand -base64 32 | "${init%/*}/nomadinit-keys" admin "$T/other" &&
		! ask --cert "$T/other/cert.pem" --key "$T/other/key.pem" "$url/v1/status/leader"
}

# What makes the cluster comes to each node by fw_cfg, and is the same for all.
secret=$(openssl rand -base64 32)
# Emulated processors are slow: raft waits longer for a leader's sign of life.
jq --arg secret "$secret" --argjson count $count '.nomadinit.cluster.secret = $secret |
	.server.bootstrap_expect = $count | .server.raft_multiplier = 10' \
	examples/nomadinit/cluster.json >"$T/init.json"
check "the example has at most 20 lines" test "$(wc -l <examples/nomadinit/cluster.json)" -le 20
check "as it is, it is refused" prints 'has less than 32 characters' fails "$init" check examples/nomadinit/cluster.json
check "with a secret it is right" prints '^cluster: TLS' "$init" check "$T/init.json"
check "what it says does not name the secret" lacks_secret_of "$init" check --show "$T/init.json"
check "an administrator gets keys of the same secret" sh -c 'echo "$1" | "$2" admin "$3"' sh "$secret" \
	"${init%/*}/nomadinit-keys" "$T/admin"

# ---- A network with DHCP and DNS --------------------------------------------------------
ip link set lo up
ip link add br0 type bridge
ip addr add 10.9.0.1/24 dev br0
ip link set br0 up
set --
for i in $nodes; do
	ip tuntap add "tap$i" mode tap
	ip link set "tap$i" master br0 up
	set -- "$@" "--dhcp-host=02:00:00:00:09:0$i,10.9.0.1$i,node$i" "--host-record=servers.example.com,10.9.0.1$i"
done
dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --interface=br0 --bind-interfaces \
	--dhcp-authoritative --dhcp-range=10.9.0.50,10.9.0.59,1h --leasefile-ro --log-facility=- --pid-file= \
	--user=root "$@" >"$T/dnsmasq.log" 2>&1 &
pids="$pids $!"
start_node() {
	guest=node$1 mac=02:00:00:00:09:0$1 netdev="tap,ifname=tap$1,script=no,downscript=no" memory=512
	[ -f "$T/$guest.qcow2" ] || overlay "$image_dir/nomadinit.qcow2" "$T/$guest.qcow2"
	boot "$T/$guest.qcow2" -fw_cfg "name=opt/nomadinit/init.json,file=$T/init.json"
}
for i in $nodes; do start_node "$i"; done
last=$qemu

# ---- Who gets in ---------------------------------------------------------------------------
. "$T/admin/env"
NOMAD_ADDR=https://10.9.0.11:4646
export NOMAD_ADDR
url=https://server.global.nomad:4646
# ask CURL ARGUMENT...: as the first node's server, by the name on its certificate
ask() { curl -sS --max-time 20 --resolve server.global.nomad:4646:10.9.0.11 --cacert "$NOMAD_CACERT" "$@"; }
with_certificate() { ask --cert "$NOMAD_CLIENT_CERT" --key "$NOMAD_CLIENT_KEY" "$@"; }
status_of() { with_certificate -o /dev/null -w '%{http_code}' "$@"; }
all_ready() {
	is "$("$nomad" operator api /v1/nodes | jq -r '.[] | "\(.Status) \(.SchedulingEligibility)"' | sort | uniq -c |
		tr -s ' ')" " $count ready eligible"
}
must "all nodes ($count) are ready, for one who has the secret" soon 600 all_ready
healthy() { for i in $nodes; do grep -q 'the agent is healthy' "$T/console.node$i" || return 1; done; }
check "and healthy" soon 120 healthy
check "one of them made the first ACL token" is \
	"$(cat "$T"/console.node* | grep -c 'the cluster has its first ACL token')" 1
check "without a certificate there is no TLS" fails ask "$url/v1/status/leader"
check "nor is there an API without TLS" fails curl -sSf --max-time 20 http://10.9.0.11:4646/v1/status/leader
check "with one there is" is "$(status_of "$url/v1/status/leader")" 200
check "without a token nodes are not shown" is "$(status_of "$url/v1/nodes")" 403
check "with it they are" is "$(status_of -H "X-Nomad-Token: $NOMAD_TOKEN" "$url/v1/nodes")" 200
check "a certificate of another secret is refused" refused_to_other
check "gossip is encrypted, with one key for all" one_gossip_key
check "no secret is on a console" fails grep -F -e "$secret" -e "$NOMAD_TOKEN" -e "$gossip" "$T"/console.*

check "a job is taken" "$nomad" job run -detach examples/nomadinit/hello.nomad.hcl
complete() { "$nomad" operator api /v1/job/hello/allocations | jq -e '.[0].ClientStatus == "complete"'; }
check "and runs to its end" soon 180 complete

# ---- One is killed --------------------------------------------------------------------------
if [ $count -gt 1 ]; then
	kill -9 "$last"
	wait "$last" 2>/dev/null
	# Nomad gives a node five minutes when the leader changes; the servers notice sooner.
	check "one is killed: the others notice" soon 240 prints ' failed ' "$nomad" server members
	check "and go on: a job is taken" soon 120 "$nomad" job run -detach examples/nomadinit/hello.nomad.hcl
	start_node $count
	check "it comes back and is healthy" soon 600 healthy
	check "all nodes are ready and eligible" soon 120 all_ready
fi
done_testing
