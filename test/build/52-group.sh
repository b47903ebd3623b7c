#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A group with a network of its own (mode bridge) under a real agent: RUN is in it, and asks the group's name server.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build
require_group_network "$DRIVER"
ln -s busybox "$T/root/bin/nslookup" && ln -s busybox "$T/root/bin/readlink" && tar -C "$T/root" -cf "$A/rootfs.tar" .
cat >"$T/plugin.hcl" <<CONFIG
plugin "nomad-driver-build" {
  config {
    state_dir = "$T/state"
    policy {
      allow_network = ["group", "none"]
    }
  }
}
plugin "raw_exec" {
  config {
    enabled = true
  }
}
client {
  options = {
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean,consul,vault"
  }
}
CONFIG
# A name server that knows one name, on the node's side of the group's network.
dns() {
	perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalAddr => "0.0.0.0", LocalPort => 53,
		Proto => "udp") or die "$!"; $| = 1; print "up\n";
	while ($s->recv($q, 512)) {
		($name = substr($q, 12)) =~ s/\0.*//s;
		$type = unpack("n", substr($q, 12 + length($name) + 1, 2)); print "asked $name\n";
		$ok = $name =~ /^.only.here/s; $question = substr($q, 12, length($name) + 5);
		$s->send(substr($q, 0, 2) . pack("nnnnn", $ok ? 0x8180 : 0x8183, 1, $ok && $type == 1, 0, 0) .
			$question .
			($ok && $type == 1 ? pack("nnnNnC4", 0xc00c, 1, 1, 60, 4, 192, 0, 2, 77) : ""));
	}'
}
dns >"$T/dns.log" 2>&1 &
cleanup "kill $!"
CONTAINERFILE='FROM scratch
ADD rootfs.tar /
RUN echo "addresses: $(ip -o -4 addr | tr -s " " | tr "\n" ";")"; cat /etc/resolv.conf; nslookup only.here || true
RUN echo "net: $(readlink /proc/self/ns/net)"
'
# job ID CONFIG GROUP_FILTER
job() {
	job_json "$1" build "$2" batch | jq --arg tar "$A/rootfs.tar" --arg text "$CONTAINERFILE" \
		-f test/build/prepare.jq |
		jq ".Job.TaskGroups[0] |= (${3:-.})" >"$T/$1.json" && run_job "$T/$1.json"
}
GROUP='.Networks = [{ Mode: "bridge", DNS: { Servers: ["172.26.64.1"], Searches: ["a.example", "b.example"],
	Options: ["ndots:1", "timeout:2"] } }]'
logged() { alloc_logs "$ALLOC_ID" task 2>/dev/null | grep -Eq "$1"; }
shown() { wait_for 20 "the log says $1" logged "$1" ||
	{ alloc_logs "$ALLOC_ID" task; alloc_logs "$ALLOC_ID" task stderr; cat "$T/dns.log"; return 1; }; }

t_start() { start_agent one "$T/plugins" "$T/plugin.hcl" "$T/cni.hcl" && wait_driver build && grep -q up "$T/dns.log"; }
t_host() { job host '{ "context": "alloc/src" }' && wait_alloc "$ALLOC_ID" failed 90 &&
	like "$(task_events "$ALLOC_ID" task)" \
	'option .network.: "private" is not allowed by the rule allow_network'; }
t_group() { job group '{ "context": "alloc/src" }' "$GROUP" && wait_alloc "$ALLOC_ID" complete 120; }
t_address() { address=$(api GET "/v1/allocation/$ALLOC_ID" | jq -r '.NetworkStatus.Address') &&
	like "$address" '^172\.26\.' && shown "^addresses:.* inet $address/"; }
t_resolv() { is "$(alloc_logs "$ALLOC_ID" task | grep -E '^(nameserver|search|options) ' | sort)" \
	"$(printf 'nameserver 172.26.64.1\noptions ndots:1 timeout:2\nsearch a.example b.example')"; }
t_name() { shown '192\.0\.2\.77' && file_has "$T/dns.log" 'only'; }
t_none() { job none '{ "context": "alloc/src", "network": "none" }' "$GROUP" && wait_alloc "$ALLOC_ID" complete 120 &&
	shown '^addresses:' && ! logged '^addresses:.*172\.26\.'; }
t_oci() {
	command -v crun >/dev/null || { skip_this 'no crun'; return 0; }
	job oci '{ "context": "alloc/src", "isolation": "oci" }' "$GROUP" && wait_alloc "$ALLOC_ID" complete 120 &&
		address=$(api GET "/v1/allocation/$ALLOC_ID" | jq -r '.NetworkStatus.Address') &&
		shown "^addresses:.* inet $address/"
}
t_end() { stop_agent && nothing_left; }
run_test 'the driver is healthy' t_start
run_test 'without a network of its own: none but a group'"'"'s is allowed' t_host
run_test 'a group with a bridge network: the image is built' t_group
[ "$(alloc_status "$ALLOC_ID")" = complete ] || no_group_network prepare
run_test 'RUN has the address of the allocation' t_address
run_test 'resolv.conf is that of the dns block' t_resolv
run_test 'a name that only its server knows' t_name
run_test 'network none stays none' t_none
run_test 'isolation oci: the same network' t_oci
run_test 'the agent stops, nothing is left' t_end
done_testing
