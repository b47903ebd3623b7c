#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The client of metadata services against replay servers that are as strict as the real ones, and against broken ones.
. test/nomadinit/lib.sh
requires perl jq

result=$T/result.json
# serve PROVIDER VARIANT: a replay server; sets server (pid), at
serve() {
	: >"$T/port"
	perl test/nomadinit/replay.pl "$1" "$2" >"$T/port" 2>"$T/requests" &
	server=$!
	pids="$pids $server"
	soon 10 grep -q . "$T/port"
	at=127.0.0.1:$(cat "$T/port")
}
done_serving() { end_pid "$server"; }
# ask PROVIDER SECONDS: fetch from the server
ask() {
	rm -f "$result"
	timeout 60 "$init" cloud fetch "$1" "$2" "$result" --at "$at" >"$T/said" 2>&1
}
# fetch PROVIDER VARIANT [SECONDS]
fetch() {
	serve "$1" "$2"
	ask "$1" "${3:-10}"
	status=$?
	done_serving
	[ $status -eq 0 ] || cat "$T/said"
	return $status
}
has() { jq -e "$1" "$result" >/dev/null || { jq . "$result"; false; }; }
said() { grep -E -e "$1" "$T/said" || { cat "$T/said"; false; }; }
# The fetched piece, as PID 1 would read it.
is_valid() { jq .config "$result" >"$T/piece.json" && "$init" check "$T/piece.json"; }
takes_user_data() { has '.user_data | fromjson | .region == "from-user-data"'; }
nic='.config.nomadinit.network["02:00:00:00:00:01"]'
nic2='.config.nomadinit.network["02:00:00:00:00:02"]'

# ---- Each provider ------------------------------------------------------------------------
providers='ec2 gce azure openstack digitalocean hetzner oracle vultr exoscale'
for p in $providers; do
	check "$p: metadata is fetched" fetch $p plain
	check "$p: user-data is taken" takes_user_data
	check "$p: host name" has '.config.nomadinit.hostname == "node-1"'
	check "$p: the node's meta" has ".config.client.meta | .cloud_provider == \"$p\" and (.cloud_instance_id | length > 1)"
	check "$p: what is fetched is a valid configuration" is_valid
	check "$p: without user-data" fetch $p none
	check "$p: there is none" has '.user_data == null'
	fetch $p evil 1 >"$T/evil" 2>&1
	if [ -s "$result" ]; then
		check "$p: values that no configuration may have are left out" has '.config.nomadinit.hostname == null'
		check "$p: the rest is valid" is_valid
	else
		check "$p: a token with a header in it is not sent on" said 'no token'
	fi
done
check "ec2: IPv6 addresses" fetch ec2 plain
check "ec2: beside DHCP" has "$nic | .dhcp and .addresses == [\"2001:db8::7/128\", \"2001:db8::8/128\"]"
fetch gce plain
check "gce: MTU, IPv6 address and gateway" has "$nic | .mtu == 1460 and .addresses == [\"2001:db8::9/128\"] and .dhcp"
check "gce: the zone's last part" has '.config.client.meta.cloud_zone == "europe-west1-b"'
fetch openstack plain
check "openstack: address, gateway, route, MTU" \
	has "$nic | .addresses == [\"10.5.0.3/24\"] and .gateways == [\"10.5.0.1\"] and .mtu == 1450 and
		.routes == [\"10.9.0.0/16 via 10.5.0.2\"] and .dhcp == false"
check "openstack: bond and VLAN" has '.config.nomadinit.network |
	.bond0.bond == ["02:00:00:00:00:01"] and .vlan5.vlan == 5 and .vlan5.parent == "bond0" and .vlan5.dhcp'
fetch digitalocean plain
check "digitalocean: public interface" has "$nic | .addresses == [\"203.0.113.5/20\", \"2001:db8::5/64\"] and
	.gateways == [\"203.0.113.1\", \"2001:db8::1\"] and .dhcp == false"
check "digitalocean: the private one has no gateway" has "$nic2 | .gateways == null"
fetch hetzner plain
check "hetzner: network-config" has "$nic | .dhcp and .addresses == [\"2001:db8:1::1/64\"] and .gateways == [\"fe80::1\"]"
check "hetzner: name server" has '.config.nomadinit.dns == ["2a01:4ff:ff00::add:1"]'
fetch oracle plain
check "oracle: the first interface by DHCP" has "$nic.dhcp"
check "oracle: the second fixed" has "$nic2 | .addresses == [\"10.0.7.2/24\", \"2001:db8::6/128\"] and .dhcp == false"

# ---- Forms of user-data ----------------------------------------------------------------------
check "user-data compressed by gzip" fetch exoscale gzip
check "is taken" takes_user_data
check "user-data in base64 around gzip" fetch hetzner gzip+base64
check "is taken" takes_user_data
check "user-data as a part of a MIME message" fetch ec2 mime
check "is taken" takes_user_data
check "user-data of cloud-init" fetch ec2 foreign
check "is not taken" has '.user_data == null'
check "and that is said" said '#cloud-config, which only cloud-init reads'
check "with the cloud's own host name" has '.config.nomadinit.hostname == "node-1"'

# ---- A service that is slow, busy or broken -----------------------------------------------------
# within SECONDS COMMAND...
within() {
	_limit=$1 _since=$(date +%s)
	shift
	"$@"
	_took=$(($(date +%s) - _since))
	[ $_took -le $((_limit * TEST_PATIENCE)) ] || { echo "took $_took s"; return 1; }
}
check "slow at first" fetch gce slow
check "busy at first" fetch ec2 busy
check "not there yet" fetch azure early
check "a token that expires is fetched anew" fetch ec2 expire 20
check "chunked bodies" fetch ec2 chunked
check "all of it" takes_user_data
check "one byte at a time" fetch openstack bytes
check "all of it" takes_user_data
# broken PROVIDER VARIANT SAYS
broken() {
	! fetch "$1" "$2" 1 >/dev/null || { echo accepted; return 1; }
	[ ! -s "$result" ] || { echo "there is a result"; return 1; }
	said "$3"
}
check "a redirection is not followed" within 4 broken gce redirect 'status 302, a redirection, which is not followed'
check "a body above the limit" within 4 broken openstack large 'the answer is too large'
check "headers without end" within 4 broken exoscale endless 'the answer is too large'
check "silence after the headers" within 4 broken vultr hang 'timed out'
check "half a body" within 4 broken digitalocean cut 'was cut'
check "what is not HTTP" within 4 broken oracle garbage 'not HTTP'
check "a service that does not prove to be the cloud's" within 4 broken gce nomark 'lacks the header'
check "a user-data of another kind of JSON answer" within 4 broken azure cut 'was cut'
at=127.0.0.1:$(free_port)
check "nobody there" within 4 fails ask ec2 1
check "and that is said" said 'no metadata: .*refused'
check "the result is not made of nothing" test ! -s "$result"

# ---- Azure's report ---------------------------------------------------------------------------
report() {
	timeout 60 "$init" cloud report azure "$1" /dev/null --at "$at" >"$T/said" 2>&1
}
serve wireserver plain
check "azure: the machine is reported ready" report 5
check "azure: with its own ids" grep -q 'ready was reported' "$T/requests"
done_serving
serve wireserver busy
check "azure: a busy wire server is asked again" report 15
check "azure: until it has the report" grep -q 'ready was reported' "$T/requests"
done_serving
serve wireserver evil
check "azure: a goal state without ids" fails report 1
check "azure: is named" said 'no ids of this machine'
done_serving

# ---- Drives -------------------------------------------------------------------------------------
drive=$T/drive
ask_drive() {
	rm -f "$result"
	"$init" cloud fetch "$1" 1 "$result" --files "$drive" >"$T/said" 2>&1
}
mkdir -p "$drive/openstack/latest"
printf 'instance-id: iid-7 # a comment\nlocal-hostname: "drive-1"\n' >"$drive/meta-data"
cat >"$drive/network-config" <<'END'
network:
  version: 2
  ethernets:
    lan:
      match: {macaddress: "02:00:00:00:00:01"}
      addresses: [192.0.2.7/24, "2001:db8::7/64"]
      routes:
      - to: default
        via: 192.0.2.1
      - {to: 10.0.0.0/8, via: 192.0.2.2}
      nameservers:
        addresses: [192.0.2.53]
        search: [example.com]
      mtu: 9000
  vlans:
    lan.5: {id: 5, link: lan, dhcp4: true}
END
printf '#nomadinit\n{"region": "from-user-data"}\n' >"$drive/user-data"
check "nocloud: a drive" ask_drive nocloud
check "nocloud: user-data" takes_user_data
check "nocloud: names" has '.instance_id == "iid-7" and .config.nomadinit.hostname == "drive-1"'
check "nocloud: network" has "$nic | .addresses == [\"192.0.2.7/24\", \"2001:db8::7/64\"] and .mtu == 9000 and
	.gateways == [\"192.0.2.1\"] and .routes == [\"10.0.0.0/8 via 192.0.2.2\"]"
check "nocloud: a VLAN on it" has '.config.nomadinit.network["lan.5"] |
	.vlan == 5 and .parent == "02:00:00:00:00:01" and .dhcp'
check "nocloud: name servers and search domain" \
	has '.config.nomadinit | .dns == ["192.0.2.53"] and .search == ["example.com"]'
check "nocloud: that is a valid configuration" is_valid
rm "$drive/meta-data" "$drive/network-config"
printf '#cloud-config\nhostname: proxmox-1\nfqdn: proxmox-1.example.com\n' >"$drive/user-data"
check "nocloud: user-data alone" ask_drive nocloud
check "nocloud: the host name that Proxmox writes there" has '.config.nomadinit.hostname == "proxmox-1.example.com"'
printf 'a: [1, 2\n' >"$drive/meta-data"
check "nocloud: broken YAML" fails ask_drive nocloud
check "nocloud: is named" said 'meta-data: the answer is not what it should be'
printf '{"uuid": "u-2", "hostname": "os-1"}' >"$drive/openstack/latest/meta_data.json"
printf '{"region": "from-user-data"}' >"$drive/openstack/latest/user_data"
check "openstack-drive: a drive" ask_drive openstack-drive
check "openstack-drive: user-data" takes_user_data

# ---- PID 1 at a cloud -----------------------------------------------------------------------------
. test/nomadinit/pid1.sh
cloud_config() {
	printf '{"nomadinit": {%s, "cloud": {"provider": "%s", "wait_seconds": %s},
		"network": {"eth0": {"addresses": ["169.254.0.5/16"]}}}}' "$quick" "$1" "${2:-10}"
}
plug_in() {
	in_net ip link add eth0 type veth peer name cloud0
	in_net ip link set cloud0 up
}
# at_cloud PROVIDER VARIANT [SECONDS]: PID 1 and a replay server at the real address, behind a veth pair
at_cloud() {
	start "$(cloud_config "$1" "${3:-10}")"
	plug_in
	in_net ip addr add 169.254.169.254/32 dev cloud0
	: >"$T/port"
	# It is there a moment late, as the network is.
	nsenter -t "$inner" -n perl test/nomadinit/replay.pl "$1" "$2" 169.254.169.254 80 >"$T/port" 2>"$T/requests" &
	server=$!
	pids="$pids $server"
}
host_name() { inside /bin/busybox hostname; }
agent_json() { inside /bin/cat /run/nomad/agent.json; }
at_cloud ec2 plain
check "PID 1: the agent starts with the cloud's configuration" ready 30
check "PID 1: its user-data" prints '"region": "from-user-data"' agent_json
check "PID 1: the meta of the node" prints '"cloud_zone": "eu-west-1a"' agent_json
check "PID 1: its host name" prints '^node-1$' host_name
check "PID 1: nobody else may read it" prints '^600$' inside /bin/busybox stat -c %a /run/nomadinit/cloud.json
check "PID 1: it was asked as nobody" grep -q 'PUT /latest/api/token' "$T/requests"
: >"$T/requests"
kill -HUP "$inner"
check "PID 1: SIGHUP asks again" soon 20 grep -q 'GET /latest/user-data' "$T/requests"
check "PID 1: stops" stop
done_serving
check "PID 1: the answer is kept" test -s "$root/state/nomadinit/cloud.json"
start "$(cloud_config ec2 1)"
plug_in
check "PID 1: a cloud that is silent at another boot" ready 40
check "PID 1: what it said before counts" says 'what it said at an earlier boot counts'
check "PID 1: host name of then" prints '^node-1$' host_name
stop
rm -rf "$root/state/nomadinit/cloud.json"
mkdir -p "$root/state/nomad/client"
echo old >"$root/state/nomad/client/client-id"
start "$(cloud_config ec2 1)"
plug_in
check "PID 1: silent at the first boot" ready 40
check "PID 1: said" says 'the node starts with the configuration that it has otherwise'
stop
at_cloud gce plain
check "PID 1: a copy of another machine's state" ready 30
check "PID 1: is a node of its own" says "the state is a copy of that of 'i-0123'"
check "PID 1: with a node id of its own" test ! -e "$root/state/nomad/client/client-id"
stop
done_serving
at_cloud gce evil+plain
check "PID 1: a hostile host name" ready 30
check "PID 1: is not taken" prints '^nomad-' host_name
stop
done_serving
at_cloud exoscale endless 2
check "PID 1: a hostile service holds nothing up for long" ready 40
check "PID 1: and it lives" stop
done_serving
check "the sanitizers have nothing to say" fails grep -h -A 20 -E 'ERROR: AddressSanitizer|runtime error' \
	"$T"/console.* "$T/said"
done_testing
