#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# `plan` says what a start would make, and makes nothing.
. test/lib.sh
. test/triton/lib-triton.sh
require_standin
make_keys
start_engine_if_root
start_site

plan() {
	job_json web triton "$1" >"$T/job.json"
	"$DRIVER" plan --config "$T/plugin.json" "$T/job.json" >"$T/plan" 2>&1
}
planned() { plan "$1" || { cat "$T/plan"; return 1; }; }
says() { file_has "$T/plan" "^group/task: $1" || { cat "$T/plan"; return 1; }; }
writes() { control GET /requests | jq '[.[] | select(.method != "GET")] | length'; }
LIMITS='{"limits": [{"by": "machines", "value": 25, "used": 3},
	{"by": "ram", "value": 1024, "used": 512, "check": "os", "os": "linux"}]}'

t_machine() {
	control POST /set "$LIMITS" >/dev/null
	planned "$(cloud_config '.fwenabled = true | .fwrules = {web: "from any to tag role = web allow tcp port 80"} |
		.tags = {role: "web"} | .cloud_api.networks = [{name: "My-Fabric-Network"}] |
		.cloud_api.user_script = "secret-script" | .cloud_api.image = {name: "base-64", most_recent: true} |
		.volumes = [{name: "data", mountpoint: "/d", size: 512}]')" &&
		says 'machine like web-group-task-' && says 'package sample-128M 1.0.0 [(]' &&
			says 'image base-64 9.9.9 [(]' &&
		says 'network My-Fabric-Network [(]' && says 'tag role = web' &&
			says 'metadata user-script, 13 bytes' &&
		says 'firewall on' && says 'request of [0-9]* bytes' &&
		says 'firewall rule new: FROM any TO tag "role" = "web" ALLOW tcp PORT 80' &&
		says 'volume data: new, 512 MiB' && says 'limit of the account: machines 25, used 3' &&
		says 'limit of the account: ram 1024 MiB, used 512, for os linux' &&
		! grep -q secret-script "$T/plan" && is "$(writes)" 0 && is "$(machines length)" 0
}
t_there() {
	control POST /rule '{"rule": "FROM any TO tag role = web ALLOW tcp PORT 80",
		"description": "Nomad FWRule for service: web [nomad-driver-triton]"}' >/dev/null
	planned "$(cloud_config '.fwenabled = true | .fwrules = {web: "FROM any TO tag role = web ALLOW tcp PORT 80"}')" &&
		says 'firewall rule shared with other tasks'
}
t_container() {
	[ -n "$ENGINE_SOCK" ] || { skip_this "$ENGINE_WHY"; return 0; }
	planned "$(docker_config)" && says 'container like web-group-task-' && says 'package sample-128M' &&
		says 'image busybox:test, which is pulled if it is missing' && is "$(containers length)" 0
}
t_refused() {
	! plan "$(cloud_config '.package.name = "none"')" && says "there is no active package 'none'" &&
		! plan "$(cloud_config '.volumes = [{name: "nowhere", mountpoint: "/d"}]')" && says ".*nowhere" &&
		is "$(writes)" 0
}
t_policy() {
	jq '.policy = {allow_package: ["other"]}' "$T/plugin.json" >"$T/p.json" && mv "$T/p.json" "$T/plugin.json"
	! plan "$(cloud_config)" && says ".*allow_package"; _r=$?
	driver_config; return $_r
}

run_test 'a plan names package, image, networks, rules, volumes and limits, and makes nothing' t_machine
run_test 'a plan tells a rule that exists from a new one' t_there
run_test 'a plan of a container' t_container
run_test 'what cannot be made is an error of the plan' t_refused
run_test 'a plan keeps to the policy of the node' t_policy
done_testing
