#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# What happens to tasks under a real agent when something breaks: the plugin in
# a start, all of it at an end, the data centre; signals; the example.
. test/lib.sh
. test/triton/lib-triton.sh
agent_setup
# The example's configuration with the addresses and keys of here, and what else the stand-in takes.
mine=$(sed -n '/^  config {/,/^  }/p' "$T/plugin.hcl" | sed '1d;$d' | grep -Ev \
	'^ *(url|account|key_file|docker_url|docker_cert_path) =')
configure() {
	RULES=$(cat "$T/policy") awk -v mine="$mine" '
		/^      [a-z_]* *=/ && index("\n" ENVIRON["RULES"], "\n" $1 " =") { next } { print }
		/^  config \{/ { print mine } /^    policy \{/ { print ENVIRON["RULES"] }' examples/triton/agent.hcl |
		sed "s|\"https://us-central-1.api.example.com\"|\"$CLOUD_URL\"|
	s|\"tcp://us-central-1.docker.example.com:2376\"|\"$DOCKER_URL\"|; s|/etc/nomad.d/triton.pem|$KEYS/rsa|; s|/etc/nomad.d/docker|$KEYS/docker|" >"$T/plugin.hcl"
}
: >"$T/policy"
configure

# Kill the plugin at moments of a start: Nomad starts again with the same id.
t_kill_in_start() {
	control POST /set '{"delays": {"provision": 4}}' >/dev/null
	group_json "slow$1" "vm=$(cloud_config \
		'.fwenabled = true | .fwrules = {a: "FROM any TO tag role ALLOW tcp PORT 1"} | .tags = {role: "1"} |
		.volumes = [{name: "data", mountpoint: "/d", size: 1}]')" >"$T/slow.json" && run_job "$T/slow.json" ||
		return 1
	sleep "$1"; kill -9 "$(plugin)"
	wait_alloc "$ALLOC_ID" running 120; _r=$?
	control POST /set '{"delays": {"provision": 0.3}}' >/dev/null
	[ $_r -eq 0 ] && is "$(machines length)" 1 &&
		is "$(rules '[.[] | select(.description | contains("[nomad"))] | length')" 1 && purge_job "slow$1" &&
		nothing_left 60
}
t_end_while_down() {
	needs_engine || return 0
	job_json ends triton "$(sh_config 'sleep 6; exit 23')" >"$T/ends.json" && run_job "$T/ends.json" &&
		wait_alloc "$ALLOC_ID" running 60 || return 1
	kill -9 "$AGENT_PID"; wait "$AGENT_PID" 2>/dev/null; kill -9 "$(plugin)"
	wait_for 30 'the container ended' _container_ended && sleep 1 && start_agent one "$T/plugins" "$T/plugin.hcl" &&
		wait_alloc "$ALLOC_ID" failed 90 &&
	is "$(task_exit_code "$ALLOC_ID" task)" 23 && purge_job ends && nothing_left 60
}
_container_ended() { [ "$(machines '[.[].state] | unique')" = '["stopped"]' ]; }
t_signal() {
	needs_engine || return 0
	job_json sig triton "$(sh_config 'trap "echo got hup" HUP; trap "exit 3" TERM; echo ready; while :; do sleep 0.1; done')" >"$T/sig.json" &&
	run_job "$T/sig.json" && wait_alloc "$ALLOC_ID" running 60 && wait_for 20 'it is ready' _logs_grow "$ALLOC_ID" \
	task 0 &&
	"$NOMAD" alloc signal -s SIGHUP "$ALLOC_ID" task >/dev/null && wait_for 20 'it got the signal' _logs_grow \
	"$ALLOC_ID" task 1 &&
	"$NOMAD" job stop -detach sig >/dev/null && wait_alloc "$ALLOC_ID" complete 60 &&
	is "$(task_exit_code "$ALLOC_ID" task)" 3 && purge_job sig && nothing_left 60
}
t_outage() {
	control POST /faults '[{"path": ".", "kind": "status", "status": 503, "count": 100000}]' >/dev/null
	wait_for 60 'the driver is unhealthy' _unhealthy; _r=$?
	no_faults
	[ $_r -eq 0 ] && wait_driver triton 90
}
_unhealthy() { node_driver triton | jq -e '.Healthy == false and (.HealthDescription | test("503"))' >/dev/null; }
t_destroy_in_outage() {
	group_json out "vm=$(cloud_config)" >"$T/outj.json" && run_job "$T/outj.json" &&
		wait_alloc "$ALLOC_ID" running 60 && _id=$(machines '.[0].id' | tr -d '"') &&
	fault '{"method": "DELETE", "path": ".", "kind": "status", "status": 403, "count": 100000}' &&
	"$NOMAD" job stop -detach out >/dev/null &&
	wait_alloc "$ALLOC_ID" complete 200 && no_faults && nothing_left 120 && purge_job out
}
# What the example's configuration does not allow is refused; with the lines of the message it runs.
t_policy() {
	job_json policy triton "$(cloud_config '.package.name = "sample-1G" | .fwenabled = true |
		.fwrules = {ssh: "FROM any TO all vms ALLOW tcp PORT 22"} |
		.cloud_api.networks = [{name: "external"}]')" \
		service >"$T/policy.json" &&
		run_by_message "$T/policy.json" task triton allow_fwrules allow_network &&
		wait_alloc "$ALLOC_ID" running 90 &&
		is "$(rules '[.[] | select(.description | contains("[nomad"))] | length')" 1 && purge_job policy &&
		nothing_left 60 || return 1
	# And at most so many instances.
	sed -i 's/max_instances = 20/max_instances = 1/' "$T/plugin.hcl" && again || return 1
	group_json two "a=$(cloud_config)" "b=$(cloud_config)" >"$T/two.json" && run_job "$T/two.json" &&
		wait_for 60 'one of them is refused' _too_many && is "$(machines 'length < 2')" true &&
		purge_job two && nothing_left 60 && configure && again
}
again() { stop_agent && start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver triton; }
_too_many() { { task_events "$ALLOC_ID" a; task_events "$ALLOC_ID" b; } | grep -q 'raise max_instances'; }
t_hello() {
	run_job examples/triton/hello.nomad.hcl && wait_alloc "$ALLOC_ID" running 90 && is "$(machines length)" 1 &&
	task_events "$ALLOC_ID" machine | grep -q 'runs at' && purge_job hello-triton && nothing_left 60
}
t_example() {
	needs_engine || return 0
	run_job examples/triton/web.nomad.hcl && wait_alloc "$ALLOC_ID" running 90 && is "$(machines length)" 2 &&
	is "$(rules '[.[] | select(.description | contains("service: sql "))] | length')" 1 &&
	wait_for 30 'the service has an address' _has_service && purge_job web && nothing_left 60
}
# A job of the Go driver, and one of what Terraform says.
t_old_driver() {
	needs_engine || return 0
	run_job examples/triton/old-driver.nomad.hcl &&
		wait_for 120 'three instances run' _running 3 &&
		is "$(machines '[.[] | select(.tags["triton.cns.services"] == "shell_example")] | length')" 2 &&
		is "$(rules '[.[] | select(.description | contains("service: shell "))] | length')" 1 &&
		purge_job old-driver && nothing_left 90
}
t_terraform() {
	run_job examples/triton/terraform.nomad.hcl && wait_for 90 'two instances run' _running 2 &&
		is "$(machines '[.[].metadata["user-script"] | test("^#!/bin/sh\necho instance [01] >")] | all')" true &&
		is "$(machines '[.[].mounts[0].mountpoint] | unique')" '["/data"]' &&
		is "$(machines '[.[] | .affinity == ["role!=~web"] and .metadata.colour == "blue" and .firewall_enabled] | all')" \
			true && purge_job terraform && wait_for 60 'no instance is left' _running 0 &&
		is "$(control GET /state | jq -r '.volumes[0].name')" web-data && control POST /reset '{}' >/dev/null
}
_running() { [ "$(machines '[.[] | select(.state == "running")] | length')" = "$1" ]; }
_has_service() { api GET /v1/service/web | jq -e '.[0].Address == "127.0.0.1"' >/dev/null 2>&1; }

run_test 'the agent finds the driver healthy' t_start
for _at in 1 3; do run_test "kill -9 of the plugin $_at s into a start: one instance" t_kill_in_start $_at; done
run_test 'an end while all was down: its true code' t_end_while_down
run_test 'signals and a graceful end of a container' t_signal
run_test 'the policy: refused, and run with the lines of the message; the maximum of instances' t_policy
run_test 'an outage makes the driver unhealthy, and it recovers by itself' t_outage
run_test 'what cannot be removed now is removed later' t_destroy_in_outage
run_test 'the first example runs' t_hello
run_test 'the example runs' t_example
run_test 'a job of the Go driver runs unchanged' t_old_driver
run_test 'what a Terraform configuration says runs as a job' t_terraform
run_test 'the agent stops, and the plugin with it' t_end
done_testing
