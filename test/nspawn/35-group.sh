#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A group with a network of its own (mode bridge): a web server and a
# sidecar in one namespace, with users of their own, a dynamic port, a host
# volume, a template and a script check.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
require_group_network "$DRIVER"
requires curl
mkdir "$T/volume" && echo 'from the volume' >"$T/volume/file"
cat >"$T/plugin.hcl" <<CONFIG
plugin "nomad-driver-nspawn" {
  config {
    state_dir = "$T/state"
    policy {
      mode = "open"
    }
  }
}
client {
  host_volume "data" {
    path = "$T/volume"
  }
}
CONFIG
# Nomad runs script checks for services of Consul only, which Debian has not: a stand-in that listens.
consul_port=$(_free_ports 1)
test/nspawn/consul "$consul_port" >"$T/consul.log" &
cleanup "kill $!"
cat >>"$T/plugin.hcl" <<CONFIG
consul {
  address = "127.0.0.1:$consul_port"
}
client {
  options = {
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean,vault"
  }
}
CONFIG
script='test "$NOMAD_TASK_NAME" = web && echo "saw: $(wget -q -O - http://127.0.0.1/), as $(id -u)"'
web=$(sh_config 'ln -s /data/file /local/www/file; exec httpd -f -p 80 -h /local/www' '{"network_veth":true}')
side=$(sh_config 'trap "exit 0" TERM; ip -o link; while :; do sleep 0.2; done' '{"network_veth":true}')
jq -n --argjson web "$web" --argjson side "$side" -f test/nspawn/group.jq >"$T/group.json"
# A group's services have one provider: the same group again, with Consul's.
jq --arg script "$script" -f test/nspawn/script-checks.jq "$T/group.json" >"$T/script.json"
ex() { "$NOMAD" alloc exec -i=false -t=false -task side "$ALLOC_ID" "$@"; }
t_start() { start_agent one "$T/plugins" "$T/plugin.hcl" "$T/cni.hcl" && wait_driver nspawn; }
t_run() { run_job "$T/group.json" && wait_alloc "$ALLOC_ID" running 90; }
inside() { ex /bin/sh -c "printf 'GET $1 HTTP/1.0\r\n\r\n' | nc 127.0.0.1 80" | grep -q "$2"; }
t_inside() { wait_for 20 'the page' inside / 'page of web'; }
t_volume() { wait_for 20 'the file' inside /file 'from the volume'; }
t_users() { like "$(ex cat /proc/self/uid_map)" '^ *0 +[1-9]' ; }
t_one() { is "$(ex readlink /proc/self/ns/net)" \
	"$("$NOMAD" alloc exec -i=false -t=false -task web "$ALLOC_ID" readlink /proc/self/ns/net)"; }
t_link() { like "$(ex ip -o link)" ' eth0@' && unlike "$(ex ip -o link)" host0; }
t_port() { port=$(api GET "/v1/allocation/$ALLOC_ID" | jq '.AllocatedResources.Shared.Ports[0].Value') &&
	address=$(api GET "/v1/allocation/$ALLOC_ID" | jq -r '.NetworkStatus.Address') &&
	is "$(curl -s -m 5 "http://$address:80/")" 'page of web'; }
t_hosts() { address=$(api GET "/v1/allocation/$ALLOC_ID" | jq -r '.NetworkStatus.Address') &&
	like "$(ex cat /etc/hosts)" "^$address "; }
ended() { alloc_status "$ALLOC_ID" | grep -Eqx 'complete|failed'; }
t_none() {
	job_json none nspawn "$(sh_config 'ip -o link | wc -l; ip -o link')" |
		jq '.Job.TaskGroups[0].Networks = [{ Mode: "none" }]' >"$T/none.json" && run_job "$T/none.json" &&
		wait_for 60 'an end' ended || return 1
	if task_events "$ALLOC_ID" task | grep -q 'pre-run hook "network" failed'; then
		skip_this 'this agent fails to make a network without links'
		return 0
	fi
	wait_alloc "$ALLOC_ID" complete && wait_for 20 'the log' sh -c "'$NOMAD' alloc logs $ALLOC_ID task | grep -qx 1"
}
t_script() {
	run_job "$T/script.json" && wait_alloc "$ALLOC_ID" running 90 &&
		wait_for 60 'the script check passes' grep -Eq \
		'^update [^ ]+ .*saw: page of web, as 0.*"passing"|^update [^ ]+ .*"passing".*saw: page of web, as 0' \
		"$T/consul.log" &&
		wait_for 60 'the other one is critical' grep -Eq '^update [^ ]+ .*"critical"' "$T/consul.log" ||
		{ tail -n 20 "$T/consul.log"; return 1; }
}
t_dns() { is "$(ex cat /etc/resolv.conf)" \
	"$(printf 'nameserver 192.0.2.53\nsearch a.example b.example\noptions ndots:2')"; }
t_dynamic() {
	[ "$(id -u)" -eq 0 ] && host=$(api GET "/v1/allocation/$ALLOC_ID" |
		jq -r '.AllocatedResources.Shared.Ports[0].HostIP') &&
		port=$(api GET "/v1/allocation/$ALLOC_ID" | jq '.AllocatedResources.Shared.Ports[0].Value') &&
		wait_for 20 'the page' served "http://$host:$port/"
}
served() { [ "$(curl -s -m 5 "$1")" = 'page of web' ]; }
checks() { api GET "/v1/client/allocation/$ALLOC_ID/checks" |
	jq -e '[.[] | select(.Status == "success")] | length == 2' >/dev/null; }
t_checks() { wait_for 60 'both checks succeed' checks ||
	{ api GET "/v1/client/allocation/$ALLOC_ID/checks"; return 1; }; }
t_stop() { "$NOMAD" job stop -detach group >/dev/null && wait_alloc "$ALLOC_ID" complete; }
t_end() { stop_agent && [ -z "$(ls "$T/state/tasks")" ]; }
run_test 'the driver is healthy' t_start
run_test 'a group with a bridge network runs' t_run
[ "$(alloc_status "$ALLOC_ID")" = running ] || no_group_network web
[ "$(alloc_status "$ALLOC_ID" 2>/dev/null)" = running ] || skip_tests 'the group does not run'
run_test 'the sidecar reaches the server by loopback, on port 80' t_inside
run_test 'host volume' t_volume
run_test 'with users of their own' t_users
run_test 'both are in one network namespace' t_one
run_test 'which is that of Nomad' t_link
run_test 'the server is reached from outside' t_port
run_test 'its own name has the address of the group' t_hosts
run_test 'the dynamic port leads to it' t_dynamic
run_test 'checks of the service' t_checks
run_test 'dns' t_dns
run_test 'the end of the group' t_stop
run_test 'script checks, which are run in the task' t_script
t_stop_script() { "$NOMAD" job stop -detach script >/dev/null && wait_alloc "$ALLOC_ID" complete; }
run_test 'the end of the other group' t_stop_script
run_test 'network mode none' t_none
run_test 'nothing is left' t_end
done_testing
