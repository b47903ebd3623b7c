#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Networks of containers, from the container, from the host, and from
# another host (a network namespace beside that of the test).
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
requires ip curl socat
task "$(sh_config true)"
ip netns add outside && cleanup 'ip netns del outside'
ip link add out0 type veth peer name out1 netns outside &&
	ip addr add 192.0.2.1/24 dev out0 && ip link set out0 up &&
	ip -n outside addr add 192.0.2.2/24 dev out1 && ip -n outside link set out1 up && ip -n outside link set lo up
# The first task with a link makes what stays: the directory of addresses.
task "$(sh_config true '{"network_veth":true}')"
# iptables leaves its empty tables.
{ for chain in OUTPUT PREROUTING POSTROUTING; do iptables -t nat -I $chain -j RETURN; done
	iptables -t raw -I PREROUTING -j RETURN; iptables -t nat -F; iptables -t raw -F; } 2>/dev/null
census_before

veth='{"network_veth":true}'
run_test 'the network of the host' says "$(sh_config 'ip -o link')" ' out0@'
run_test 'network_veth: a link and lo, nothing else' says "$(sh_config 'ip -o link | wc -l; ip -o link' "$veth")" \
	' host0@'
run_test 'network_veth: has an address when the task starts' says "$(sh_config 'ip -o -4 addr show host0' "$veth")" \
	'10\.88\.0\.[0-9]+/32'
run_test 'network_veth: and a route' says "$(sh_config 'ip route' "$veth")" '^default via 10\.88\.0\.1'
run_test 'network_veth: reaches the host' says \
	"$(sh_config 'ping -c1 -w5 10.88.0.1' '{"network_veth":true,"user_namespacing":false}')" '1 packets received'
run_test 'network_veth: reaches other hosts' says \
	"$(sh_config 'ping -c1 -w5 192.0.2.2' '{"network_veth":true,"user_namespacing":false}')" '1 packets received'
run_test 'network_veth: CAP_NET_ADMIN' says \
	"$(sh_config 'ip link add dummy0 type dummy 2>&1; ip addr add 10.9.9.9/32 dev lo && echo can' \
	'{"network_veth":true,"user_namespacing":false}')" '^can$'
# With users of its own, as is the default: the network is theirs.
run_test 'own users: a raw socket (ping)' says "$(sh_config 'ping -c1 -w5 192.0.2.2' "$veth")" '1 packets received'
run_test 'own users: links, addresses and sysctls of its own' says \
	"$(sh_config 'id -u; ip addr add 10.9.9.9/32 dev lo && echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore &&
	echo can' "$veth")" '^can$'
run_test 'own users: no rights over the network of the host' says \
	"$(sh_config 'ip link set lo down 2>&1; ip link add dummy1 type dummy 2>&1; true')" 'not permitted'
run_test 'own users: no capability for it, no right; the link is there' says \
	"$(sh_config 'ip -o -4 addr show host0; ip link set host0 down 2>&1; true' \
	'{"network_veth":true,"drop_capability":["CAP_NET_ADMIN","CAP_NET_RAW"]}')" 'inet 10\.88\.0\.[0-9]+/32'
run_test 'own users: private_users = identity' says \
	"$(sh_config 'ping -c1 -w5 192.0.2.2' '{"network_veth":true,"private_users":"identity"}')" '1 packets received'
run_test 'own users: without our init' says \
	"$(sh_config 'ping -c1 -w5 192.0.2.2' '{"network_veth":true,"init":false}')" '1 packets received'
run_test 'own users: a user that is not root may listen on port 80' says \
	"$(sh_config 'httpd -p 80 -h /usr && sleep 0.2 && pidof httpd >/dev/null && id -un' \
	'{"network_veth":true,"user":"web"}')" '^web$'
t_ping() {	# ICMP without a raw socket, as today's ping does it
	_perl='use Socket; socket(S, AF_INET, SOCK_DGRAM, 1) or die "socket: $!"; alarm 10;
		send(S, pack("C2n3", 8, 0, 0, 0, 1) . "data", 0, sockaddr_in(0, inet_aton("192.0.2.2")));
		recv(S, $a, 99, 0); print "$< answer ", ord($a), "\n"'
	says "$(jq -cn --arg script "$_perl" '{ image: "/", ephemeral: true, boot: false, network_veth: true,
		user: "65534", command: ["/usr/bin/perl", "-e", $script] }')" '^65534 answer 0$'
}
run_test 'own users: a user that is not root may ping' t_ping
run_test 'names are looked up as on the host' says "$(sh_config 'cat /etc/resolv.conf' "$veth")" \
	"$(grep -m1 nameserver /etc/resolv.conf)"
run_test 'network_veth: root of the container may listen on port 80' says \
	"$(sh_config 'httpd -p 80 -h /usr && sleep 0.2 && pidof httpd >/dev/null && echo listens' "$veth")" '^listens$'

# ---- Ports
# HostNetwork: here it is the address.
ports='.Networks = [{ ReservedPorts: [{ Label: "web", Value: 18080, To: 80, HostNetwork: "0.0.0.0" },
	{ Label: "other", Value: 18081, To: 81, HostNetwork: "0.0.0.0" }] }]'
# httpd without -f has its socket when it returns: what is said after that is true.
serve() {
	spawn_task "$(sh_config 'mkdir /tmp/w; echo "served by $NOMAD_TASK_NAME" >/tmp/w/index.html;
		httpd -p 80 -h /tmp/w && httpd -p 81 -h /tmp/w && echo up; exec sleep 600' "$1")" . "$ports" &&
		wait_for 30 up has_said up
}
get() { curl -s -m 5 "$@"; }
gets() { [ "$(get "$1")" = 'served by task' ]; }
t_ports() {
	serve '{"network_veth":true,"ports":["web"]}' &&
		wait_for 20 'the address of the host' gets http://192.0.2.1:18080/ &&
		wait_for 20 'the loopback address' gets http://127.0.0.1:18080/ &&
		is "$(ip netns exec outside curl -s -m 5 http://192.0.2.1:18080/)" 'served by task' &&
		{ ! get http://192.0.2.1:18081/; } &&
		like "$(sed -n 's/^address: //p' "$T/err")" '^10\.88\.0\.[0-9]+$'
	r=$?
	end_task TERM
	[ $r -eq 0 ] && { ! get http://192.0.2.1:18080/; }
}
run_test 'ports: from this host, by loopback, from another host; only what is named; gone afterwards' t_ports
t_port_map() {
	serve '{"network_veth":true,"port_map":[{"other":81}]}' &&
		wait_for 20 'the port' gets http://192.0.2.1:18081/ && { ! get http://192.0.2.1:18080/; }
	r=$?
	end_task TERM
	return $r
}
run_test 'port_map' t_port_map
t_udp() {
	spawn_task "$(jq -cn '{ image: "/", ephemeral: true, boot: false, network_veth: true, ports: ["dns"],
		command: ["/bin/sh", "-c", "echo up; exec /usr/bin/socat -T 60 UDP-LISTEN:53,fork EXEC:/bin/cat"] }')" \
			. \
		'.Networks = [{ ReservedPorts: [{ Label: "dns", Value: 18053, To: 53, HostNetwork: "0.0.0.0" }] }]' &&
		wait_for 30 up has_said up &&
		wait_for 20 'an answer' sh -c '[ "$(echo hello | socat -t 2 - UDP:192.0.2.1:18053)" = hello ]' &&
		is "$(echo hello | ip netns exec outside socat -t 2 - UDP:192.0.2.1:18053)" hello
	r=$?
	end_task TERM
	return $r
}
run_test 'ports: UDP' t_udp
t_two() {
	serve '{"network_veth":true,"ports":["web"]}' && first=$TASK_PID &&
		cp "$T/out" "$T/out1" &&
		task_json "$(sh_config 'httpd -p 80 -h /usr; sleep 0.5' '{"network_veth":true,"ports":["b"]}')" . \
		'.Networks = [{ ReservedPorts: [{ Label: "b", Value: 18082, To: 80 }] }]' >"$T/second.json" &&
		"$DRIVER" run --config "$T/plugin.json" "$T/second.json" >/dev/null 2>"$T/err2" &&
		gets http://192.0.2.1:18080/
	r=$?
	TASK_PID=$first
	end_task TERM
	return $r
}
run_test 'the end of one task leaves the ports of its neighbour' t_two
# Neighbours
serve_as() {	# NAME AT: a page that says NAME, port 18080 of the host's address AT; PID in TASK_PID
	spawn_task "$(sh_config 'mkdir /tmp/w; echo "$NAME" >/tmp/w/index.html; httpd -p 80 -h /tmp/w && echo up;
		exec sleep 600' '{"network_veth":true,"ports":["web"]}')" \
		".Env = {NAME: \"$1\"}" ".Networks = [{ ReservedPorts: [{ Label: \"web\", Value: 18080, To: 80,
		HostNetwork: \"$2\" }] }]" && wait_for 30 up has_said up
}
page_is() { [ "$(get "http://$1:18080/")" = "$2" ]; }
no_page() { ! get "http://$1:18080/"; }
outside_is() { [ "$(ip netns exec outside curl -s -m 5 "http://$1:18080/")" = "$2" ]; }
t_same_port() {
	serve_as one 0.0.0.0 || return 1
	cp "$T/out" "$T/out1"
	task_json "$(sh_config 'echo never' '{"network_veth":true,"ports":["web"]}')" . \
		'.Networks = [{ ReservedPorts: [{ Label: "web", Value: 18080, To: 80, HostNetwork: "0.0.0.0" }] }]' \
		>"$T/second.json"
	! "$DRIVER" run --config "$T/plugin.json" "$T/second.json" >"$T/out2" 2>"$T/err2" ||
		echo 'the second one runs' >>"$T/wrong"
	file_has "$T/err2" 'exists' && is "$(cat "$T/out2" "$T/wrong" 2>/dev/null)" '' && page_is 192.0.2.1 one &&
		page_is 127.0.0.1 one
	r=$?
	end_task TERM
	return $r
}
run_test 'ports: one that is taken is refused, and stays with who has it' t_same_port
# A second plugin of this host, with its own state directory and pool, whose only task comes and goes.
t_two_plugins() {
	jq -n --arg d "$T/other" '{ policy: { mode: "open" }, state_dir: $d, network_pool: "10.99.0.0/16" }' >"$T/other.json"
	serve_as one 192.0.2.1 || return 1
	cp "$T/out" "$T/out1"
	rules=$(nft list table ip nomad_nspawn 2>/dev/null | grep -c masquerade)
	task_json "$(sh_config 'ip -o -4 addr show host0; ping -c 1 -W 5 192.0.2.2 >/dev/null && echo out' \
		'{"network_veth":true}')" >"$T/second.json" &&
		"$DRIVER" run --config "$T/other.json" "$T/second.json" >"$T/out2" 2>"$T/err2" &&
		file_has "$T/out2" '10\.99\.0\.2' && file_has "$T/out2" '^out$' && page_is 192.0.2.1 one &&
		outside_is 192.0.2.1 one &&
		is "$(nft list table ip nomad_nspawn 2>/dev/null | grep -c masquerade)" "$rules" &&
		jq 'del(.network_pool)' "$T/other.json" >"$T/third.json" &&
		"$DRIVER" run --config "$T/third.json" "$T/second.json" >"$T/out2" 2>"$T/err2" &&
		unlike "$(cat "$T/out2")" '10\.88\.0\.2/' && page_is 192.0.2.1 one
	r=$?
	end_task TERM
	return $r
}
run_test 'a second plugin of the host leaves addresses and ports of the first' t_two_plugins
t_two_addresses() {
	ip addr add 192.0.2.9/24 dev out0
	serve_as one 192.0.2.1 && pid1=$TASK_PID && serve_as nine 192.0.2.9 && pid9=$TASK_PID &&
		page_is 192.0.2.1 one && page_is 192.0.2.9 nine && page_is 127.0.0.1 one && outside_is 192.0.2.1 one &&
		outside_is 192.0.2.9 nine &&
		TASK_PID=$pid9 && { end_task TERM; page_is 192.0.2.1 one; } && page_is 127.0.0.1 one &&
		no_page 192.0.2.9 &&
		serve_as nine 192.0.2.9 && pid9=$TASK_PID && TASK_PID=$pid1 &&
		{ end_task TERM; page_is 192.0.2.9 nine; } && no_page 192.0.2.1
	r=$?
	for TASK_PID in $pid1 $pid9; do kill -0 "$TASK_PID" 2>/dev/null && end_task TERM; done
	ip addr del 192.0.2.9/24 dev out0
	return $r
}
run_test 'ports: the same one at two addresses of the host, each its own' t_two_addresses
t_local() {
	serve_as local 127.0.0.1 && page_is 127.0.0.1 local && no_page 192.0.2.1 && ! outside_is 192.0.2.1 local
	r=$?
	end_task TERM
	return $r
}
run_test 'ports: at 127.0.0.1 alone' t_local
# route_localnet is on for the link, and root of the container may do what it likes in its network.
t_guard() {
	printf '#!/bin/sh\necho "a secret of the host"\n' >"$T/say" && chmod +x "$T/say"
	socat TCP-LISTEN:19999,bind=127.0.0.1,fork,reuseaddr EXEC:"$T/say" &
	socat_pid=$!
	wait_for 20 'the service listens' sh -c '[ "$(socat -u TCP:127.0.0.1:19999 -)" = "a secret of the host" ]' &&
		says "$(sh_config 'echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet; ip addr del 127.0.0.1/8 dev lo;
		ip route add 127.0.0.1 via 10.88.0.1 dev host0 && echo "asks"; nc -w 3 127.0.0.1 19999 </dev/null;
			true' "$veth")" '^asks$' && { ! grep secret "$T/out"; }
	r=$?
	kill $socat_pid
	return $r
}
run_test 'ports: what listens on 127.0.0.1 is not for containers' t_guard
run_test 'ports: unknown label' fails "$(sh_config true '{"network_veth":true,"ports":["nix"]}')" \
	'No ports defined in network stanza'
t_unknown() {
	task "$(sh_config true '{"network_veth":true,"ports":["nix"]}')" . "$ports" && [ "$CODE" -ne 0 ] &&
		file_has "$T/err" 'Port "nix" not found, check network stanza'
}
run_test 'ports: another unknown label' t_unknown
run_test 'ports and port_map' fails "$(sh_config true '{"ports":["a"],"port_map":[{"a":1}]}')" \
	'use of port_map and ports'

# ---- DHCP: a client asks for what it has
dhcp='busybox udhcpc -f -q -n -i host0 -t 5 -T 2 -s /bin/true 2>&1; echo "code $?"; ip -o -4 addr show host0'
t_dhcp() {
	says "$(sh_config "$dhcp" "$1")" '^code 0$' && address=$(sed -n 's|.* inet \([0-9.]*\)/.*|\1|p' "$T/out") &&
		file_has "$T/out" "lease of $address obtained"
}
t_dhcp_lease() {
	says "$(sh_config 'printf "#!/bin/sh\nenv\n" >/tmp/script; chmod +x /tmp/script;
		busybox udhcpc -f -q -n -i host0 -O staticroutes -s /tmp/script' \
			'{"network_veth":true,"user_namespacing":false}')" '^router=10.88.0.1$' &&
		file_has "$T/out" '^subnet=255.255.255.255$' && file_has "$T/out" \
		'^staticroutes=10.88.0.1/32 0.0.0.0 0.0.0.0/0 10.88.0.1'
}
t_dhcp_two() {
	spawn_task "$(sh_config 'echo up; exec sleep 600' '{"network_zone":"red"}')" && wait_for 30 up has_said up &&
		cp "$T/out" "$T/out-bg" && t_dhcp '{"network_zone":"red"}'
	r=$?
	end_task TERM
	return $r
}
run_test 'dhcp: network_veth' t_dhcp '{"network_veth":true,"user_namespacing":false}'
run_test 'dhcp: with users of its own' t_dhcp "$veth"
run_test 'dhcp: what the client is told' t_dhcp_lease
run_test 'dhcp: two in one zone get their own' t_dhcp_two
run_test 'dhcp = false' says "$(sh_config 'busybox udhcpc -f -q -n -i host0 -t 1 -T 1 -s /bin/true 2>&1 || echo none' \
	'{"network_veth":true,"user_namespacing":false,"dhcp":false}')" '^none$'

# ---- Zones and bridges
t_zone() {
	spawn_task "$(sh_config 'ip -o -4 addr show host0; echo up; sleep 100' \
		'{"network_zone":"blue","user_namespacing":false}')" &&
		wait_for 30 up has_said up && address=$(sed -n 's|.* inet \([0-9.]*\)/24.*|\1|p' "$T/out") &&
		ip link show nz-blue >/dev/null &&
		task_json "$(sh_config "ping -c1 -w5 $address; ip route" '{"network_zone":"blue"}')" \
		>"$T/second.json" &&
		"$DRIVER" run --config "$T/plugin.json" "$T/second.json" >"$T/out2" 2>&1 &&
		file_has "$T/out2" '1 packets received' &&
		ip link show nz-blue >/dev/null
	r=$?
	end_task TERM
	[ $r -eq 0 ] || { cat "$T/out" "$T/out2"; return 1; }
	! ip link show nz-blue 2>/dev/null
}
run_test 'network_zone: neighbours reach each other, the bridge goes with the last one' t_zone
t_bridge() {
	ip link add br7 type bridge && ip addr add 198.51.100.1/24 dev br7 && ip link set br7 up &&
		says "$(sh_config 'ip addr add 198.51.100.2/24 dev host0 && ping -c1 -w5 198.51.100.1' \
		'{"network_bridge":"br7"}')" '1 packets received' &&
		ip link show br7 >/dev/null
	r=$?
	ip link del br7
	return $r
}
run_test 'network_bridge' t_bridge
run_test 'network_bridge: missing' fails "$(sh_config true '{"network_bridge":"nobridge"}')" \
	"there is no bridge 'nobridge'"

# Without nft: hidden in the mount namespace of this test.
without_nft_alone() {
	nft=$(readlink -f "$(command -v nft)")
	[ -z "$nft" ] || mount --bind /dev/null "$nft" || return 1
	"$@"
	r=$?
	[ -z "$nft" ] || umount "$nft"
	return $r
}
without_nft() {
	command -v iptables >/dev/null && iptables -t nat -L >/dev/null 2>&1 || { skip_this 'no iptables'; return 0; }
	before_rules=$(iptables-save | grep -c nomad-nspawn)
	without_nft_alone "$@" && is "$(iptables-save | grep -c nomad-nspawn)" "$before_rules"
}
run_test 'ports: with iptables' without_nft t_ports
run_test 'ports: with iptables, the same one at two addresses' without_nft t_two_addresses
run_test 'ports: with iptables, at 127.0.0.1 alone' without_nft t_local
run_test 'ports: with iptables, what listens on 127.0.0.1' without_nft t_guard
t_neither() {
	command -v nft >/dev/null && command -v iptables >/dev/null ||
		{ skip_this 'not both nft and iptables'; return 0; }
	iptables=$(readlink -f "$(command -v iptables)")
	mount --bind /dev/null "$iptables" &&
		without_nft_alone task "$(sh_config true '{"network_veth":true,"ports":["web"]}')" . "$ports" &&
		[ "$CODE" -ne 0 ] && file_has "$T/err" 'neither nft nor iptables is installed; install nftables'
	r=$?
	umount "$iptables"
	return $r
}
run_test 'ports: neither nft nor iptables' t_neither
t_pool() {
	printf '{ "policy": { "mode": "open" }, "state_dir": "%s/state", "network_pool": "172.31.0.0/20" }\n' "$T" >"$T/plugin.json"
	says "$(sh_config 'ip -o -4 addr show host0' "$veth")" '172\.31\.0\.2/32'
}
run_test 'plugin option network_pool' t_pool
run_test 'nothing is left' nothing_left
done_testing
