# shellcheck shell=sh
# SPDX-License-Identifier: MPL-2.0
#
# test/nspawn/lib-nspawn.sh: what the tests of this driver share, after
# test/lib.sh.
#
#   task CONFIG_JSON [JQ_FILTER [JQ_FILTER]]   run one task by `run`; the filters change the task,
#                                such as '.Env = {A: "b"}', and its group.  Sets CODE; its output is in $T/out and
# $T/err
#   says CONFIG_JSON PATTERN     the task ends with 0 and prints a line that matches
#   fails CONFIG_JSON PATTERN    it cannot start, and the error matches
#   sh_config SCRIPT [JSON]      the config of a shell script in $ROOT, and more options
#   spawn_task CONFIG [FILTER]   the same in the background: TASK_PID; end_task [SIGNAL] sets CODE
#   nothing_left                 the census, without what others took away
#   shared_network               the directory of what all plugins of this network namespace share
#   $ROOT                        a busybox tree that must not change

DRIVER=$BUILD/plugins/nomad-driver-nspawn
# shellcheck disable=SC2034
NSPAWN_CACHE=build/cache/nspawn
ROOT=$NSPAWN_CACHE/busybox

# Before isolate(), which takes the network away: a tree is made of packages, once.
make_tree() {
	mkdir -p "$NSPAWN_CACHE"
	# Several tests may want it at the same time.
	[ -e "$NSPAWN_CACHE/$1/.complete" ] ||
		flock "$NSPAWN_CACHE/lock" examples/nspawn/make-root.sh "$1" "$NSPAWN_CACHE/$1" >&2
}
[ -n "${NOMAD_TEST_DIR:-}" ] || make_tree busybox || true

need_root_tree() {
	requires systemd-nspawn jq
	[ -x "$DRIVER" ] || skip_all "no $DRIVER"
	[ -e "$ROOT/.complete" ] || skip_all 'no busybox tree'
	ROOT=$(cd "$ROOT" && pwd)
	printf '{ "policy": { "mode": "open" }, "state_dir": "%s/state" }\n' "$T" >"$T/plugin.json"
}
shared_network() { echo "/run/nomad-nspawn/$(stat -Lc %i /proc/self/ns/net)"; }
sh_config() {
	jq -cn --arg image "$ROOT" --arg script "$1" --argjson more "${2:-{\}}" \
		'{ image: $image, boot: false, network_veth: false, command: ["/bin/sh", "-c", $script] } + $more'
}
task_json() {
	jq -n --argjson config "$1" "{ Job: { ID: \"test\", Name: \"test\", Type: \"batch\", Datacenters: [\"*\"],
		TaskGroups: [{
		Name: \"group\", Tasks: [{ Name: \"task\", Driver: \"nspawn\", Config: \$config } | ${2:-.}] } |
			${3:-.}] } }"
}
task() {
	task_json "$@" >"$T/job.json" || return 1
	timeout 120 "$DRIVER" run --config "$T/plugin.json" "$T/job.json" >"$T/out" 2>"$T/err" </dev/null
	CODE=$?
}
says() {
	task "$1" "${3:-.}" || return 1
	[ "$CODE" -eq 0 ] || { echo "exit code $CODE"; tail -n 20 "$T/out" "$T/err"; return 1; }
	grep -Eq -e "$2" "$T/out" || { echo "no line of the output matches $2:"; cat "$T/out"; return 1; }
}
fails() {
	task "$1" || return 1
	[ "$CODE" -ne 0 ] || { echo 'it did not fail'; return 1; }
	grep -Eq -e "$2" "$T/err" || { echo "no line of the errors matches $2:"; cat "$T/err"; return 1; }
}
code_is() { task "$@" && is "$CODE" "$WANT"; }
spawn_task() {
	task_json "$@" >"$T/job-bg.json" || return 1
	: >"$T/out"
	"$DRIVER" run --config "$T/plugin.json" "$T/job-bg.json" >"$T/out" 2>"$T/err" </dev/null &
	TASK_PID=$!
}
end_task() {
	[ -z "${1:-}" ] || kill -"$1" "$TASK_PID"
	wait "$TASK_PID"
	CODE=$?
}
has_said() { grep -q "$1" "$T/out"; }
# All that a tree is: names, owners, modes, times, contents.
tree_state() { (cd "$1" && find . -printf '%p %U %G %m %T@ %l\n' | sort && find . -type f -exec cksum {} + | sort) |
	cksum; }
# What is left over; what others on this machine took away meanwhile does not matter.
nothing_left() { _left=$(census_after) || unlike "$_left" '^left'; }
# Processes of this test alone, whatever else runs: by the directory that they work in.
nspawn_pids() {
	for _p in $(pgrep -x systemd-nspawn); do
		! grep -qF "$T/" "/proc/$_p/cmdline" 2>/dev/null || echo "$_p"
	done
}
init_pids() { for _p in $(nspawn_pids); do pgrep -P "$_p"; done; }
supervisor_pids() { for _p in $(nspawn_pids); do ps -o ppid= -p "$_p"; done; }
# kill_all FUNCTION: SIGKILL to each; fails if there is none.
kill_all() {
	_pids=$($1)
	# shellcheck disable=SC2086
	[ -n "$_pids" ] && kill -KILL $_pids
}
