#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Each fault of the Docker API at each step of a container's life: one
# container or none, nothing left, and a true outcome.
. test/lib.sh
. test/triton/lib-triton.sh
require_standin
requires_root
make_keys
start_engine || skip_all "$ENGINE_WHY"
shards 8
start_site
jq '.request_timeout = 2' "$T/plugin.json" >"$T/plugin2.json" && mv "$T/plugin2.json" "$T/plugin.json"

CONFIG=$(docker_config '.docker_api.cmd = ["sh", "-c", "trap \"exit 5\" TERM; while :; do sleep 0.1; done"] |
	.docker_api.image.auto_pull = true')

begin() {
	end_last
	control POST /reset '{}' >/dev/null && rm -rf "$T/state" || return 1
	[ -z "${1:-}" ] || fault "$1" || return 1
	run "$CONFIG"
}
none_left() { nothing_left && is "$(containers length)" 0; }
survives() { begin "$1" && up && is "$(containers length)" 1 && no_faults && stop && is "$STATUS" 5 && none_left; }
# Up with one container, or a start that failed and left nothing.
settles() {
	begin "$1"
	if up >"$T/why"; then is "$(containers length)" 1 && no_faults && stop && none_left
	else finish && no_faults && [ "$STATUS" -ne 0 ] && none_left; fi
}
fails() { begin "$1"; finish && no_faults && [ "$STATUS" -ne 0 ] && file_has "$T/err" "$2" && none_left; }
# It strikes while the container ends: the code is its own.
ends() { begin && up && fault "$1" && stop && no_faults && is "$STATUS" 5 && none_left; }

for kind in '"status", "status": 429, "retry_after": 1' '"status", "status": 503, "retry_after": 1' \
	'"status", "status": 500' '"reset"' '"lost"' \
	'"midbody"' '"truncated"' '"html"' '"hang", "seconds": 3'; do
	deal "start: $kind on POST create" survives \
		"{\"api\": \"docker\", \"method\": \"POST\", \"path\": \"containers/create\", \"kind\": $kind}"
	deal "start: $kind on GET json" settles \
		"{\"api\": \"docker\", \"method\": \"GET\", \"path\": \"/json\", \"kind\": $kind}"
	deal "start: $kind on a pull" settles \
		"{\"api\": \"docker\", \"method\": \"POST\", \"path\": \"images/create\", \"kind\": $kind}"
	case $kind in
	# 200 is the answer to what was done: a server that says so and did not is no fault of this kind.
	*midbody* | *truncated*) ;;
	*) deal "start: $kind on POST start" survives \
		"{\"api\": \"docker\", \"method\": \"POST\", \"path\": \"/start\", \"kind\": $kind}"
	   deal "end: $kind on POST stop" ends \
		"{\"api\": \"docker\", \"method\": \"POST\", \"path\": \"/(stop|kill)\", \"kind\": $kind}" ;;
	esac
	deal "end: $kind on GET json and POST wait" ends \
		"{\"api\": \"docker\", \"path\": \"json|wait\", \"count\": 2, \"kind\": $kind}"
done
deal 'start: a create that never succeeds leaves nothing' fails \
	'{"api": "docker", "method": "POST", "path": "containers/create", "kind": "reset", "count": 50}' 'POST'
deal 'start: a start that never succeeds leaves nothing' fails \
	'{"api": "docker", "method": "POST", "path": "/start", "kind": "status", "status": 500, "count": 50}' 'POST'
refused() {
	_plain=$CONFIG CONFIG=$(printf %s "$CONFIG" |
		jq -c '.deletion_protection = true | .metadata = {m: "1"} | .tags = {t: "1"}')
	fails "{\"method\": \"POST\", \"path\": \"$1\", \"kind\": \"status\", \"status\": 403, \"count\": 50}" "$1"
		_r=$?
	CONFIG=$_plain
	return $_r
}
for what in /tags /metadata enable_deletion_protection; do deal "start: $what refused: said, and nothing left" refused \
	$what; done
all_dealt
