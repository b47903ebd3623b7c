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
{ iptables -t nat -I OUTPUT -j RETURN; iptables -t nat -I PREROUTING -j RETURN; iptables -t nat -I POSTROUTING -j RETURN; iptables -t nat -F; } 2>/dev/null
census_before

veth='{"network_veth":true}'
run_test 'the network of the host' says "$(sh_config 'ip -o link')" ' out0@'
run_test 'network_veth: a link and lo, nothing else' says "$(sh_config 'ip -o link | wc -l; ip -o link' "$veth")" ' host0@'
run_test 'network_veth: has an address when the task starts' says "$(sh_config 'ip -o -4 addr show host0' "$veth")" '10\.88\.0\.[0-9]+/32'
run_test 'network_veth: and a route' says "$(sh_config 'ip route' "$veth")" '^default via 10\.88\.0\.1'
run_test 'network_veth: reaches the host' says "$(sh_config 'ping -c1 -w5 10.88.0.1' '{"network_veth":true,"user_namespacing":false}')" '1 packets received'
run_test 'network_veth: reaches other hosts' says "$(sh_config 'ping -c1 -w5 192.0.2.2' '{"network_veth":true,"user_namespacing":false}')" '1 packets received'
run_test 'network_veth: CAP_NET_ADMIN' says "$(sh_config 'ip link add dummy0 type dummy 2>&1; ip addr add 10.9.9.9/32 dev lo && echo can' '{"network_veth":true,"user_namespacing":false}')" '^can$'
# With users of its own, as is the default: the network is theirs.
run_test 'own users: a raw socket (ping)' says "$(sh_config 'ping -c1 -w5 192.0.2.2' "$veth")" '1 packets received'
run_test 'own users: links, addresses and sysctls of its own' says \
	"$(sh_config 'id -u; ip addr add 10.9.9.9/32 dev lo && echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore && echo can' "$veth")" '^can$'
run_test 'own users: no rights over the network of the host' says "$(sh_config 'ip link set lo down 2>&1; ip link add dummy1 type dummy 2>&1; true')" 'not permitted'
run_test 'own users: no capability for it, no right; the link is there' says \
	"$(sh_config 'ip -o -4 addr show host0; ip link set host0 down 2>&1; true' '{"network_veth":true,"drop_capability":["CAP_NET_ADMIN","CAP_NET_RAW"]}')" 'inet 10\.88\.0\.[0-9]+/32'
run_test 'own users: private_users = identity' says "$(sh_config 'ping -c1 -w5 192.0.2.2' '{"network_veth":true,"private_users":"identity"}')" '1 packets received'
run_test 'own users: without our init' says "$(sh_config 'ping -c1 -w5 192.0.2.2' '{"network_veth":true,"init":false}')" '1 packets received'
run_test 'own users: a user that is not root may listen on port 80' says \
	"$(sh_config 'httpd -p 80 -h /usr && sleep 0.2 && pidof httpd >/dev/null && id -un' '{"network_veth":true,"user":"web"}')" '^web$'
t_ping() {	# ICMP without a raw socket, as today's ping does it
	says "$(jq -cn --arg script 'use Socket; socket(S, AF_INET, SOCK_DGRAM, 1) or die "socket: $!"; alarm 10;
		send(S, pack("C2n3", 8, 0, 0, 0, 1) . "data", 0, sockaddr_in(0, inet_aton("192.0.2.2"))); recv(S, $a, 99, 0);
		print "$< answer ", ord($a), "\n"' '{ image: "/", ephemeral: true, boot: false, network_veth: true, user: "65534", command: ["/usr/bin/perl", "-e", $script] }')" '^65534 answer 0$'
}
run_test 'own users: a user that is not root may ping' t_ping
run_test 'names are looked up as on the host' says "$(sh_config 'cat /etc/resolv.conf' "$veth")" "$(grep -m1 nameserver /etc/resolv.conf)"
run_test 'network_veth: root of the container may listen on port 80' says \
	"$(sh_config 'httpd -p 80 -h /usr && sleep 0.2 && pidof httpd >/dev/null && echo listens' "$veth")" '^listens$'

# ---- Ports
ports='.Networks = [{ ReservedPorts: [{ Label: "web", Value: 18080, To: 80 }, { Label: "other", Value: 18081, To: 81 }] }]'
# httpd without -f has its socket when it returns: what is said after that is true.
serve() {
	spawn_task "$(sh_config 'mkdir /tmp/w; echo "served by $NOMAD_TASK_NAME" >/tmp/w/index.html; httpd -p 80 -h /tmp/w && httpd -p 81 -h /tmp/w && echo up; exec sleep 600' "$1")" . "$ports" &&
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
		command: ["/bin/sh", "-c", "echo up; exec /usr/bin/socat -T 60 UDP-LISTEN:53,fork EXEC:/bin/cat"] }')" . \
		'.Networks = [{ ReservedPorts: [{ Label: "dns", Value: 18053, To: 53 }] }]' && wait_for 30 up has_said up &&
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
		task_json "$(sh_config 'httpd -p 80 -h /usr; sleep 0.5' '{"network_veth":true,"ports":["b"]}')" . '.Networks = [{ ReservedPorts: [{ Label: "b", Value: 18082, To: 80 }] }]' >"$T/second.json" &&
		"$DRIVER" run --config "$T/plugin.json" "$T/second.json" >/dev/null 2>"$T/err2" &&
		gets http://192.0.2.1:18080/
	r=$?
	TASK_PID=$first
	end_task TERM
	return $r
}
run_test 'the end of one task leaves the ports of its neighbour' t_two
run_test 'ports: unknown label' fails "$(sh_config true '{"network_veth":true,"ports":["nix"]}')" 'No ports defined in network stanza'
t_unknown() {
	task "$(sh_config true '{"network_veth":true,"ports":["nix"]}')" . "$ports" && [ "$CODE" -ne 0 ] &&
		file_has "$T/err" 'Port "nix" not found, check network stanza'
}
run_test 'ports: another unknown label' t_unknown
run_test 'ports and port_map' fails "$(sh_config true '{"ports":["a"],"port_map":[{"a":1}]}')" 'use of port_map and ports'

# ---- DHCP: a client asks for what it has
dhcp='busybox udhcpc -f -q -n -i host0 -t 5 -T 2 -s /bin/true 2>&1; echo "code $?"; ip -o -4 addr show host0'
t_dhcp() {
	says "$(sh_config "$dhcp" "$1")" '^code 0$' && address=$(sed -n 's|.* inet \([0-9.]*\)/.*|\1|p' "$T/out") && file_has "$T/out" "lease of $address obtained"
}
t_dhcp_lease() {
	says "$(sh_config 'printf "#!/bin/sh\nenv\n" >/tmp/script; chmod +x /tmp/script; busybox udhcpc -f -q -n -i host0 -O staticroutes -s /tmp/script' '{"network_veth":true,"user_namespacing":false}')" '^router=10.88.0.1$' &&
		file_has "$T/out" '^subnet=255.255.255.255$' && file_has "$T/out" '^staticroutes=10.88.0.1/32 0.0.0.0 0.0.0.0/0 10.88.0.1'
}
t_dhcp_two() {
	spawn_task "$(sh_config 'echo up; exec sleep 600' '{"network_zone":"red"}')" && wait_for 30 up has_said up && cp "$T/out" "$T/out-bg" && t_dhcp '{"network_zone":"red"}'
	r=$?
	end_task TERM
	return $r
}
run_test 'dhcp: network_veth' t_dhcp '{"network_veth":true,"user_namespacing":false}'
run_test 'dhcp: with users of its own' t_dhcp "$veth"
run_test 'dhcp: what the client is told' t_dhcp_lease
run_test 'dhcp: two in one zone get their own' t_dhcp_two
run_test 'dhcp = false' says "$(sh_config 'busybox udhcpc -f -q -n -i host0 -t 1 -T 1 -s /bin/true 2>&1 || echo none' '{"network_veth":true,"user_namespacing":false,"dhcp":false}')" '^none$'

# ---- Zones and bridges
t_zone() {
	spawn_task "$(sh_config 'ip -o -4 addr show host0; echo up; sleep 100' '{"network_zone":"blue","user_namespacing":false}')" &&
		wait_for 30 up has_said up && address=$(sed -n 's|.* inet \([0-9.]*\)/24.*|\1|p' "$T/out") &&
		ip link show nz-blue >/dev/null &&
		task_json "$(sh_config "ping -c1 -w5 $address; ip route" '{"network_zone":"blue"}')" >"$T/second.json" &&
		"$DRIVER" run --config "$T/plugin.json" "$T/second.json" >"$T/out2" 2>&1 && file_has "$T/out2" '1 packets received' &&
		ip link show nz-blue >/dev/null
	r=$?
	end_task TERM
	[ $r -eq 0 ] || { cat "$T/out" "$T/out2"; return 1; }
	! ip link show nz-blue 2>/dev/null
}
run_test 'network_zone: neighbours reach each other, the bridge goes with the last one' t_zone
t_bridge() {
	ip link add br7 type bridge && ip addr add 198.51.100.1/24 dev br7 && ip link set br7 up &&
		says "$(sh_config 'ip addr add 198.51.100.2/24 dev host0 && ping -c1 -w5 198.51.100.1' '{"network_bridge":"br7"}')" '1 packets received' &&
		ip link show br7 >/dev/null
	r=$?
	ip link del br7
	return $r
}
run_test 'network_bridge' t_bridge
run_test 'network_bridge: missing' fails "$(sh_config true '{"network_bridge":"nobridge"}')" "there is no bridge 'nobridge'"

# Without nft: hidden in the mount namespace of this test.
t_iptables() {
	command -v iptables >/dev/null && iptables -t nat -L >/dev/null 2>&1 || { skip_this 'no iptables'; return 0; }
	before_rules=$(iptables-save | grep -c nomad-nspawn)
	! command -v nft >/dev/null || mount --bind /dev/null "$(readlink -f "$(command -v nft)")" || return 1
	t_ports
	r=$?
	[ $r -ne 0 ] || is "$(iptables-save | grep -c nomad-nspawn)" "$before_rules" || r=1
	! command -v nft >/dev/null || umount "$(readlink -f /usr/sbin/nft)" 2>/dev/null
	umount /usr/sbin/nft 2>/dev/null
	return $r
}
run_test 'ports: with iptables' t_iptables
t_pool() {
	printf '{ "state_dir": "%s/state", "network_pool": "172.31.0.0/20" }\n' "$T" >"$T/plugin.json"
	says "$(sh_config 'ip -o -4 addr show host0' "$veth")" '172\.31\.0\.2/32'
}
run_test 'plugin option network_pool' t_pool
run_test 'nothing is left' nothing_left
done_testing
