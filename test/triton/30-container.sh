#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A container's life: a real Docker Engine behind a front that behaves as
# sdc-docker, over TLS with client certificates; tags, rules and removal by the
# stand-in's CloudAPI.
. test/lib.sh
. test/triton/lib-triton.sh
require_standin
requires_root
make_keys
start_engine || skip_all "$ENGINE_WHY"
shards 6
start_site

none_left() { nothing_left && is "$(containers length)" 0; }
body() { control GET /requests | jq -r '[.[] | select(.method == "POST" and (.path | contains("/containers/create")))]
	| last | .body'; }
# A container that runs `sh -c TEXT`.
sh_config() { docker_config ".docker_api.cmd = [\"sh\", \"-c\", $(printf %s "$1" | jq -Rs .)] | ${2:-.}"; }

t_doctor() { "$DRIVER" doctor --config "$T/plugin.json" >"$T/doctor" 2>&1 && file_has "$T/doctor" '^ok +Docker API' ||
	{ cat "$T/doctor"; return 1; }; }
t_life() {
	run "$(docker_config)" && up && machines '.[0]' >"$T/machine" &&
	jq -e '.state == "running" and .tags.nomad_driver == "triton" and .tags["docker:label:nomad.task"] == .tags.nomad_task' "$T/machine" >/dev/null &&
	stop && none_left
}
t_code() { run "$(sh_config 'exit 43')"; finish && is $STATUS 43 && none_left; }
t_ok() { run "$(sh_config 'echo out; echo err >&2; exit 0')"; finish && is $STATUS 0 && is "$(cat "$T/out")" out &&
	file_has "$T/err" '^err$' && none_left; }
t_signal_death() { run "$(sh_config 'sh -c "kill -9 \$\$"; exit $?')"; finish && is $STATUS 137; }
# An engine on a busy machine drops what it has not yet read two seconds after the end: the container waits for it.
_has_log() { _engine "http://d/v1.24/containers/$1/logs?stdout=1&tail=1" | grep -aq 200000; }
t_many_lines() {
	run "$(sh_config 'trap "exit 0" TERM; seq 1 200000; while :; do sleep 0.1; done')" && up &&
	wait_for 120 'the engine has the log' _has_log "$(containers '.[0].Id' | tr -d '"')" && stop && is $STATUS 0 &&
	seq 1 200000 | cmp - "$T/out" && none_left
}
t_tty() { run "$(sh_config 'stty; echo there' '.docker_api.tty = true')"; finish && is $STATUS 0 &&
	file_has "$T/out" 'there' && none_left; }
t_broken_log() {
	control POST /faults '[{"api": "logs", "method": "GET", "path": "logs", "count": 6, "bytes": 3000,
		"kind": "cut"}]' >/dev/null
	run "$(sh_config 'i=0; while [ $i -lt 60 ]; do seq 1 100; seq 1 10 >&2; sleep 0.1; i=$((i + 1)); done')"; finish 120
	no_faults
	i=0; while [ $i -lt 60 ]; do seq 1 100; i=$((i + 1)); done | cmp - "$T/out" &&
		is "$(grep -c '^[0-9]*$' "$T/err")" 600
}
t_stop_graceful() { run "$(sh_config 'trap "echo bye; exit 5" TERM; echo ready; while :; do sleep 0.1; done')" && up &&
	wait_for 20 'it is ready' grep -q ready "$T/out" && stop && is $STATUS 5 && file_has "$T/out" bye &&
	none_left; }
t_stop_stubborn() { run "$(sh_config 'trap "" TERM; echo ready; while :; do sleep 0.1; done' '.stop_timeout = 2')" &&
	up &&
	wait_for 20 'it is ready' grep -q ready "$T/out" && stop && is $STATUS 137 && none_left; }
t_options() {
	run "$(docker_config '.tags = {role: "web"} | .metadata = {m: "1"} | .cns = ["web"] |
		.affinity = ["container!=x", "affinity:role==web"] |
		.docker_api += {entrypoint: ["sleep"], cmd: ["600"], openstdin: true, stdinonce: true,
		workingdir: "/tmp", hostname: "h", domain_name: "d",
		user: "0", labels: {colour: "red"}, public_network: "external", private_network: "fab",
			dns: ["1.1.1.1"], dns_search: ["x.y"],
		extra_hosts: ["db:10.0.0.5"], ports: {tcp: [80, 443], udp: [53], publish_all: true},
			log_config: {type: "json-file", config: {a: "b"}},
		restart_policy: "on-failure:3"} | .volumes = []')" && up && body >"$T/body" &&
			machines '.[0]' >"$T/machine" &&
	jq -e -f test/triton/all-options.jq "$T/body" >/dev/null &&
	jq -e '.tags.role == "web" and .tags["triton.cns.services"] == "web" and .metadata.m == "1"' "$T/machine" \
	>/dev/null &&
	is "$(rules '[.[] | select(.rule | contains("TO vm"))] | length')" 2 && stop && none_left &&
	is "$(rules '[.[] | select(.rule | contains("TO vm"))] | length')" 0 &&
	is "$(rules '[.[] | select(.rule | contains("sdc_docker"))] | length')" 2
	_r=$?; [ $_r -eq 0 ] || { cat "$T/body" "$T/machine"; }; return $_r
}
t_rules() {
	run "$(docker_config '.fwenabled = true | .fwrules = {w: "FROM any TO tag role = web ALLOW tcp PORT 80"} |
		.tags = {role: "web"}')" && up &&
	is "$(rules '[.[] | select(.description | contains("service: w "))] | length')" 1 && stop && none_left
}
t_protected() { run "$(docker_config '.deletion_protection = true')" && up && sleep 1 &&
	is "$(machines '.[0].deletion_protection')" true && stop && none_left; }
t_no_image() { run "$(docker_config '.docker_api.image.name = "none"')"; finish && [ $STATUS -ne 0 ] &&
	file_has "$T/err" "pull the image 'none:test': Error: image none:test not found" && none_left; }
t_digest() { # It is missing at first, and pulled; the second one finds it.
	_digest=$(_engine http://d/v1.24/images/busybox:test/json | jq -r .Id) &&
	for _n in 1 2; do
		control POST /forget '{}' >/dev/null &&
		run "$(docker_config ".docker_api.image = {name: \"busybox\", digest: \"$_digest\"}")" && up &&
		body >"$T/body" && is "$(jq -r .Image "$T/body")" "busybox@$_digest" &&
		is "$(containers '.[0].ImageID' | tr -d '"')" "$_digest" &&
		is "$(control GET /requests | jq '[.[] | select(.path | test("fromImage=busybox&tag=sha256"))] | length')" \
			$((2 - _n)) && stop && none_left || return 1
	done
	run "$(docker_config '.docker_api.image = {name: "busybox", digest: ("sha256:" + "0" * 64)}')"; finish
	[ $STATUS -ne 0 ] && file_has "$T/err" "pull the image 'busybox@sha256:0{64}': Error: image" && none_left
}
t_auto_pull() {
	run "$(docker_config '.docker_api.image.auto_pull = true | .docker_api.auth = {username: "u",
		password: "canary-password", server_address: "r"}')" && up && stop && none_left &&
	! grep -rq canary-password "$T/err" "$T/out" "$T/state"
}
t_deleted_outside() {
	run "$(docker_config)" && up && control POST "/machine/$(machines '.[0].id' | tr -d '"')/delete" >/dev/null &&
		finish && [ $STATUS -ne 0 ] &&
	{ [ $STATUS -eq 137 ] || file_has "$T/err" 'deleted, not by Nomad'; } && none_left
}
t_stopped_outside() { run "$(sh_config 'trap "exit 7" TERM; while :; do sleep 0.1; done')" && up && sleep 1 &&
	_engine -X POST "http://d/v1.24/containers/$(containers '.[0].Id' | tr -d '"')/stop?t=10" && finish &&
	is $STATUS 7 && none_left; }
t_strategy_deleted() { run "$(docker_config '.exit_strategy = "deleted"')" && up && stop && none_left; }
t_no_cert() {
	jq --arg d "$T/nowhere" '.docker_cert_path = $d' "$T/plugin.json" >"$T/other.json"
	job_json web triton "$(docker_config)" >"$T/job.json"
	! "$DRIVER" run --config "$T/other.json" "$T/job.json" >"$T/out" 2>"$T/err" </dev/null &&
		file_has "$T/err" 'cert.pem and key.pem'
}
t_insecure() {
	mkdir -p "$T/otherca" && cp "$KEYS/docker/cert.pem" "$KEYS/docker/key.pem" "$T/otherca/" &&
	openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -out "$T/otherca/ca.pem" -days 2 -subj /CN=other \
	2>/dev/null &&
	jq --arg d "$T/otherca" '.docker_cert_path = $d' "$T/plugin.json" >"$T/other.json" &&
	"$DRIVER" doctor --config "$T/other.json" >"$T/doctor" 2>&1; ! file_has "$T/doctor" '^ok +Docker API' \
	>/dev/null || return 1
	file_has "$T/doctor" 'certificate' && jq '.docker_insecure = true' "$T/other.json" >"$T/insecure.json" &&
	"$DRIVER" doctor --config "$T/insecure.json" >"$T/doctor" 2>&1; file_has "$T/doctor" '^ok +Docker API'
}
fault_survives() { no_faults; fault "$1"; run "$(docker_config)" && up && is "$(containers length)" 1 && no_faults &&
	stop && none_left; }

deal 'the Docker API is reached with a client certificate' t_doctor
deal 'the certificate of the Docker API is verified, unless docker_insecure says no' t_insecure
deal 'a container is made, tagged, stopped and removed' t_life
deal 'its exit code is told' t_code
deal 'stdout and stderr arrive' t_ok
deal 'death by a signal is told' t_signal_death
deal '200,000 lines arrive in order' t_many_lines
deal 'output of a terminal arrives' t_tty
deal 'a log that breaks goes on without loss or repetition' t_broken_log
deal 'stop: the signal, and the code of a graceful end' t_stop_graceful
deal 'stop: what ignores it is killed' t_stop_stubborn
deal 'each option is in the request; published rules go, the account'"'"'s stay' t_options
deal 'firewall rules' t_rules
deal 'deletion protection is lifted by who set it' t_protected
deal 'a missing image: the reason of the pull' t_no_image
deal 'an image by its digest: pulled if it is missing, and no other one' t_digest
deal 'auto_pull and auth; the password stays inside' t_auto_pull
deal 'deleted from outside' t_deleted_outside
deal 'stopped from outside: the code is its own' t_stopped_outside
deal 'exit_strategy deleted' t_strategy_deleted
deal 'a missing certificate is said' t_no_cert
all_dealt
