#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Each fault of the network and of CloudAPI, at each step of a machine's life:
# one instance or none, nothing left, and a true outcome.
. test/lib.sh
. test/triton/lib-triton.sh
require_standin
make_keys
shards 10
start_site
jq '.request_timeout = 2' "$T/plugin.json" >"$T/plugin2.json" && mv "$T/plugin2.json" "$T/plugin.json"

CONFIG=$(cloud_config '.fwenabled = true | .fwrules = {web: "FROM any TO tag role = web ALLOW tcp PORT 80"} |
	.tags = {role: "web"} |
	.volumes = [{name: "data", mountpoint: "/data", size: 1024}] | .cloud_api.networks = [{name: "external"}] |
	.deletion_protection = true')

# begin CONFIG [FAULT]: with an empty data centre
begin() {
	end_last
	control POST /reset '{}' >/dev/null && rm -rf "$T/state" || return 1
	[ -z "${2:-}" ] || fault "$2" || return 1
	run "$1"
}
# Up with one instance and one rule, stopped, nothing left.
survives() {
	begin "$CONFIG" "$1" && up && is "$(machines length)" 1 && is "$(rules length)" 1 && no_faults &&
	stop && is "$STATUS" 0 && nothing_left
}
fails() {
	begin "$CONFIG" "$1"; finish && no_faults && [ $STATUS -ne 0 ] && file_has "$T/err" "$2" && nothing_left
}
# The fault strikes while it ends.
ends() {
	no_faults
	begin "$CONFIG" && up && fault "$1" && stop && no_faults && nothing_left 60
}

for kind in '"status", "status": 503, "retry_after": 1' '"status", "status": 429, "retry_after": 1' \
	'"status", "status": 500' \
	'"html"' '"reset"' '"midbody"' '"hang", "seconds": 3'; do
	for path in packages images networks 'machines\\?name' fwrules 'machines/[0-9a-f-]+$' volumes; do
		deal "start: $kind on GET $path" survives "{\"method\": \"GET\", \"path\": \"$path\", \"kind\": $kind}"
	done
done
deal 'start: truncated JSON is an error that leaves nothing' fails \
	'{"method": "GET", "path": "packages", "kind": "truncated"}' 'no JSON'
for path in machines fwrules volumes; do
	for kind in '"lost"' '"reset"' '"status", "status": 503, "retry_after": 1' '"status", "status": 429' \
		'"status", "status": 500' '"hang", "seconds": 3'; do
		deal "start: $kind on POST $path" survives \
			"{\"method\": \"POST\", \"path\": \"/$path\$\", \"kind\": $kind}"
	done
done
deal 'start: a create that never succeeds leaves nothing' fails \
	'{"method": "POST", "path": "/machines$", "kind": "reset", "count": 50}' 'POST'
deal 'start: rules that cannot be made leave nothing' fails \
	'{"method": "POST", "path": "/fwrules$", "kind": "reset", "count": 50}' 'firewall rule'
for kind in '"status", "status": 503' '"status", "status": 500' '"html"' '"reset"' '"hang", "seconds": 3' '"lost"'; do
	for what in 'POST action=stop' 'POST action=disable_deletion' 'DELETE machines' 'DELETE fwrules' \
		'DELETE volumes' 'GET machines'; do
		deal "end: $kind on $what" ends \
			"{\"method\": \"${what% *}\", \"path\": \"${what#* }\", \"kind\": $kind, \"count\": 2}"
	done
done

# The answer of a create is lost, and the machine fails: no list without "tombstone" has it. Found while it is being
# provisioned it is the start that fails; found later it is removed and another one made.
t_lost_and_failed() {
	end_last; control POST /reset '{}' >/dev/null && rm -rf "$T/state" || return 1
	control POST /set '{"fail_provision": 1}' >/dev/null
	fault '{"method": "POST", "path": "/machines$", "kind": "lost"}' && run "$CONFIG" && up >/dev/null; _r=$?
	control POST /set '{"fail_provision": 0}' >/dev/null
	no_faults
	if [ $_r -eq 0 ]; then
		is "$(machines length)" 1 && stop
	else
		finish
		file_has "$T/err" 'its state is failed'
	fi && nothing_left
}
deal 'start: a machine that fails after a lost answer does not stay' t_lost_and_failed
t_redirect_unhealthy() {
	control POST /reset '{}' >/dev/null; no_faults; control POST /forget '{}' >/dev/null
	fault "{\"path\": \".\", \"kind\": \"status\", \"status\": 302, \"location\": \"$CLOUD_URL/elsewhere?secret\",
		\"count\": 1000}"
	! "$DRIVER" doctor --config "$T/plugin.json" >"$T/doctor" 2>&1 &&
		file_has "$T/doctor" "redirected to '$CLOUD_URL/elsewhere'," &&
	! grep secret "$T/doctor" && no_faults &&
	is "$(control GET /requests | jq '[.[] | select(.path | contains("elsewhere"))] | length')" 0
}
deal 'a redirect makes the node unhealthy, and is not followed' t_redirect_unhealthy
t_redirect_stop() {
	no_faults
	begin "$CONFIG" && up && fault '{"method": "POST", "path": "action=stop", "kind": "status", "status": 302,
		"location": "/", "count": 9}' &&
	kill -TERM "$RUN_PID" && wait_for 30 'it is said' grep -q 'stop the instance.*redirected' "$T/err" &&
	is "$(machines '.[0].state')" '"running"' &&
	no_faults && stop && nothing_left
}
deal 'a stop that is redirected is not accepted' t_redirect_stop
t_outage() {
	no_faults
	begin "$CONFIG" && up && fault '{"path": ".", "kind": "status", "status": 503, "count": 1000}' && sleep 5 &&
	! pid_gone $RUN_PID && is "$(machines length)" 1 && no_faults && stop && nothing_left
}
deal 'an outage is no end' t_outage
t_refused_rule() { # and the next task with rules is not held up
	[ -x "$BUILD/test/triton-steps" ] || { echo 'triton-steps is not built'; return 1; }
	end_last; control POST /reset '{}' >/dev/null; rm -rf "$T/state" "$T/task"; mkdir "$T/task"
		printf %s "$CONFIG" >"$T/config.json"
	fault '{"method": "POST", "path": "/fwrules$", "kind": "status", "status": 422}' &&
	timeout 200 "$BUILD/test/triton-steps" "$T/plugin.json" "$T/config.json" "$T/task" late start up stop destroy \
	>"$T/out" 2>"$T/err" </dev/null ||
		{ cat "$T/out" "$T/err"; return 1; }
	nothing_left
}
deal 'a rule that is refused: said, and no lock stays' t_refused_rule
t_slow() {
	no_faults
	control POST /set '{"delays": {"tags": 2, "delete": 3, "stop": 2}}' >/dev/null
	begin "$CONFIG" && up && stop; _r=$?
	control POST /set '{"delays": {"tags": 0.1, "delete": 0.2, "stop": 0.2}}' >/dev/null
	[ $_r -eq 0 ] && nothing_left
}
deal 'a slow data centre is waited for' t_slow
all_dealt
