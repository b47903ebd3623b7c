#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Each fault of the network and of CloudAPI, at each step of a machine's life:
# one instance or none, nothing left, and a true outcome.
. test/lib.sh
. test/triton/lib-triton.sh
require_standin
# Most of the time is waiting: the cases are dealt out to several processes,
# each with a stand-in of its own.  ONLY=PATTERN runs those that match.
SHARDS=6
if [ -z "${SHARD:-}" ] && [ -z "${ONLY:-}" ]; then
	_i=0
	while [ $_i -lt $SHARDS ]; do
		SHARD=$_i "$0" >"$T/shard-$_i" 2>&1 &
		_i=$((_i + 1))
	done
	wait
	cat "$T"/shard-* | awk '/^(not )?ok / { n++; sub(/ok [0-9]+/, "ok " n); bad += /^not/ } !/^1\.\./ { print }
		END { print "1.." n; exit bad || n < 90 }'
	exit
fi
make_keys
start_standin || { cat "$T/standin/log" "$T/keys.log"; exit 1; }
driver_config
jq '.request_timeout = 2' "$T/plugin.json" >"$T/plugin2.json" && mv "$T/plugin2.json" "$T/plugin.json"

CONFIG=$(cloud_config '.fwenabled = true | .fwrules = {web: "FROM any TO tag role = web ALLOW tcp PORT 80"} | .tags = {role: "web"} |
	.volumes = [{name: "data", mountpoint: "/data", size: 1024}] | .cloud_api.networks = [{name: "external"}] |
	.deletion_protection = true')

run() {
	[ -z "${RUN_PID:-}" ] || kill -9 $RUN_PID 2>/dev/null
	control POST /reset '{}' >/dev/null
	rm -rf "$T/state"
	[ -z "${2:-}" ] || fault "$2"
	job_json web triton "$1" >"$T/job.json"
	"$DRIVER" run --config "$T/plugin.json" "$T/job.json" >"$T/out" 2>"$T/err" </dev/null &
	RUN_PID=$!
}
finish() {
	wait_for "${1:-120}" 'the task has ended' pid_gone $RUN_PID || { cat "$T/err"; kill -9 $RUN_PID; return 1; }
	wait $RUN_PID
	STATUS=$?
	RUN_PID=	# the number may soon be somebody else's
}
_is_up() { grep -q '^address:' "$T/err" || pid_gone $RUN_PID; }
up() { wait_for 120 'the task is up' _is_up && grep -q '^address:' "$T/err" || {
	echo 'the task did not come up:'; cat "$T/err"; return 1; }; }
# Up with one instance and one rule, stopped, nothing left.
survives() {
	run "$CONFIG" "$1" && up && is "$(machines length)" 1 && is "$(rules length)" 1 && no_faults &&
	kill -TERM $RUN_PID && finish && is "$STATUS" 0 && nothing_left
}
fails() {
	run "$CONFIG" "$1"; finish && no_faults && [ $STATUS -ne 0 ] && file_has "$T/err" "$2" && nothing_left
}
# The fault strikes while it ends.
ends() {
	no_faults
	run "$CONFIG" && up && fault "$1" && kill -TERM $RUN_PID && finish && no_faults && nothing_left 60
}

CASE=0
each() {
	CASE=$((CASE + 1))
	[ -z "${SHARD:-}" ] || [ $((CASE % SHARDS)) -eq "$SHARD" ] || return 0
	case $1 in *${ONLY:-}*) run_test "$@" ;; esac
}
for kind in '"status", "status": 503, "retry_after": 1' '"status", "status": 429, "retry_after": 1' '"status", "status": 500' \
	'"html"' '"reset"' '"midbody"' '"hang", "seconds": 3'; do
	for path in packages images networks 'machines\\?name' fwrules 'machines/[0-9a-f-]+$' volumes; do
		each "start: $kind on GET $path" survives "{\"method\": \"GET\", \"path\": \"$path\", \"kind\": $kind}"
	done
done
each 'start: truncated JSON is an error that leaves nothing' fails '{"method": "GET", "path": "packages", "kind": "truncated"}' 'no JSON'
for path in machines fwrules volumes; do
	for kind in '"lost"' '"reset"' '"status", "status": 503, "retry_after": 1' '"status", "status": 429' '"status", "status": 500' '"hang", "seconds": 3'; do
		each "start: $kind on POST $path" survives "{\"method\": \"POST\", \"path\": \"/$path\$\", \"kind\": $kind}"
	done
done
each 'start: a create that never succeeds leaves nothing' fails '{"method": "POST", "path": "/machines$", "kind": "reset", "count": 50}' 'POST'
each 'start: rules that cannot be made leave nothing' fails '{"method": "POST", "path": "/fwrules$", "kind": "reset", "count": 50}' 'firewall rule'
for kind in '"status", "status": 503' '"status", "status": 500' '"html"' '"reset"' '"hang", "seconds": 3' '"lost"'; do
	for what in 'POST action=stop' 'POST action=disable_deletion' 'DELETE machines' 'DELETE fwrules' 'DELETE volumes' 'GET machines'; do
		each "end: $kind on $what" ends "{\"method\": \"${what% *}\", \"path\": \"${what#* }\", \"kind\": $kind, \"count\": 2}"
	done
done

t_outage() {
	no_faults
	run "$CONFIG" && up && fault '{"path": ".", "kind": "status", "status": 503, "count": 1000}' && sleep 5 &&
	! pid_gone $RUN_PID && is "$(machines length)" 1 && no_faults && kill -TERM $RUN_PID && finish && nothing_left
}
each 'an outage is no end' t_outage
t_slow() {
	no_faults
	control POST /set '{"delays": {"tags": 2, "delete": 3, "stop": 2}}' >/dev/null
	run "$CONFIG" && up && kill -TERM $RUN_PID && finish; _r=$?
	control POST /set '{"delays": {"tags": 0.1, "delete": 0.2, "stop": 0.2}}' >/dev/null
	[ $_r -eq 0 ] && nothing_left
}
each 'a slow data centre is waited for' t_slow
done_testing
