#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Answers that are huge, odd or broken: one instance's harms no other instance.
. test/lib.sh
. test/triton/lib-triton.sh
require_standin
require_steps
make_keys
shards 6
start_site

# Two tasks; the second one's is the odd instance.
begin() {
	control POST /reset '{}' >/dev/null; no_faults; rm -rf "$T/state" "$T/task"; mkdir "$T/task"
	cloud_config >"$T/config.json"
	"$STEPS" "$T/plugin.json" "$T/config.json" "$T/task" start crowd=1 up wait rest disperse=1 destroy \
		>"$T/out" 2>"$T/err" </dev/null &
	RUN_PID=$!
	wait_for 60 'both are up' _both_up || { cat "$T/err"; return 1; }
	ODD=$(machines '.[1].id' | tr -d '"') FIRST=$(machines '.[0].id' | tr -d '"')
}
_both_up() { grep -q '^crowd: 0 of 1' "$T/out" &&
	is "$(machines 'map(select(.state == "running")) | length')" 2 >/dev/null; }
patch() { control POST "/machine/$ODD/patch" "@$T/patch" >/dev/null; }
_told() { grep -q '^end 1 ' "$T/out"; }
# The first one's end is noticed; then all goes.
noticed() {
	control POST "/machine/$FIRST/delete" >/dev/null && wait_for 30 'the end is noticed' _told ||
		{ cat "$T/out" "$T/err"; return 1; }
	no_faults; echo '{"id": "'"$ODD"'", "metadata": {}}' >"$T/patch"; patch
	touch "$T/task/go"; finish && is "$STATUS" 0 && nothing_left
}

t_huge() {
	begin &&
		{ printf '{"metadata": {"user-data": "'; head -c 9000000 /dev/zero | tr '\0' x; printf '"}}'; } \
		>"$T/patch" &&
		patch && noticed
}
t_nul() {
	begin && printf '%s' '{"metadata": {"a": "x\u0000y"}, "tags": {"nomad_driver": "triton", "b": "\u0000",
		"\u0000": "c"}}' >"$T/patch" && patch && noticed
}
t_unreadable() {
	begin && echo '{"id": 7}' >"$T/patch" && patch && noticed
}
t_page() { # the server fails with any page that has more than one entry
	begin && fault '{"method": "GET", "path": "limit=10+&", "kind": "status", "status": 500, "count": 100000}' &&
		noticed
}
t_no_list() { # and with any list
	begin && fault '{"method": "GET", "path": "limit=", "kind": "truncated", "count": 100000}' && noticed
}
# KIND: each list is an attack.  What is asked, and the memory, have bounds.
t_attack() {
	begin && fault "{\"method\": \"GET\", \"path\": \"limit=\", \"kind\": \"$1\", \"count\": 100000}" &&
		control POST /forget '{}' >/dev/null && sleep 6 || return 1
	_kb=$(awk '/^Private_/ { n += $2 } END { print n }' "/proc/$(cat "$T/task/pid")/smaps_rollup")
	_asked=$(control GET /requests | jq 'length')
	[ "$_kb" -lt 40000 ] && [ "$_asked" -lt 100 ] || { echo "$_kb kB, $_asked requests"; return 1; }
	noticed
}
t_event() {
	run "$(cloud_config)" && up && ODD=$(machines '.[0].id' | tr -d '"') && echo '{"id": 7}' >"$T/patch" && patch &&
	wait_for 30 'it is told' grep -q '^event: .*the answer holds no machine' "$T/err" &&
		echo '{"id": "'"$ODD"'"}' >"$T/patch" && patch && stop && nothing_left
}
deal '9 MB of metadata on one instance: the end of another is noticed' t_huge
deal 'NUL in values and names of one instance: the end of another is noticed' t_nul
deal 'an entry that cannot be read: the end of another is noticed' t_unreadable
deal 'pages that fail: smaller ones are asked for' t_page
deal 'lists that cannot be read: instances are asked for one by one' t_no_list
deal 'a list that is a gzip bomb: nothing is unpacked' t_attack gzip
deal 'a list with 1 MB of headers is given up' t_attack headers
deal 'a list with 10,000 brackets in each other is refused' t_attack deep
deal 'pages that repeat end the list' t_attack same
deal 'a page that does not end is given up' t_attack endless
deal 'the task whose instance cannot be read gets an event' t_event
all_dealt
