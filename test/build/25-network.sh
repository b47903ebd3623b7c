#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# What a RUN reaches: by default what is outside of the node, and nothing of the node.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build
requires slirp4netns perl ip
for _a in nslookup ip nc tail; do ln -sf busybox "$T/root/bin/$_a"; done
tar -C "$T/root" -cf "$A/rootfs.tar" .

# The node has 198.51.100.1 and 203.0.113.1; outside are 198.51.100.2 and a cloud's metadata.
out="out-$$"
ip netns add "$out" && cleanup "ip netns del $out"
ip link add up0 type veth peer name down0 netns "$out" && ip addr add 198.51.100.1/24 dev up0 && ip link set up0 up
ip addr add 203.0.113.1/32 dev lo
ip -n "$out" addr add 198.51.100.2/24 dev down0 && ip -n "$out" addr add 169.254.169.254/32 dev down0 &&
	ip -n "$out" link set down0 up && ip -n "$out" link set lo up && ip route add 169.254.0.0/16 dev up0
# serve ADDRESS TEXT: answers each connection to port 4646 with TEXT, by HTTP; abstract: also a socket of that name
cat >"$T/serve" <<'P'
use Socket; use IO::Socket::INET; use IO::Socket::UNIX; use IO::Select; $| = 1; $SIG{PIPE} = "IGNORE";
my ($address, $text) = @ARGV;
my @s = IO::Socket::INET->new(Listen => 9, LocalAddr => $address, LocalPort => 4646, ReuseAddr => 1) // die "$!";
my $select = IO::Select->new(@s); print "up\n";
while (my @ready = $select->can_read) {
	for (@ready) { my $c = $_->accept or next; sysread $c, my $q, 4096;
		syswrite $c, "HTTP/1.0 200 OK\r\nContent-Length: " . length($text) . "\r\n\r\n$text"; close $c }
}
P
# A name server that knows one name, on the node's loopback.
cat >"$T/dns" <<'P'
use IO::Socket::INET; $| = 1;
my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 53, Proto => "udp") or die "$!"; print "up\n";
while ($s->recv(my $q, 512)) {
	my $rest = substr($q, 12); my ($name) = $rest =~ /^(.*?)\0/s; my $n = length($name) + 5;
	my $ok = $name =~ /^\x04only\x04here$/s && unpack("n", substr($rest, $n - 4, 2)) == 1;
	$s->send(substr($q, 0, 2) . pack("nnnnn", $ok ? 0x8180 : 0x8183, 1, $ok ? 1 : 0, 0, 0) . substr($rest, 0, $n) .
		($ok ? pack("nnnNnC4", 0xc00c, 1, 1, 60, 4, 198, 51, 100, 2) : ""));
}
P
perl "$T/serve" 0.0.0.0 'of-the-node' >"$T/node.log" 2>&1 & cleanup "kill $!"
ip netns exec "$out" perl "$T/serve" 0.0.0.0 'from-outside' >"$T/out.log" 2>&1 & cleanup "kill $!"
perl "$T/dns" >"$T/dns.log" 2>&1 & cleanup "kill $!"
printf 'nameserver 127.0.0.1\nsearch a.example\noptions ndots:1\n' >"$T/resolv.conf"
mount --bind "$T/resolv.conf" "$(readlink -f /etc/resolv.conf)" && cleanup "umount '$(readlink -f /etc/resolv.conf)'"
for _l in node out dns; do wait_for 30 "$_l is up" grep -q up "$T/$_l.log"; done
containerfile reach <<'C'
FROM scratch
ADD rootfs.tar /
RUN for a in 198.51.100.2 127.0.0.1 10.0.2.2 198.51.100.1 203.0.113.1 169.254.169.254; do \
	echo "$a: $(echo x | nc -w 5 $a 4646 2>/dev/null | tail -n 1)."; done; \
	nslookup only.here | grep 198.51.100.2 >/dev/null && echo 'only.here: outside.'; \
	grep -v nameserver /etc/resolv.conf; \
	ip route del unreachable 198.51.100.1 2>/dev/null && echo 'routes can be changed'; \
	ip route del 198.51.100.1 2>/dev/null && echo 'routes can be changed'; sleep 0.2
C
# reached [CONFIG]: the addresses that answer
reached() { builds "{ \"context\": \"alloc/reach\" } + ${1:-null}" || return 1
	REACHED=$(sed -n 's/^\([0-9a-z.]*\): .*\(node\|outside\)\.$/\1/p' "$T/out" | tr '\n' ' '); }
t_default() { reached && is "$REACHED" '198.51.100.2 only.here ' && file_has "$T/out" '^search a.example$' &&
	file_has "$T/out" '^options ndots:1$' && unlike "$(cat "$T/out")" '^routes can'; }
t_oci() { command -v crun >/dev/null || { skip_this 'no crun'; return 0; }
	reached '{ "isolation": "oci" }' && is "$REACHED" '198.51.100.2 only.here '; }
t_host() {
	fails '{ "context": "alloc/reach", "network": "host" }' \
		'policy . allow_network = ."private", "group", "none", "host". .' &&
		! grep -q STEP "$T/out" && plugin_config "{ $ALLOW_HOST }" &&
		reached '{ "network": "host" }' &&
		is "$REACHED" '198.51.100.2 127.0.0.1 198.51.100.1 203.0.113.1 169.254.169.254 '
	_r=$?; plugin_config '{}'; return $_r
}
t_none() { reached '{ "network": "none" }' && is "$REACHED" ''; }
# An engine that a Containerfile has talked into something has no right to change the routes.
t_engine() {
	containerfile hang <<-'C' || return 1
	FROM scratch
	ADD rootfs.tar /
	RUN echo working; sleep 1000
	C
	spawn_build '{ "context": "alloc/hang" }' && wait_for 60 'the step' has_said '^working' || return 1
	engine=$(pgrep -f 'buildah --root' | head -n 1)
	caps=$(sed -n 's/^CapBnd:.*\(....\)$/\1/p' "/proc/$engine/status"); end_build TERM
	is "$((0x${caps:-ffff} & 0x3000))" 0
}
t_missing() {
	tool=$(command -v slirp4netns) && mount --bind /dev/null "$tool" || return 1
	fails '{ "context": "alloc/reach" }' 'network: slirp4netns.*not installed; install the package slirp4netns' &&
		"$DRIVER" doctor --config "$T/plugin.json" 2>&1 | grep -q 'install the package slirp4netns' && t_none
	_r=$?; umount "$tool"; return $_r
}
run_test 'the default: names and addresses outside, nothing of the node' t_default
run_test 'isolation oci: the same' t_oci
run_test 'host: refused with the line to add; with it, all of the node answers' t_host
run_test 'none' t_none
run_test 'the engine cannot change routes' t_engine
run_test 'without slirp4netns: an error with the remedy' t_missing
run_test 'nothing is left' nothing_left
done_testing
