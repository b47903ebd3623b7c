#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The whole of PID 1, as PID 1, in namespaces instead of a machine: supervision, shutdown, logs, configuration, network
# over a veth pair with a real DHCP server; and what may go wrong with each.
. test/nomadinit/lib.sh
requires dnsmasq perl jq
. test/nomadinit/pid1.sh

# ---- An ordinary life --------------------------------------------------------------------
sysctl='"sysctl": {"net.ipv4.ip_forward": "1"}'
start "{\"nomadinit\": {\"hostname\": \"node7\", $quick, $sysctl}, \"region\": \"eu\"}"
check "the agent is started and is ready" ready
check "and after a while healthy" says "the agent is healthy"
check "the host name is set" prints '^node7$' inside /bin/busybox hostname
check "sysctl is applied" prints '^1$' inside /bin/cat /proc/sys/net/ipv4/ip_forward
check "the loopback interface is up" prints UP in_net ip -o link show lo
check "cgroup2 is mounted" inside /bin/busybox test -e /sys/fs/cgroup/cgroup.procs
agent_json() { inside /bin/cat /run/nomad/agent.json; }
check "the agent's configuration has what was given" prints '"region": "eu"' agent_json
check "and each plugin that is there" prints '"nomad-driver-x": [{][}]' agent_json
check "and nothing of ours" unlike "$(agent_json)" nomadinit
check "nobody else may read it" prints '^600$' inside /bin/busybox stat -c %a /run/nomad/agent.json
check "a machine id is kept" prints '^.{32}$' inside /bin/busybox cat /state/nomadinit/machine-id
printf '{"nomadinit": {%s, %s}, "region": "mars"}' "$quick" "$(echo "$sysctl" | sed 's/"1"/"0"/')" \
	>"$root/etc/nomadinit/init.json"
# The stand-in looks at its signals between two connections.
connect='IO::Socket::INET->new(PeerAddr => q(127.0.0.1:4646))'
reloads() { in_net perl -MIO::Socket::INET -e "$connect"; grep -q 'stand-in agent: reloaded' "$console"; }
kill -HUP "$inner"
check "SIGHUP reaches the agent" soon 10 reloads
check "with a configuration that was read again" prints '"region": "mars"' agent_json
check "and its kernel settings" prints '^0$' inside /bin/cat /proc/sys/net/ipv4/ip_forward
echo broken >"$root/etc/nomadinit/init.json"
kill -HUP "$inner"
check "one that is broken is not taken" says "the agent keeps the one it has"
check "and the old one stays" prints '"region": "mars"' agent_json
check "status: JSON" prints '"hostname": "node7"' inside /sbin/nomadinit status
status_is() { inside /sbin/nomadinit status | jq -e "$1"; }
check "status: the agent is healthy" status_is '.agent_healthy == true and .agent_starts == 1'
check "status: which boot it is" status_is ".boot_id == \"$(cat /proc/sys/kernel/random/boot_id)\""
# Orphans: the shell ends, its child becomes ours, ends, and must not stay as a zombie.
inside /bin/sh -c '(sleep 0.2 & sleep 0.1 & exit 0)'
no_zombie() { ! inside /bin/ps -o stat | grep -q Z; }
check "orphans are reaped" soon 20 no_zombie
inside /bin/kill -9 "$(inside /bin/busybox pidof nomad)"
check "an agent that is killed is started again" says "killed by signal 9"
check "and is ready again" soon 30 readies 2
# See 20-boot.sh for what this is.  Sanitizers have memory of their own.
if ldd "$init" 2>&1 | grep -q san; then
	skip "idle it has less than 400 KiB of private memory" "built with sanitizers"
else
	private() { awk '/^Private_(Clean|Dirty)/ { n += $2 } END { print n }' "/proc/$inner/smaps_rollup"; }
	is_small() { kib=$(private) && [ "$kib" -lt 400 ]; }
	soon 120 is_small
	check "idle it has less than 400 KiB of private memory, clean and dirty ($kib KiB)" test "$kib" -lt 400
fi
fd_count() { find "/proc/$inner/fd" -mindepth 1 | wc -l; }
fds=$(fd_count)
for _ in 1 2 3; do
	n=$(grep -c 'the agent is ready' "$console")
	inside /bin/kill -9 "$(inside /bin/busybox pidof nomad)"
	soon 30 readies $((n + 1))
done
check "restarts leak no descriptors" test "$(fd_count)" -le "$fds"
check "SIGTERM ends it" stop
check "the agent ended by itself" console_has "the agent ended: exit status 0"
log=$root/state/log/log
check "the log was kept on the state" file_has "$log" "the agent is ready"
check "with the time of day" file_has "$log" '^20[0-9-]*T[0-9:]*\.[0-9]{3}Z nomadinit: the agent is ready'
check "and a mark of the boot" file_has "$log" "nomadinit: ---- boot $(cat /proc/sys/kernel/random/boot_id), version "
check "and what was said before there was a disk" file_has "$log" "configuration: the image's init.json"

for word in poweroff reboot; do
	start "{\"nomadinit\": {$quick}}"
	ready
	inside /bin/$word
	check "the $word command ends it" soon 60 ended
done
check "and says that it restarts" console_has "restarting"
for sig in INT PWR USR2; do
	start "{\"nomadinit\": {$quick}}"
	ready
	kill -$sig "$inner"
	check "SIG$sig ends it" soon 60 ended
	case $sig in INT) want=restarting ;; *) want='power off' ;; esac
	check "and means: $want" console_has "nomadinit: $want"
done

# ---- Agents that behave badly -----------------------------------------------------------------
# agent_mode MODE [STOP_SECONDS [OPTION]]
agent_mode() {
	printf '{"nomadinit": {"agent": {"environment": {"AGENT_MODE": "%s"}, "restart_min_seconds": 1, %s
		"restart_max_seconds": 2, "healthy_seconds": 2, "stop_seconds": %d}, "wait_network_seconds": 0}}' \
		"$1" "${3:-}" "${2:-2}"
}
start "$(agent_mode 'exit 3')"
check "an agent that exits at once: why is said" says "exit status 3; it is started again"
check "and it is tried again and again" says "time 3" 60
check "PID 1 can be stopped meanwhile" stop
start "$(agent_mode crash)"
check "an agent that crashes: the signal is named" says "killed by signal 6"
check "PID 1 can be stopped then" stop
start "$(agent_mode deaf)"
ready
check "an agent that does not end is killed in the end" stop
check "and that is said" console_has "did not end in time; it is killed"
start "$(agent_mode 'drain 1')"
ready
check "an agent that drains is waited for" stop
check "until it has ended" console_has "stand-in agent: ends"
start "$(agent_mode 'drain 1')"
ready
inside /bin/reboot
check "reboot ends it" soon 60 ended
check "without a drain" console_has 'stand-in agent: interrupted'
check "and restarts then" console_has 'nomadinit: restarting'
start "$(agent_mode 'drain 1' 2 '"drain_on_reboot": true,')"
ready
inside /bin/reboot
check "reboot waits for a drain if told to" soon 60 ended
check "until it has drained" console_has 'stand-in agent: draining'
check "and ended" console_has 'the agent ended: exit status 0'
start '{"nomadinit": {"agent": {"stop_seconds": 900}, "wait_network_seconds": 600}}'
check "power off before the agent was started waits for nothing" stop
check "and the agent was not started" console_lacks 'starting the agent'
start "$(agent_mode 'drain 600' 900)"
ready
kill -TERM "$inner"
says "stand-in agent: draining"
kill -TERM "$inner"
check "a second request hurries" soon 60 ended
check "and that is said" console_has "SIGTERM: power off, at once"
rm -f "$root"/state/log/*
start "$(agent_mode noise)"
check "a talkative agent does not stop PID 1" ready 60
bytes=$(cat "$root"/state/log/log* | wc -c)
check "and its log stays within the limit ($bytes)" test "$bytes" -le 4194304
check "and is stopped" stop
mv "$root/opt/nomad/nomad" "$root/opt/nomad/gone"
start "{\"nomadinit\": {$quick}}"
check "no agent at all: said with the remedy" says "exit status 127: the program, its loader or a library is missing"
mv "$root/opt/nomad/gone" "$root/opt/nomad/nomad"
check "and when it appears it is started" ready
stop

# ---- Health: the servers know the agent of this boot ----------------------------------------------
mkdir -p "$root/state/nomad/client"
echo 11111111-2222-3333-4444-555555555555 >"$root/state/nomad/client/client-id"
echo secret >"$root/state/nomad/client/secret-id"
# node BOOT ELIGIBILITY LAST_EVENT [ACCESSOR [FIRST_EVENT]]: what the servers say of the node
node() {
	id=$(cat "$root/state/nomad/client/client-id")
	printf '{"ID": "%s", "Status": "ready", "SchedulingEligibility": "%s", "Meta": {"nomadinit_boot": "%s"},
		"LastDrain": {"AccessorID": "%s", "Meta": {"message": "shutting down"}},
		"Events": [{"Message": "%s"}, {"Message": "Node drain complete"}, {"Message": "%s"}]}' \
		"$id" "$2" "$1" "${4:-client:$id}" "${5:-Node registered}" "$3" >"$root/state/answer.json"
}
boot_id=$(cat /proc/sys/kernel/random/boot_id)
client="{\"nomadinit\": {$quick}, \"client\": {\"enabled\": true}}"
node of-another-boot ineligible 'Node drain complete'
start "$client"
ready
sleep 8
check "an agent that has not registered in this boot is not healthy" console_lacks 'the agent is healthy'
check "nor is its drain ended" test ! -e "$root/state/put"
node "$boot_id" ineligible 'Node heartbeat missed'
check "one that has is" says 'the agent is healthy'
check "the drain of the last shutdown is ended" says 'the node takes work again'
check "by the node itself" grep -qF '/v1/node/11111111-2222-3333-4444-555555555555/drain secret {"DrainSpec":null,' \
	"$root/state/put"
stop
# left_alone WHAT ELIGIBILITY LAST_EVENT [ACCESSOR [FIRST_EVENT]]
left_alone() {
	what=$1
	shift
	rm -f "$root/state/put"
	node "$boot_id" "$@"
	start "$client"
	check "healthy: $what" says 'the agent is healthy'
	check "left alone: $what" test ! -e "$root/state/put"
	stop
}
left_alone "a node that takes work" eligible 'Node drain complete'
left_alone "an operator's drain" ineligible 'Node drain complete' operator
left_alone "an operator's word after our drain" ineligible 'Node marked as ineligible for scheduling'
left_alone "an operator's word before our drain" ineligible 'Node heartbeat missed' '' \
	'Node marked as ineligible for scheduling'
rm -rf "$root/state/answer.json" "$root/state/nomad/client"
users_check='"health_command": ["/bin/sh", "-c", "cat /state/fine"], '
start "{\"nomadinit\": {$(echo "$quick" | sed "s|\"agent\": {|&$users_check|")}}"
ready
sleep 8
check "an agent that fails the user's check is not healthy" console_lacks 'the agent is healthy'
: >"$root/state/fine"
check "one that passes is" says 'the agent is healthy'
stop

# ---- Configurations that are broken ------------------------------------------------------------
start '{"nomadinit": {"hostname": '
check "broken JSON: the line is named on the console" \
	says "configuration is broken: 'the image's init.json' line 2"
check "PID 1 lives on" kill -0 "$inner"
printf '{"nomadinit": {%s}}' "$quick" >"$root/etc/nomadinit/init.json"
check "and takes the mended one by itself" ready 60
stop
start '{"nomadinit": {"hostnam": "x"}}'
check "an unknown option is named" says 'no option "hostnam"'
check "and power off works all the same" stop
set='nomadinit.set.region=mars nomadinit.set.client.meta={"a":"b c"}'
start "{\"nomadinit\": {$quick}}" "NOMADINIT_CMDLINE=nomadinit.hostname=fromkernel $set"
ready
check "kernel arguments override: host name" prints '^fromkernel$' inside /bin/busybox hostname
check "kernel arguments override: any key" prints '"region": "mars"' agent_json
stop

# ---- A state that is full or missing ------------------------------------------------------------
start "$(agent_mode noise)" STATE_SIZE=256k
check "a full state disk is said" says "lines are lost there until there is room" 60
check "and the agent runs on" ready 60
check "and it can be stopped" stop
chmod 755 "$root/state"
mv "$root/state" "$root/state.away"
start "{\"nomadinit\": {$quick}}"
check "no state at all: said, and the agent runs" ready
check "PID 1 warned" console_has "cannot mount a tmpfs on '/state'|kept in memory"
stop
rm -rf "$root/state"
mv "$root/state.away" "$root/state"

# ---- Devices that are missing -------------------------------------------------------------------
start "{\"nomadinit\": {$quick}}" NO_DEVICES=1
check "without /dev/null, urandom and the rest the agent is started" ready
check "a machine id is there all the same" prints '^.{32}$' inside /bin/busybox cat /run/nomadinit/machine-id
check "and it can be stopped" stop

# ---- check: on a workstation, not as PID 1 --------------------------------------------------------
says_of() {
	printf '%s\n' "$1" >"$T/c.json"
	fails "$init" check "$T/c.json" >"$T/said" 2>&1 && grep -q -e "$2" "$T/said"
}
says_of_network() { says_of "{\"nomadinit\": {\"network\": {\"eth0\": $1}}}" "$2"; }
printf '{"nomadinit": {%s}}' "$quick" >"$T/right.json"
check "check: a right one" "$init" check "$T/right.json"
check "check: an empty file" says_of '' "c.json' line 2 column 0"
check "check: cut JSON, with line and column" says_of '{"nomadinit": {' "c.json' line 2 column"
check "check: no object" says_of '[1]' 'is not a JSON object'
check "check: a key twice" says_of '{"region": "a", "region": "b"}' 'duplicate'
check "check: an option that is not there" \
	says_of '{"nomadinit": {"state": {"lable": "x"}}}' 'nomadinit.state has no option "lable"'
check "check: a wrong type" says_of '{"nomadinit": {"ntp": "x"}}' 'nomadinit.ntp must be a list of strings'
check "check: out of bounds" says_of '{"nomadinit": {"watchdog_seconds": -1}}' 'must be from 0 to 3600, not -1'
check "check: no address" says_of_network '{"addresses": ["10.0.0.1"]}' 'want addresses as 192.0.2.7/24'
check "check: no gateway" says_of_network '{"gateways": ["router"]}' '"router" is not valid'
check "check: a host name with blanks" says_of '{"nomadinit": {"hostname": "a b"}}' 'want a host name'
check "check: an agent without a path" says_of '{"nomadinit": {"agent": {"command": ["nomad"]}}}' 'absolute path'
check "check: no such file" prints no-such fails "$init" check "$T/no-such"
echo '{"region": "a", "client": {"enabled": true}}' >"$T/1"
echo '{"region": "b"}' >"$T/2"
explains() { printf '%s\n' "$1" >"$T/c.json"; prints "$2" "$init" check "$T/c.json"; }
check "check: says what the agent would be" \
	explains '{"client": {"enabled": true, "servers": ["a"]}}' 'agent: client only'
check "check: warns of an open API" \
	explains '{"server": {"enabled": true}}' 'warning: whoever reaches the API may run jobs'
check "check: warns of a client without servers" \
	explains '{"client": {"enabled": true}}' 'warning: the client knows no server'
check "check: not of one that is bound to loopback" unlike \
	"$("$init" check nomadinit/image/init.json)" warning
check "check: says what an interface would be" explains '{"nomadinit": {"network": {"v5": {"vlan": 5, "parent": "eth0"}}}}' \
	"'v5': VLAN 5 on 'eth0', IPv4 by DHCP"
check "check: user-data after #nomadinit" explains '#nomadinit
{"region": "eu"}' "is user-data: init.json"
check "check: user-data in base64" explains "$(echo '{"region": "eu"}' | base64)" "init.json in base64"
check "check: a #cloud-config" says_of '#cloud-config
hostname: x' 'only cloud-init reads'
check "check: a script" says_of '#!/bin/sh' 'not used: it begins with'
check "check: a VLAN without parent" says_of_network '{"vlan": 5}' 'vlan needs a parent'
check "check: no route" says_of_network '{"routes": ["10.0.0.0 via x"]}' 'routes as 10.0.0.0/8 via 192.0.2.1'
check "check --show: later files override" prints '"region": "b"' "$init" check --show "$T/1" "$T/2"
check "check --show: what is filled in" prints drain_on_shutdown "$init" check --show "$T/1" "$T/2"
"$init" check --show "$T/1" >"$T/shown"
check "check --show: memory that no task gets" jq -e '.client.reserved.memory == 96' "$T/shown"

# ---- Network ------------------------------------------------------------------------------------------
net_config='{"nomadinit": {"network": {"eth0": {"dhcp": true}, "eth1": {"mtu": 1400,
	"addresses": ["198.51.100.7/24", "2001:db8:1::7/64"], "gateways": ["198.51.100.1", "2001:db8:1::1"]}},
	"dns": ["192.0.2.1"], "ntp": ["time.example.com"], "wait_network_seconds": 20, "state": {"label": "none"},
	"agent": {"healthy_seconds": 2, "stop_seconds": 5}}}'
on_server() { nsenter -t "$server" -n "$@"; }
has_own_network() { [ "$(readlink "/proc/$server/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
make_server() {
	unshare -n sleep 600 &
	server=$!
	pids="$pids $server"
	soon 10 has_own_network
	ip link set "ni$$" netns "$server" name dhcp0
	on_server ip link set lo up
	on_server ip addr add 192.0.2.1/24 dev dhcp0
	on_server ip addr add 2001:db8:2::1/64 dev dhcp0
	on_server ip link set dhcp0 up
	in_net ip link add eth1 type veth peer name other1
	nsenter -t "$server" -n dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts \
		--address=/time.example.com/192.0.2.1 --interface=dhcp0 --bind-interfaces --dhcp-authoritative \
		--dhcp-range=192.0.2.50,192.0.2.59,2m --enable-ra \
		--dhcp-range=2001:db8:2::50,2001:db8:2::5f,slaac,64,2m \
		--dhcp-option=option6:dns-server,2001:db8:2::53 --dhcp-option=6,192.0.2.53 \
		--dhcp-option=15,example.com --dhcp-option=26,1450 --dhcp-option=12,fromdhcp \
		--dhcp-option=121,10.9.0.0/16,192.0.2.9,0.0.0.0/0,192.0.2.1 \
		--leasefile-ro --log-facility=- --pid-file= --user=root >"$T/dnsmasq.log" 2>&1 &
	dnsmasq=$!
	nsenter -t "$server" -n perl test/nomadinit/time.pl 192.0.2.1 >"$T/time.log" 2>&1 &
	time_server=$!
	pids="$pids $dnsmasq $time_server"
}
resolv_conf() { inside /bin/cat /run/nomadinit/resolv.conf | tr '\n' ' '; }
addresses() { in_net ip addr show "$1" | tr '\n' ' '; }
acks() { count_is DHCPACK -ge "$T/dnsmasq.log" "$1"; }
lease_tests() {
	check "DHCP: an address" says "'eth0': 192.0.2.5[0-9]/24 by DHCP from 192.0.2.1" 60
	check "the agent waited for it" ready
	check "DHCP: the default route" prints 'default via 192.0.2.1 dev eth0' in_net ip route
	check "DHCP: a classless route" prints '10.9.0.0/16 via 192.0.2.9' in_net ip route
	check "DHCP: the MTU" prints 'mtu 1450' in_net ip link show eth0
	check "name server: that of the configuration, then DHCP's, and its domain" \
		prints 'search example.com nameserver 192.0.2.1 nameserver 192.0.2.53' resolv_conf
	check "DHCP: the host name" soon 20 prints '^fromdhcp$' nsenter -t "$inner" -u hostname
}
static_tests() {
	check "static: IPv4 and IPv6 addresses" prints '198.51.100.7/24.*2001:db8:1::7/64' addresses eth1
	check "static: the IPv4 gateway, behind DHCP's" \
		prints 'default via 198.51.100.1 dev eth1.*metric' in_net ip route
	check "static: the IPv6 gateway" prints 'default via 2001:db8:1::1 dev eth1' in_net ip -6 route
	check "static: the MTU" prints 'mtu 1400' in_net ip link show eth1
	check "router advertisement: an IPv6 address" soon 40 prints '2001:db8:2:' in_net ip -6 addr show eth0
	check "DHCPv6: an address, as the router says" \
		soon 40 prints '2001:db8:2::5[0-9a-f]/128' in_net ip -6 addr show eth0
	check "router advertisement: its name server" soon 40 prints '2001:db8:2::53' resolv_conf
}
cable_tests() {
	on_server ip link set dhcp0 down
	check "a pulled cable is seen" says "'eth0': link is down"
	on_server ip link set dhcp0 up
	check "and the lease is asked for again" soon 60 acks 2
	# A renewal well before the end: the lease is 2 min.
	if [ "${NOMAD_TEST_LONG:-}" = 1 ]; then
		check "the lease is renewed in time" soon 100 acks $(($(grep -c DHCPACK "$T/dnsmasq.log") + 1))
	else
		skip "the lease is renewed in time" "takes a minute: NOMAD_TEST_LONG=1"
	fi
}
start "$net_config"
if ! ip link add "ni$$" type veth peer name eth0 netns "$inner" 2>/dev/null; then
	skip "network over a veth pair" "no veth here"
else
	make_server
	lease_tests
	static_tests
	check "time: a server, found by its name, that lies is not believed; that is said" \
		says "no time server answers; going on asking" 60
	# Two of the three name servers are silent, and each has its turn of 16 s.
	check "time: when it tells the truth it is" \
		says "time from 'time.example.com': the clock was 3[56][0-9][0-9]\." 150
	end_pid "$time_server"
	cable_tests
	end_pid "$dnsmasq"
	check "PID 1 stops with the network as it is" stop

	# A server that lies.
	start "$net_config"
	on_server ip link add liar0 type veth peer name eth0 netns "$inner"
	on_server ip addr add 203.0.113.1/24 dev liar0
	on_server ip link set liar0 up
	nsenter -t "$server" -n perl test/nomadinit/liar.pl liar0 >"$T/liar.log" 2>&1 &
	liar=$!
	pids="$pids $liar"
	check "a lying DHCP server is not believed" says "a DHCP answer is not used" 60
	check "nor its address set" unlike "$(in_net ip -4 addr show eth0)" inet
	check "the agent starts without network after a while" ready 60
	check "when it tells the truth at last it is" says "'eth0': 203.0.113.77/24 by DHCP" 120
	end_pid "$liar"
	check "PID 1 stops" stop
	end_pid "$server"
fi

# ---- Nothing is left behind -----------------------------------------------------------------------------
check "no process is left" fails pgrep -f "$root"
check "no helper of the test is left" fails pgrep -f -e 'liar.pl liar0|dnsmasq.*interface=dhcp0'
check "no mount is left" lacks /proc/self/mountinfo "$root"
check "the sanitizers have nothing to say" fails grep -h -A 20 -E 'ERROR: AddressSanitizer|runtime error' \
	"$T"/console.*
done_testing
