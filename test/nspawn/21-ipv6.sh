#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# IPv6 of containers: from the container, from the host, and from another host (a network namespace); translated and
# routed.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
requires ip curl nft
[ -e /proc/sys/net/ipv6 ] || skip_all 'no IPv6'
echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6
# A network of the documentation; the other host knows no way to the containers.
ip netns add outside && cleanup 'ip netns del outside'
ip link add out0 type veth peer name out1 netns outside &&
	ip addr add 2001:db8:7::1/64 dev out0 nodad && ip addr add 192.0.2.1/24 dev out0 && ip link set out0 up &&
	ip -n outside addr add 2001:db8:7::2/64 dev out1 nodad && ip -n outside link set out1 up &&
	ip -n outside link set lo up || skip_all 'no links'
pool() { printf '{ "policy": { "mode": "open" }, "state_dir": "%s/state", "network_pool6": "%s" }\n' "$T" "$1" \
	>"$T/plugin.json"; }
pool fd5d:8a3c:17e2::/64
task "$(sh_config true '{"network_veth":true}')"
census_before

veth='{"network_veth":true}'
run_test 'network_veth: has an address when the task starts' says "$(sh_config 'ip -o -6 addr show host0' "$veth")" \
	'fd5d:8a3c:17e2::a58:[0-9a-f]+/128'
run_test 'network_veth: and a route' says "$(sh_config 'ip -6 route' "$veth")" '^default via fd5d:8a3c:17e2::a58:1'
run_test 'network_veth: the address can be used at once' says \
	"$(sh_config 'ip -o -6 addr show host0 | grep -c tentative; ping -c1 -w5 fd5d:8a3c:17e2::a58:1' "$veth")" \
	'1 packets received'
run_test 'network_veth: reaches other hosts' says "$(sh_config 'ping -c1 -w5 2001:db8:7::2' "$veth")" \
	'1 packets received'
run_test 'network_veth: IPv4 is there as well' says "$(sh_config 'ping -c1 -w5 10.88.0.1' "$veth")" '1 packets received'
run_test 'own name' says "$(sh_config 'cat /etc/hosts' '{"network_veth":true,"hostname":"web"}')" \
	'^fd5d:8a3c:17e2::a58:[0-9a-f]+ web$'

# ---- Ports
serve() {	# HOST_NETWORK: a page; port 18080 of the host's address
	spawn_task "$(sh_config 'mkdir -p /tmp/w; echo "served by $NOMAD_TASK_NAME" >/tmp/w/index.html;
		httpd -p "[::]:80" -h /tmp/w && echo up; exec sleep 600' '{"network_veth":true,"ports":["web"]}')" \
		. ".Networks = [{ ReservedPorts: [{ Label: \"web\", Value: 18080, To: 80, HostNetwork: \"$1\" }] }]" &&
		wait_for 30 up has_said up
}
gets() { [ "$(curl -s -m 5 "http://$1:18080/")" = 'served by task' ]; }
gets_outside() { [ "$(ip netns exec outside curl -s -m 5 "http://$1:18080/")" = 'served by task' ]; }
t_ports() {
	serve 0.0.0.0 && wait_for 20 'the address of the host' gets '[2001:db8:7::1]' && gets 192.0.2.1 &&
		gets_outside '[2001:db8:7::1]' && ! gets_outside '[2001:db8:7::1]:1'
	r=$?
	end_task TERM
	[ $r -eq 0 ] && { ! gets '[2001:db8:7::1]'; }
}
run_test 'ports: from this host and from another; gone afterwards' t_ports
t_at() {
	ip addr add 2001:db8:7::9/64 dev out0 nodad
	serve 2001:db8:7::9 && wait_for 20 'that address' gets '[2001:db8:7::9]' && gets_outside '[2001:db8:7::9]' &&
		{ ! gets '[2001:db8:7::1]'; } && { ! gets 192.0.2.1; }
	r=$?
	end_task TERM
	ip addr del 2001:db8:7::9/64 dev out0
	return $r
}
run_test 'ports: at one address of the host' t_at
t_at4() {
	serve 192.0.2.1 && wait_for 20 'that address' gets 192.0.2.1 && { ! gets '[2001:db8:7::1]'; }
	r=$?
	end_task TERM
	return $r
}
run_test 'ports: at an IPv4 address alone' t_at4
t_taken() {
	serve 0.0.0.0 && cp "$T/out" "$T/out1" || return 1
	task_json "$(sh_config 'echo never' '{"network_veth":true,"ports":["web"]}')" . \
		'.Networks = [{ ReservedPorts: [{ Label: "web", Value: 18080, To: 80, HostNetwork: "2001:db8:7::1" }] },
		{ ReservedPorts: [{ Label: "any", Value: 18080, To: 80, HostNetwork: "0.0.0.0" }] }]' >"$T/second.json"
	"$DRIVER" run --config "$T/plugin.json" "$T/second.json" >"$T/out2" 2>"$T/err2"
	gets '[2001:db8:7::1]'
	r=$?
	end_task TERM
	return $r
}
run_test 'the end of one task leaves the ports of its neighbour' t_taken

# ---- Zones
t_zone() {
	spawn_task "$(sh_config 'ip -o -6 addr show host0; echo up; sleep 100' '{"network_zone":"blue"}')" &&
		wait_for 30 up has_said up &&
		address=$(sed -n 's|.* inet6 \(fd[0-9a-f:]*\)/120.*|\1|p' "$T/out") && cp "$T/out" "$T/out1" &&
		task_json "$(sh_config "ping -c1 -w5 $address; ping -c1 -w5 2001:db8:7::2; ip -6 route" \
		'{"network_zone":"blue"}')" >"$T/second.json" &&
		"$DRIVER" run --config "$T/plugin.json" "$T/second.json" >"$T/out2" 2>&1 &&
		is "$(grep -c '1 packets received' "$T/out2")" 2
	r=$?
	end_task TERM
	[ $r -eq 0 ] || cat "$T/out1" "$T/out2"
	return $r
}
run_test 'network_zone: neighbours reach each other and other hosts' t_zone

# ---- Routed
t_routed() {
	pool 2001:db8:8::/64 && ip -n outside route add 2001:db8:8::/64 via 2001:db8:7::1 || return 1
	spawn_task "$(sh_config 'ping -c1 -w5 2001:db8:7::2; ip -o -6 addr show host0; httpd -p "[::]:18080" -h /etc &&
		echo up; exec sleep 100' "$veth")" &&
		wait_for 30 up has_said up && file_has "$T/out" '1 packets received' &&
		address=$(sed -n 's|.* inet6 \(2001[0-9a-f:]*\)/128.*|\1|p' "$T/out") &&
		ip netns exec outside curl -s -m 5 "http://[$address]:18080/group" | grep -q root &&
		is "$(nft list set ip6 nomad_nspawn translated | grep -c 2001:db8:8)" 0
	r=$?
	end_task TERM
	return $r
}
run_test 'global addresses are routed' t_routed
t_wrong() {
	pool 10.0.0.0/8
	fails "$(sh_config true "$veth")" 'network_pool6.*an IPv6 network of /8 to /96'
}
run_test 'network_pool6: wrong' t_wrong
t_without() {
	printf '{ "policy": { "mode": "open" }, "state_dir": "%s/state" }\n' "$T" >"$T/plugin.json"
	says "$(sh_config 'ip -6 route; echo end' "$veth")" '^end$' && ! grep -q default "$T/out"
}
run_test 'none without the option' t_without
t_forward() { is "$(cat /proc/sys/net/ipv6/conf/all/forwarding)" 1 &&
	is "$(cat /proc/sys/net/ipv6/conf/out0/accept_ra)" 2; }
run_test 'the host still takes advertisements of its router' t_forward
run_test 'nothing is left' nothing_left
done_testing
