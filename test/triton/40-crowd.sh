#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A good citizen: what 200 tasks of one plugin cost the data centre while nothing changes, and in an outage, and what
# memory they take.  NOMAD_TEST_LONG=1: 5,000 tasks.
. test/lib.sh
. test/triton/lib-triton.sh
require_standin
require_steps
make_keys
start_site
# The interval is the default; the start of so many would take its time with the default budget.
jq 'del(.poll_interval) | .requests_per_second = 1000 | .request_timeout = 60' "$T/plugin.json" >"$T/crowd.json"
cloud_config >"$T/config.json"
N=${CROWD:-200}
[ -z "${NOMAD_TEST_LONG:-}" ] || N=${CROWD:-5000}
# Starts and ends of so many, on a busy machine.
LONG=$((120 + N / 4))
mkdir "$T/task"

asked() { control GET /requests | jq "[.[] | select(.api == \"cloudapi\")] | length"; }
_has() { grep -q "$1" "$T/out"; }
t_start() {
	"$STEPS" "$T/crowd.json" "$T/config.json" "$T/task" start crowd=$N up wait destroy rest disperse=$N settle \
		idle >"$T/out" 2>"$T/err" </dev/null &
	STEPS_PID=$!
	cleanup "kill -9 $STEPS_PID"
	wait_for $LONG 'all have started' _has '^crowd:' && _has "crowd: 0 of $N failed" &&
		is "$(machines length)" "$((N + 1))" ||
		{ cat "$T/out" "$T/err"; return 1; }
}
# The first looks are made by then.
_is_quiet() { control POST /forget '{}' >/dev/null; sleep 3; [ "$(asked)" -le 3 ]; }
t_quiet() {
	wait_for 60 'the first looks are over' _is_quiet || return 1
	control POST /forget '{}' >/dev/null
	_from=$(date +%s); sleep 15; _asked=$(asked) _seconds=$(($(date +%s) - _from))
	[ "$_asked" -le "$_seconds" ] || { echo "$_asked requests in $_seconds s"; control GET /requests |
		jq -c '.[] | {method, path}' | head -n 20; return 1; }
}
t_listed() { control GET /requests | jq -e '[.[] | select(.path | test("/machines/"))] | length == 0' >/dev/null; }
# The plugin alone takes 10 MB; a task takes 6 kB, of which a third is what starts leave in between.
t_memory() {
	_kb=$(awk '/^Private_/ { n += $2 } END { print n }' "/proc/$STEPS_PID/smaps_rollup")
	[ "$_kb" -le $((14000 + N * 7)) ] || { echo "$_kb kB"; cat "/proc/$STEPS_PID/smaps_rollup"; return 1; }
}
_lists() { control GET /requests | jq '[.[] | select(.path | test("nomad_owner.*offset=0$"))] | length'; }
# The end is in the second list after it at the latest; the first may have been under way.
t_noticed() {
	control POST "/machine/$(machines '[.[] | select(.tags.nomad_task | test("^[^-]*-2222-3333-4444-0{12}/"))][0].id' |
		tr -d '"')/delete" >/dev/null && sleep 1 && control POST /forget '{}' >/dev/null &&
		wait_for 60 'the end is told' _has '^end ' && _asked=$(_lists) &&
		{ [ "$_asked" -le 2 ] || { echo "told after $_asked lists"; control GET /requests |
			jq -c '.[] | {time, method, path, status}'; return 1; }; }
}
t_outage() {
	fault '{"path": ".", "kind": "status", "status": 503, "retry_after": 2, "count": 100000}' &&
		control POST /forget '{}' >/dev/null
	_from=$(date +%s); sleep 12; _asked=$(asked) _seconds=$(($(date +%s) - _from))
	no_faults
	[ "$_asked" -ge 1 ] && [ "$_asked" -le "$_seconds" ] || { echo "$_asked requests in $_seconds s"; return 1; }
}
t_end() {
	touch "$T/task/go"
	wait_for $LONG 'all are destroyed' _dispersed && nothing_left ||
		{ cat "$T/out"; tail -n 20 "$T/err"; return 1; }
}
_dispersed() { pid_gone $STEPS_PID || [ "$(grep -c "crowd: 0 of $N failed" "$T/out")" = 2 ]; }
t_silent() {
	sleep 2; control POST /forget '{}' >/dev/null; sleep 8
	is "$(asked)" 0 && touch "$T/task/leave" && wait_for 60 'it ends' pid_gone $STEPS_PID && wait $STEPS_PID
}
t_throttled() { # 429 without a word when to come again
	mkdir "$T/few" && control POST /set '{"throttle": 4}' >/dev/null &&
		jq '.requests_per_second = 20' "$T/plugin.json" >"$T/few.json"
	timeout 400 "$STEPS" "$T/few.json" "$T/config.json" "$T/few" crowd=30 disperse=30 settle >"$T/few.out" \
		2>"$T/few.err" </dev/null; _r=$?
	control POST /set '{"throttle": 0}' >/dev/null
	[ $_r -eq 0 ] && is "$(grep -c 'crowd: 0 of 30 failed' "$T/few.out")" 2 && nothing_left ||
		{ cat "$T/few.out"; tail -n 5 "$T/few.err"; return 1; }
	control GET /requests | jq -e 'length as $all | map(select(.status == 429)) | length as $bad | if $bad * 8 > $all then "\($bad) of \($all) refused" | halt_error else true end' &&
	control POST /forget '{}' >/dev/null
}
twelve() { # JQ: seconds that the start and the end of 12 such tasks take
	rm -rf "$T/twelve"; mkdir "$T/twelve"; cloud_config "$1" >"$T/twelve.json"
	_from=$(date +%s)
	timeout 300 "$STEPS" "$T/crowd.json" "$T/twelve.json" "$T/twelve" crowd=12 disperse=12 >"$T/twelve.out" \
		2>"$T/twelve.err" </dev/null ||
		{ cat "$T/twelve.out" "$T/twelve.err"; return 1; }
	SECONDS_TAKEN=$(($(date +%s) - _from))
}
t_slow_rules() {
	control POST /set '{"latency": 0.7}' >/dev/null
	twelve . && _without=$SECONDS_TAKEN &&
		twelve '.fwenabled = true | .tags = {role: "web"} | .fwrules = {web:
		"FROM any TO tag role = web ALLOW tcp PORT 80"}'; _r=$?
	control POST /set '{"latency": 0}' >/dev/null
	[ $_r -eq 0 ] && nothing_left || return 1
	[ $SECONDS_TAKEN -le $((_without + 15)) ] ||
		{ echo "$SECONDS_TAKEN s with a rule, $_without s without"; return 1; }
}
run_test 'a slow data centre: 12 tasks with a rule do not wait for each other' t_slow_rules
run_test 'a throttle without Retry-After: 30 tasks start and end, few requests are refused' t_throttled
run_test "$N tasks start" t_start
run_test "nothing changes: at most a request a second for $N tasks" t_quiet
run_test 'no machine is asked for by itself' t_listed
run_test 'the memory of a task is bounded' t_memory
diag "$N tasks: $_kb kB"
run_test 'an end is noticed within two lists' t_noticed
run_test 'in an outage it does not ask more, nor for ever less' t_outage
run_test 'all end, and nothing is left' t_end
run_test 'nobody is asked after by then' t_silent
done_testing
