#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Users, links and addresses of containers: no two have the same.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
requires flock
task "$(sh_config true '{"network_veth":true}')"
census_before
locks=/run/systemd/nspawn-uid

first_user() { sed -n 's/^users  *0  *\([0-9]*\).*/\1/p' "$1"; }
show_users='sed "s/^/users /" /proc/self/uid_map'
t_lock() {
	spawn_task "$(sh_config "$show_users; echo up; sleep 600")" &&
		wait_for 60 'the task runs' has_said up || return 1
	users=$(first_user "$T/out")
	! flock -n "$locks/$users" true; r=$?
	end_task TERM
	[ $r -eq 0 ] || { echo "nobody holds the lock of $users"; return 1; }
	[ ! -e "$locks/$users" ] || { echo "$locks/$users is left"; return 1; }
}
run_test 'systemd sees that the users of a container are in use' t_lock
t_locked() {
	mkdir -p "$locks" && flock -n "$locks/655360" sleep 30 &
	sleep 0.3
	fails "$(sh_config true '{"private_users":"655360"}')" "users '655360': Device or resource busy"
	r=$?
	pkill -P $! 2>/dev/null
	wait $!
	rm -f "$locks/655360"
	return $r
}
run_test 'private_users: a range that systemd-nspawn uses is refused' t_locked
t_neighbour() {
	spawn_task "$(sh_config "$show_users; echo up; sleep 600")" &&
		wait_for 60 'the task runs' has_said up || return 1
	users=$(first_user "$T/out")
	cp "$T/err" "$T/err-first"
	fails "$(sh_config true "{\"private_users\":\"$((users + 5)):10\"}")" \
		"option 'private_users': users $((users + 5)) to $((users + 14)) of this host are another task's"
	r=$?
	end_task TERM
	return $r
}
run_test "private_users: a neighbour's range is refused" t_neighbour
# All of them run at the end; ten start at the same time.
up() { [ "$(cat "$T"/many-*.out | grep -c '^up$')" -ge "$1" ]; }
t_many() {
	n=0 pids= r=0
	task_json "$(sh_config "$show_users; ip -o -4 addr show dev host0; echo up; exec sleep 1000" \
		'{"network_veth":true}')" >"$T/many.json"
	while [ $r -eq 0 ] && [ $((n += 1)) -le "$1" ]; do
		"$DRIVER" run --config "$T/plugin.json" "$T/many.json" >"$T/many-$n.out" 2>"$T/many-$n.err" </dev/null &
		pids="$pids $!"
		[ $((n % 10)) -ne 0 ] || wait_for 120 "$n run" up $n || r=1
	done
	is "$(for i in $(seq "$1"); do first_user "$T/many-$i.out"; done | sort -u | wc -l)" "$1" &&
		is "$(cat "$T"/many-*.out | grep -o 'inet [0-9.]*' | sort -u | wc -l)" "$1" &&
		is "$(ip -o link | grep -c ': vn')" "$1" || { cat "$T"/many-*.err; r=1; }
	# shellcheck disable=SC2086
	kill $pids; wait $pids
	return $r
}
if [ -n "${NOMAD_TEST_LONG:-}" ]; then many=200; else many=20; fi
run_test "$many at a time: $many ranges, links and addresses" t_many $many
t_leases() { is "$(find /run/nomad-nspawn/users/leases -name '*.task-*' -newer "$T/job.json" 2>/dev/null |
	while read -r f; do ! grep -q "$T" "$f" || echo "$f"; done)" '' &&
	is "$(ls "$(shared_network)/links" "$(shared_network)/addresses" | grep -c '^v\|^10')" 0; }
run_test 'no lease is left' t_leases
run_test 'nothing is left' nothing_left
done_testing
