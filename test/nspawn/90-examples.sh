#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# examples/nspawn/*.nomad.hcl that run container images, under an agent: each by its effect. They run word by word:
# registries.conf makes a registry of the test the mirror of registry.example.org.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
requires skopeo python3 curl tar
require_group_network "$DRIVER"
[ -e /etc/containers/registries.conf ] || skip_all 'no /etc/containers/registries.conf'
case $(uname -m) in x86_64) ARCH=amd64 ;; aarch64) ARCH=arm64 ;; *) ARCH=$(uname -m) ;; esac
export ARCH
examples=examples/nspawn

# ---- Images
pack() { tar -C "$1" --numeric-owner --owner=0 --group=0 -cf "$2" .; }
pack "$ROOT" "$T/base.tar"
image() {	# NAME:TAG CONFIG [SCRIPT]: busybox, with the script as its entrypoint
	rm -rf "$T/top" && mkdir -p "$T/top/etc" "$T/top/var/lib/postgresql/data" || return 1
	{ cat "$ROOT/etc/passwd" && echo 'postgres:x:999:999:postgres:/:/bin/sh'; } >"$T/top/etc/passwd"
	printf '#!/bin/sh\n%s\n' "${3:-}" >"$T/top/entrypoint" && chmod 755 "$T/top/entrypoint" &&
		pack "$T/top" "$T/top.tar" && test/nspawn/oci-layout "$T/oci" "$1" "$2" "$T/base.tar" "$T/top.tar"
}
entrypoint='{"Entrypoint":["/entrypoint"]}'
image busybox:1.36 '{"Cmd":["sh"]}' >/dev/null
image httpd:1.4 '{"Entrypoint":["httpd","-f"]}' >/dev/null
image postgres:16 "$entrypoint" 'cd "$PGDATA" && echo $(($(cat starts 2>/dev/null) + 1)) >starts || exit 1
	trap "echo yes >clean; exit 0" INT; httpd -p 5432 -h . && while :; do sleep 0.2; done' >/dev/null
image proxy:2 "$entrypoint" 'printf "#!/bin/sh\nexec nc %s %s\n" "${4%:*}" "${4#*:}" >/tmp/to && chmod +x /tmp/to &&
	exec nc -ll -p "$2" -e /tmp/to' >/dev/null
image node-exporter:1.5 "$entrypoint" 'echo "uids $(tr -s " " </proc/self/uid_map)"; grep CapEff /proc/self/status
	echo "shadow $(grep -c . "$2/etc/shadow")"; ip -o link show only-host
	touch "$2/tmp/x" 2>&1; echo up; exec sleep 1000' >/dev/null
image app:3 "$entrypoint" 'heap=${1#-Xmx}; dd if=/dev/zero of=/dev/null bs="${heap%m}M" count=1 &&
	echo "used $heap"' >/dev/null
mine=$(image tool:amd "$entrypoint" "echo \"tool 5 for $ARCH, \$1\"")
other=$(ARCH=s390x image tool:s390x "$entrypoint" 'echo "tool 5 for another CPU"')
digest=$(test/nspawn/oci-layout "$T/oci" tool:5 index "$other" "$mine") || skip_all 'no images'
rm -rf "$T/top" "$T/top.tar" "$T/base.tar"
port=$(_free_ports 1)
test/nspawn/registry "$T/oci" "$port" 2>"$T/requests" &
cleanup "kill $!"
wait_for 20 'the registry' curl -s -o /dev/null "127.0.0.1:$port/v2/" || skip_all 'no registry'
printf '[[registry]]\nprefix = "registry.example.org"\nlocation = "127.0.0.1:%s"\ninsecure = true\n' "$port" \
	>"$T/registries.conf"
mount --bind "$T/registries.conf" /etc/containers/registries.conf || skip_all 'no mounts'

# ---- The node, with what the comments of the examples ask for
echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6
ip link add only-host type veth peer name only-peer && ip link set only-peer up &&
	ip addr add 2001:db8::1/64 dev only-host nodad && ip link set only-host up
mkdir "$T/volume" && chown 999 "$T/volume"
: >"$T/policy"
configure() {
	cat >"$T/plugin.hcl" <<-CONFIG
	plugin "nomad-driver-nspawn" {
	  config {
	    state_dir = "$T/state"
	    network_pool6 = "fd5d:8a3c:17e2::/64"
	    policy {
	$(cat "$T/policy")
	    }
	  }
	}
	client {
	  host_volume "postgres" {
	    path = "$T/volume"
	  }
	  host_network "ipv6" {
	    cidr = "2001:db8::/64"
	  }
	}
	CONFIG
}
configure
t_start() { start_agent one "$T/plugins" "$T/plugin.hcl" "$T/cni.hcl" && wait_driver nspawn; }
run_test 'the driver is healthy' t_start
logs() { alloc_logs "$ALLOC_ID" "$1" 2>/dev/null | grep -Eq "$2"; }
said() { wait_for 30 "a line of $1: $2" logs "$1" "$2" || { alloc_logs "$ALLOC_ID" "$1"; return 1; }; }
run() { run_job "$examples/$1.nomad.hcl" && wait_alloc "$ALLOC_ID" "${2:-running}" 120; }
# The address of a service, with its port.
service() { api GET "/v1/service/$1" 2>/dev/null | jq -r '.[0] |
	(if .Address | contains(":") then "[\(.Address)]" else .Address end) + ":\(.Port)"'; }
page() { [ "$(curl -g -s -m 5 "http://$(service "$1")/")" = "$2" ]; }

# What a failed one leaves would make all others fail.
example() { run_test "$@"; purge_job "$JOB_ID" >/dev/null 2>&1; }

ex() { "$NOMAD" alloc exec -i=false -t=false "$ALLOC_ID" "$@"; }

# ---- A server with docker's options
t_container() {
	run container && wait_for 60 'the page' page container 'served by container.web[0]' &&
		like "$(ex cat /etc/hosts)" '^10.0.0.5 db$' && is "$(ex cat /proc/sys/net/core/somaxconn)" 1024 &&
		like "$(ex df -k /var/cache)" ' 16384 ' &&
		like "$(ex cat /proc/self/limits)" 'open files +1024 +4096' &&
		like "$(ex df -m / | tail -n 1)" '^overlay +(4[89]|5[01])[0-9] ' &&
		like "$(ex touch /srv/www/x 2>&1)" 'Read-only'
}
example 'container: the server has its entrypoint, its arguments, its directory, its port and its options' t_container

# ---- A database with a volume and a user
t_database() {
	run database && wait_for 30 'the first start' grep -qx 1 "$T/volume/starts" &&
		is "$(curl -s -m 5 http://127.0.0.1:5432/starts)" 1 &&
		like "$(ex df -k /dev/shm)" ' 131072 ' &&
		"$NOMAD" job stop -detach database >/dev/null && wait_alloc "$ALLOC_ID" complete &&
		is "$(stat -c %u:%U "$T/volume/starts" | cut -d: -f1)" 999 && is "$(cat "$T/volume/clean")" yes
}
example 'database: its files belong to its uid, and it ends by its own signal' t_database
t_again() { run database && wait_for 30 'the second start' grep -qx 2 "$T/volume/starts"; }
example 'database: the next allocation has its data' t_again

# ---- A sidecar
netns() { "$NOMAD" alloc exec -i=false -t=false -task "$1" "$ALLOC_ID" readlink /proc/self/ns/net; }
t_sidecar() {
	run sidecar && wait_for 60 'the page' page sidecar 'served behind a proxy' &&
		is "$(netns proxy)" "$(netns server)" &&
		address=$(api GET "/v1/allocation/$ALLOC_ID" | jq -r '.NetworkStatus.Address') &&
		is "$(curl -s -m 5 "http://$address:8000/")" 'served behind a proxy' &&
		{ ! curl -s -m 5 "http://$address:8080/"; }
	r=$?
	[ $r -eq 0 ] || no_group_network proxy
	return $r
}
example 'sidecar: reaches its server by 127.0.0.1, and others only by it' t_sidecar
_skip_all=

# ---- Cron
child() { ALLOC_ID=$(api GET '/v1/allocations' | jq -er 'map(select(.JobID | startswith("cron/")))[0].ID'); }
t_cron() {
	submit_job $examples/cron.nomad.hcl && "$NOMAD" job periodic force -detach cron >/dev/null &&
		wait_for 30 'an allocation' child && wait_alloc "$ALLOC_ID" failed 120 &&
		said look '^web does not answer$' &&
		is "$(task_exit_code "$ALLOC_ID" look)" 2 &&
		is "$(task_state "$ALLOC_ID" look | jq .Restarts)" 0
	r=$?
	"$NOMAD" job stop -detach -purge "$(api GET "/v1/allocation/$ALLOC_ID" | jq -r .JobID)" >/dev/null && return $r
}
example 'cron: a batch ends with its code' t_cron

# ---- A script
t_script() {
	"$NOMAD" var put nomad/jobs/script password=xyzzy-plugh >/dev/null && run script complete &&
		said report '^report of dc1 by script$' && said report '^the file has 11 bytes, the variable 11$' &&
		is "$(grep -rlF xyzzy-plugh "$T/state" "$AGENT_DIR/agent.log")" ''
}
example 'script: its configuration and its secret, and nobody else has that' t_script

# ---- IPv6
t_ipv6() {
	run ipv6 && wait_for 60 'the page' page ipv6 'served over IPv6' && like "$(service ipv6)" "^.2001:db8::1.:"
}
example 'ipv6: the service is known by its IPv6 address, and answers there' t_ipv6

# ---- Memory
oversubscription() { "$NOMAD" operator scheduler set-config "-memory-oversubscription=$1" >/dev/null; }
killed() { like "$(task_events "$ALLOC_ID" app)" 'OOM|[Oo]ut of memory' && wait_alloc "$ALLOC_ID" failed; }
memory() { run_job $examples/memory.nomad.hcl -var "heap=$1" && wait_alloc "$ALLOC_ID" "$2" 120; }
t_memory() { oversubscription true && memory 96m complete && said app '^used 96m$'; }
example 'memory: more than memory and less than memory_max is there' t_memory
t_above() { memory 300m failed && killed; }
example 'memory: more than memory_max is killed, and an event says so' t_above
t_without() { oversubscription false && memory 96m failed && killed; }
example 'memory: without oversubscription memory is the limit' t_without

# ---- A digest
t_pinned() {
	run_job $examples/pinned.nomad.hcl -var "digest=$digest" && wait_alloc "$ALLOC_ID" complete 120 &&
		said tool "^tool 5 for $ARCH, --version\$" && file_has "$T/requests" "tool/manifests/$digest" &&
		{ ! grep -q "tool/manifests/$other" "$T/requests"; }
}
example 'pinned: the part of the index for this CPU' t_pinned

# ---- An agent with power over the node
t_power() {
	run_by_message $examples/node-agent.nomad.hcl exporter nspawn allow_bind_read_only allow_capability \
		allow_host_users && wait_alloc "$ALLOC_ID" running 120 && said exporter '^up$' &&
		said exporter '^uids +0 0 4294967295' && said exporter "^shadow $(grep -c . /etc/shadow)$" &&
		said exporter ' only-host[@:]' && said exporter 'Read-only file system' &&
		caps=$(alloc_logs "$ALLOC_ID" exporter | sed -n 's/^CapEff:[[:space:]]*/0x/p') &&
		is $(((caps >> 19) & 1)) 1
}
example 'node-agent: refused without the lines of its comment, and sees the node with them' t_power
t_lines() {
	for rule in $(sed 's/ =.*//' "$T/policy"); do
		file_has $examples/node-agent.nomad.hcl "^#  *$rule *= " || return 1
	done
}
run_test 'node-agent: the comment names them' t_lines
t_end() { stop_agent && is "$(ls "$T/state/tasks" "$T/state/layers" | grep -v ':$' | grep .)" ''; }
run_test 'nothing is left' t_end
done_testing
