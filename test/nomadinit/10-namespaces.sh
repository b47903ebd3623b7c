#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The whole of PID 1, as PID 1, in namespaces instead of a machine: supervision, shutdown, logs, configuration, network
# over a veth pair with a real DHCP server; and what may go wrong with each.
. "$(dirname "$0")/lib.sh"
needs unshare nsenter ip dnsmasq perl busybox
needs_root
unshare -fpmnui --mount-proc true 2>/dev/null || skip_all "namespaces are not allowed here"
make_standin || { not_ok "the stand-in agent is built"; exit 1; }

# A root as in the image, but with our program from the build folder.
root=$tmp/root
mkdir -p "$root/sbin" "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/tmp" "$root/var" "$root/state" \
	"$root/etc/nomadinit" "$root/opt/nomad/plugins"
: >"$root/opt/nomad/plugins/nomad-driver-x"
cp "$init" "$root/sbin/nomadinit"
# A build with sanitizers is not static.
for l in $(ldd "$init" 2>/dev/null | awk '/\// { print $(NF - 1) }'); do mkdir -p "$root$(dirname "$l")"; cp -L "$l" "$root$l"; done
cp "$standin" "$root/opt/nomad/nomad"
cp "$(command -v busybox)" "$root/bin/busybox"
echo 1500000000 >"$root/etc/nomadinit/build-time"
for l in sh cat kill sleep ps grep; do ln -s busybox "$root/bin/$l"; done
for d in null zero urandom random; do : >"$root/dev/$d"; done
ln -s ../sbin/nomadinit "$root/bin/poweroff"
ln -s ../sbin/nomadinit "$root/bin/reboot"

# start CONFIG [ENV...]: PID 1 in new namespaces; sets outer (unshare's id), inner (PID 1's id out here), console
start() {
	printf '%s\n' "$1" >"$root/etc/nomadinit/init.json"
	shift
	console=$tmp/console.$count
	rm -f "$tmp/inner"
	env container=test ASAN_OPTIONS=detect_leaks=0 "$@" unshare -fpmnui sh -c '
		[ -n "${NO_DEVICES:-}" ] || for d in null zero urandom random; do mount --bind /dev/$d "$0/dev/$d"; done
		if [ -n "${STATE_SIZE:-}" ]; then mount -t tmpfs -o size=$STATE_SIZE tmpfs "$0/state"; fi
		ip link set lo down
		exec chroot "$0" /sbin/nomadinit' "$root" >"$console" 2>&1 </dev/null &
	outer=$!
	pids="$pids $outer"
	# With --fork the child of unshare is PID 1.
	wait_for 20 sh -c "pgrep -P $outer >'$tmp/inner'"
	inner=$(cat "$tmp/inner")
	wait_for 20 grep -q . "$console"
}
inside() { nsenter -t "$inner" -p -m -n -u -r -w "$@"; }
says() { wait_for "${2:-20}" grep -q -e "$1" "$console"; }
ended() { ! kill -0 "$outer" 2>/dev/null; }
# stop: and see that it is gone, with all below it
stop() {
	kill -TERM "$inner"
	wait_for 60 ended
}
quick='"agent": {"restart_min_seconds": 1, "restart_max_seconds": 2, "healthy_seconds": 2, "stop_seconds": 5}, "wait_network_seconds": 0, "state": {"label": "none"}'

# ---- An ordinary life --------------------------------------------------------------------
start "{\"nomadinit\": {\"hostname\": \"node7\", $quick, \"sysctl\": {\"net.ipv4.ip_forward\": \"1\"}}, \"region\": \"eu\"}"
check "the agent is started and is ready" says "the agent is ready"
check "and after a while healthy" says "the agent is healthy"
check "the host name is set" test "$(inside /bin/busybox hostname)" = node7
check "sysctl is applied" test "$(inside /bin/cat /proc/sys/net/ipv4/ip_forward)" = 1
check "the loopback interface is up" sh -c "nsenter -t $inner -n ip -o link show lo | grep -q 'UP'"
check "cgroup2 is mounted" inside /bin/busybox test -e /sys/fs/cgroup/cgroup.procs
check "the agent's configuration has what was given" inside /bin/grep -q '"region": "eu"' /run/nomad/agent.json
check "and each plugin that is there" inside /bin/grep -q '"nomad-driver-x": {}' /run/nomad/agent.json
check "and nothing of ours" sh -c "! nsenter -t $inner -m -r -w /bin/grep -q nomadinit /run/nomad/agent.json"
check "nobody else may read it" test "$(inside /bin/busybox stat -c %a /run/nomad/agent.json)" = 600
check "a machine id is kept" test "$(inside /bin/busybox cat /state/nomadinit/machine-id | wc -c)" = 33
check "SIGHUP reaches the agent" sh -c "kill -HUP $inner; . /dev/null; for i in 1 2 3 4 5 6 7 8 9 10; do grep -q 'stand-in agent: reloaded' '$console' && exit 0; nsenter -t $inner -n perl -MIO::Socket::INET -e 'IO::Socket::INET->new(PeerAddr => q(127.0.0.1:4646))'; sleep 0.3; done; exit 1"
# Orphans: the shell ends, its child becomes ours, ends, and must not stay as a zombie.
inside /bin/sh -c '(sleep 0.2 & sleep 0.1 & exit 0)'
check "orphans are reaped" wait_for 20 sh -c "[ \$(nsenter -t $inner -p -m -r -w /bin/ps -o stat | grep -c Z) = 0 ]"
agent_id=$(inside /bin/busybox pidof nomad)
inside /bin/kill -9 "$agent_id"
check "an agent that is killed is started again" says "killed by signal 9"
check "and is ready again" wait_for 30 sh -c "[ \$(grep -c 'the agent is ready' '$console') = 2 ]"
# See 20-boot.sh for what this is.  Sanitizers have memory of their own.
if ldd "$init" 2>&1 | grep -q san; then
	skip "idle it has less than 400 KiB of private memory" "built with sanitizers"
else
	is_small() { kib=$(awk '/^Private_(Clean|Dirty)/ { n += $2 } END { print n }' "/proc/$inner/smaps_rollup") && [ "$kib" -lt 400 ]; }
	wait_for 120 is_small
	check "idle it has less than 400 KiB of private memory, clean and dirty ($kib KiB)" test "$kib" -lt 400
fi
fds=$(ls "/proc/$inner/fd" | wc -l)
for _ in 1 2 3; do
	n=$(grep -c 'the agent is ready' "$console")
	inside /bin/kill -9 "$(inside /bin/busybox pidof nomad)"
	wait_for 30 sh -c "[ \$(grep -c 'the agent is ready' '$console') -gt $n ]"
done
check "restarts leak no descriptors" test "$(ls "/proc/$inner/fd" | wc -l)" -le "$fds"
check "SIGTERM ends it" stop
check "the agent ended by itself" grep -q "the agent ended: exit status 0" "$console"
check "the log was kept on the state" grep -q "the agent is ready" "$root/state/log/log"

start "{\"nomadinit\": {$quick}}"
says "the agent is ready"
inside /bin/poweroff
check "the poweroff command ends it" wait_for 60 ended
start "{\"nomadinit\": {$quick}}"
says "the agent is ready"
inside /bin/reboot
check "the reboot command ends it" wait_for 60 ended
check "and says that it restarts" grep -q "restarting" "$console"
for sig in INT PWR USR2; do
	start "{\"nomadinit\": {$quick}}"
	says "the agent is ready"
	kill -$sig "$inner"
	check "SIG$sig ends it" wait_for 60 ended
	case $sig in INT) want=restarting ;; *) want='power off' ;; esac
	check "and means: $want" grep -q "nomadinit: $want" "$console"
done

# ---- Agents that behave badly -----------------------------------------------------------------
agent_mode() { printf '{"nomadinit": {"agent": {"environment": {"AGENT_MODE": "%s"}, "restart_min_seconds": 1, "restart_max_seconds": 2, "healthy_seconds": %s, "stop_seconds": 2}, "wait_network_seconds": 0}}' "$1" "${2:-2}"; }
start "$(agent_mode 'exit 3')"
check "an agent that exits at once: why is said" says "exit status 3; it is started again"
check "and it is tried again and again" says "time 3" 60
check "PID 1 can be stopped meanwhile" stop
start "$(agent_mode crash)"
check "an agent that crashes: the signal is named" says "killed by signal 6"
check "PID 1 can be stopped then" stop
start "$(agent_mode deaf)"
says "the agent is ready"
check "an agent that does not end is killed in the end" stop
check "and that is said" grep -q "did not end in time; it is killed" "$console"
start "$(agent_mode 'drain 1')"
says "the agent is ready"
check "an agent that drains is waited for" stop
check "until it has ended" grep -q "stand-in agent: ends" "$console"
start "$(agent_mode 'drain 1')"
says "the agent is ready"
inside /bin/reboot
check "reboot waits for it as well" wait_for 60 ended
check "until it has drained and ended" sh -c "grep -q 'stand-in agent: draining' '$console' && grep -q 'the agent ended: exit status 0' '$console' && grep -q 'nomadinit: restarting' '$console'"
start "$(agent_mode 'drain 600' | sed 's/"stop_seconds": 2/"stop_seconds": 900/')"
says "the agent is ready"
kill -TERM "$inner"
says "stand-in agent: draining"
kill -TERM "$inner"
check "a second request hurries" wait_for 60 ended
check "and that is said" grep -q "SIGTERM: power off, at once" "$console"
rm -f "$root"/state/log/*
start "$(agent_mode noise)"
check "a talkative agent does not stop PID 1" says "the agent is ready" 60
bytes=$(cat "$root"/state/log/log* | wc -c)
check "and its log stays within the limit ($bytes)" test "$bytes" -le 4194304
check "and is stopped" stop
mv "$root/opt/nomad/nomad" "$root/opt/nomad/gone"
start "{\"nomadinit\": {$quick}}"
check "no agent at all: said with the remedy" says "exit status 127: the program, its loader or a library is missing"
mv "$root/opt/nomad/gone" "$root/opt/nomad/nomad"
check "and when it appears it is started" says "the agent is ready"
stop

# ---- Configurations that are broken ------------------------------------------------------------
start '{"nomadinit": {"hostname": '
check "broken JSON: the line is named on the console" says "configuration is broken: 'the image's init.json' line 2"
kill -0 "$inner"
check "PID 1 lives on" kill -0 "$inner"
printf '{"nomadinit": {%s}}' "$quick" >"$root/etc/nomadinit/init.json"
check "and takes the mended one by itself" says "the agent is ready" 60
stop
start '{"nomadinit": {"hostnam": "x"}}'
check "an unknown option is named" says 'no option "hostnam"'
check "and power off works all the same" stop
start "{\"nomadinit\": {$quick}}" 'NOMADINIT_CMDLINE=nomadinit.hostname=fromkernel nomadinit.set.region=mars nomadinit.set.client.meta={"a":"b c"}'
says "the agent is ready"
check "kernel arguments override: host name" test "$(inside /bin/busybox hostname)" = fromkernel
check "kernel arguments override: any key" inside /bin/grep -q '"region": "mars"' /run/nomad/agent.json
stop

# ---- A state that is full or missing ------------------------------------------------------------
start "$(agent_mode noise)" STATE_SIZE=256k
check "a full state disk is said" says "lines are lost there until there is room" 60
check "and the agent runs on" says "the agent is ready" 60
check "and it can be stopped" stop
chmod 755 "$root/state"
mv "$root/state" "$root/state.away"
start "{\"nomadinit\": {$quick}}"
check "no state at all: said, and the agent runs" says "the agent is ready"
check "PID 1 warned" grep -q -e "cannot mount a tmpfs on '/state'" -e "kept in memory" "$console"
stop
rm -rf "$root/state"
mv "$root/state.away" "$root/state"

# ---- Devices that are missing -------------------------------------------------------------------
start "{\"nomadinit\": {$quick}}" NO_DEVICES=1
check "without /dev/null, urandom and the rest the agent is started" says "the agent is ready"
check "a machine id is there all the same" test "$(inside /bin/busybox cat /run/nomadinit/machine-id | wc -c)" = 33
check "and it can be stopped" stop

# ---- check: on a workstation, not as PID 1 --------------------------------------------------------
says_of() { printf '%s\n' "$1" >"$tmp/c.json"; ! "$init" check "$tmp/c.json" >"$tmp/said" 2>&1 && grep -q -e "$2" "$tmp/said"; }
printf '{"nomadinit": {%s}}' "$quick" >"$tmp/right.json"
check "check: a right one" "$init" check "$tmp/right.json"
check "check: an empty file" says_of '' "c.json' line 2 column 0"
check "check: cut JSON, with line and column" says_of '{"nomadinit": {' "c.json' line 2 column"
check "check: no object" says_of '[1]' 'is not a JSON object'
check "check: a key twice" says_of '{"region": "a", "region": "b"}' 'duplicate'
check "check: an option that is not there" says_of '{"nomadinit": {"state": {"lable": "x"}}}' 'nomadinit.state has no option "lable"'
check "check: a wrong type" says_of '{"nomadinit": {"ntp": "x"}}' 'nomadinit.ntp must be a list of strings'
check "check: out of bounds" says_of '{"nomadinit": {"watchdog_seconds": -1}}' 'must be from 0 to 3600, not -1'
check "check: no address" says_of '{"nomadinit": {"network": {"eth0": {"addresses": ["10.0.0.1"]}}}}' 'want addresses as 192.0.2.7/24'
check "check: no gateway" says_of '{"nomadinit": {"network": {"eth0": {"gateways": ["router"]}}}}' '"router" is not valid'
check "check: a host name with blanks" says_of '{"nomadinit": {"hostname": "a b"}}' 'want a host name'
check "check: an agent without a path" says_of '{"nomadinit": {"agent": {"command": ["nomad"]}}}' 'absolute path'
check "check: no such file" sh -c "! '$init' check '$tmp/no-such' 2>'$tmp/said' && grep -q no-such '$tmp/said'"
check "check --show: what the agent is given, later files override" sh -c "echo '{\"region\": \"a\", \"client\": {\"enabled\": true}}' >'$tmp/1' && echo '{\"region\": \"b\"}' >'$tmp/2' && '$init' check --show '$tmp/1' '$tmp/2' >'$tmp/said' && grep -q '\"region\": \"b\"' '$tmp/said' && grep -q drain_on_shutdown '$tmp/said'"

# ---- Network ------------------------------------------------------------------------------------------
net_config='{"nomadinit": {"network": {"eth0": {"dhcp": true}, "eth1": {"addresses": ["198.51.100.7/24", "2001:db8:1::7/64"], "gateways": ["198.51.100.1", "2001:db8:1::1"], "mtu": 1400}}, "dns": ["192.0.2.1"], "ntp": ["time.example.com"], "wait_network_seconds": 20, "state": {"label": "none"}, "agent": {"healthy_seconds": 2, "stop_seconds": 5}}}'
start "$net_config"
ip link add "ni$$" type veth peer name eth0 netns "$inner" 2>/dev/null || skip "network over a veth pair" "no veth here"
if [ -d "/sys/class/net/ni$$" ]; then
	# The server's end has a namespace of its own.
	unshare -n sleep 600 &
	server=$!
	pids="$pids $server"
	wait_for 10 sh -c "[ \"\$(readlink /proc/$server/ns/net)\" != \"\$(readlink /proc/self/ns/net)\" ]"
	ip link set "ni$$" netns "$server" name dhcp0
	on_server() { nsenter -t "$server" -n "$@"; }
	on_server ip link set lo up
	on_server ip addr add 192.0.2.1/24 dev dhcp0
	on_server ip addr add 2001:db8:2::1/64 dev dhcp0
	on_server ip link set dhcp0 up
	nsenter -t "$inner" -n ip link add eth1 type veth peer name other1
	nsenter -t "$server" -n dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --address=/time.example.com/192.0.2.1 --interface=dhcp0 --bind-interfaces --dhcp-authoritative \
		--dhcp-range=192.0.2.50,192.0.2.60,2m --dhcp-range=2001:db8:2::,ra-only --enable-ra \
		--dhcp-option=option6:dns-server,2001:db8:2::53 --dhcp-option=6,192.0.2.53 \
		--dhcp-option=15,example.com --dhcp-option=26,1450 --dhcp-option=12,fromdhcp --dhcp-option=121,10.9.0.0/16,192.0.2.9,0.0.0.0/0,192.0.2.1 \
		--leasefile-ro --log-facility=- --pid-file= --user=root >"$tmp/dnsmasq.log" 2>&1 &
	dnsmasq=$!
	pids="$pids $dnsmasq"
	nsenter -t "$server" -n perl "$top/test/nomadinit/time.pl" 192.0.2.1 >"$tmp/time.log" 2>&1 &
	time_server=$!
	pids="$pids $time_server"
	in_net() { nsenter -t "$inner" -n "$@"; }
	check "DHCP: an address" says "'eth0': 192.0.2.5[0-9]/24 by DHCP from 192.0.2.1" 60
	check "the agent waited for it" says "the agent is ready"
	check "DHCP: the default route" sh -c "nsenter -t $inner -n ip route | grep -q 'default via 192.0.2.1 dev eth0'"
	check "DHCP: a classless route" sh -c "nsenter -t $inner -n ip route | grep -q '10.9.0.0/16 via 192.0.2.9'"
	check "DHCP: the MTU" sh -c "nsenter -t $inner -n ip link show eth0 | grep -q 'mtu 1450'"
	check "name server: that of the configuration, then DHCP's, and its domain" sh -c "nsenter -t $inner -m -r -w /bin/cat /run/nomadinit/resolv.conf | tr '\n' ' ' | grep -q 'search example.com nameserver 192.0.2.1 nameserver 192.0.2.53'"
	check "DHCP: the host name" wait_for 20 sh -c "[ \"\$(nsenter -t $inner -u hostname)\" = fromdhcp ]"
	check "static: IPv4 and IPv6 addresses" sh -c "nsenter -t $inner -n ip addr show eth1 | tr '\n' ' ' | grep -q '198.51.100.7/24.*2001:db8:1::7/64'"
	check "static: the IPv4 gateway, behind DHCP's" sh -c "nsenter -t $inner -n ip route | grep -q 'default via 198.51.100.1 dev eth1.*metric'"
	check "static: the IPv6 gateway" sh -c "nsenter -t $inner -n ip -6 route | grep -q 'default via 2001:db8:1::1 dev eth1'"
	check "static: the MTU" sh -c "nsenter -t $inner -n ip link show eth1 | grep -q 'mtu 1400'"
	check "router advertisement: an IPv6 address" wait_for 40 sh -c "nsenter -t $inner -n ip -6 addr show eth0 | grep -q '2001:db8:2:'"
	check "router advertisement: its name server" wait_for 40 sh -c "nsenter -t $inner -m -r -w /bin/grep -q 2001:db8:2::53 /run/nomadinit/resolv.conf"
	check "time: a server, found by its name, that lies is not believed; that is said" says "no time server answers; going on asking" 60
	check "time: when it tells the truth it is" says "time from 'time.example.com': the clock was 3[56][0-9][0-9]\." 90
	end_pid "$time_server"
	# The cable is pulled and put back.
	on_server ip link set dhcp0 down
	check "a pulled cable is seen" says "'eth0': link is down"
	on_server ip link set dhcp0 up
	check "and the lease is asked for again" wait_for 60 sh -c "[ \$(grep -c 'DHCPACK' '$tmp/dnsmasq.log') -ge 2 ]"
	# A renewal well before the end: the lease is 2 min.
	if [ "${NOMAD_TEST_LONG:-}" = 1 ]; then
		n=$(grep -c DHCPACK "$tmp/dnsmasq.log")
		check "the lease is renewed in time" wait_for 100 sh -c "[ \$(grep -c DHCPACK '$tmp/dnsmasq.log') -gt $n ]"
	else
		skip "the lease is renewed in time" "takes a minute: NOMAD_TEST_LONG=1"
	fi
	end_pid "$dnsmasq"
	check "PID 1 stops with the network as it is" stop

	# A server that lies.
	start "$net_config"
	nsenter -t "$server" -n ip link add liar0 type veth peer name eth0 netns "$inner"
	on_server ip addr add 203.0.113.1/24 dev liar0
	on_server ip link set liar0 up
	nsenter -t "$server" -n perl "$top/test/nomadinit/liar.pl" liar0 >"$tmp/liar.log" 2>&1 &
	liar=$!
	pids="$pids $liar"
	check "a lying DHCP server is not believed" says "a DHCP answer is not used" 60
	check "nor its address set" sh -c "! nsenter -t $inner -n ip -4 addr show eth0 | grep -q inet"
	check "the agent starts without network after a while" says "the agent is ready" 60
	check "when it tells the truth at last it is" says "'eth0': 203.0.113.77/24 by DHCP" 120
	end_pid "$liar"
	check "PID 1 stops" stop
fi

# ---- Nothing is left behind -----------------------------------------------------------------------------
check "no process is left" sh -c "! pgrep -x nomadinit -a | grep -q '$root'"
end_pid "${server:-999999999}"
check "no helper of the test is left" sh -c "! pgrep -f -e 'liar.pl liar0' -e 'dnsmasq.*interface=dhcp0'"
check "no mount is left" sh -c "! grep -q '$root' /proc/self/mountinfo"
if grep -q -e 'ERROR: AddressSanitizer' -e 'runtime error' "$tmp"/console.*; then
	not_ok "the sanitizers have nothing to say" "$(grep -h -A 20 -e AddressSanitizer -e 'runtime error' "$tmp"/console.*)"
else
	ok "the sanitizers have nothing to say"
fi
