# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: MPL-2.0
#
# What the pot tests share: a place for the stand-in's state, and images.
# To be sourced after test/lib.sh.
#
#   make_pot              sets POT_DIR; $POT_DIR/bin holds pot and its tools
#   order STEP [TEXT...]  make the fake pot fail, hang, ... at a step; without TEXT: reset
#   pot_census            fails and prints leftovers of pots, if there are any
#   calls [WORD]          the calls of the fake pot so far
#   pot_config [JSON]     the plugin's config into $T/config.json, without rules, with further options
#   task_config SCRIPT [JSON]   the task's config for a shell script, as JSON, with further options
#   run_task CONFIG [JQ]  run a task with `run` of the driver, its job changed by the JQ filter:
#                         sets STATUS; its output is in $T/out and $T/err
#   in_parallel WHAT FUNCTION [ARG...]   as run_test, but in parallel with others (LANES at a time), in a subshell
#                         with its own $T, its own fake pot and the default config
#   each WHAT FUNCTION [ARG...]   in a function of `in_parallel`: one of several results
#   wait_parallel            wait for them, print each result
#   left_nothing          no pot, no process of the fake pot, no record

make_pot() {
	POT_DIR=$T/pot
	mkdir -p "$POT_DIR/bin" "$POT_DIR/state/control" "$POT_DIR/state/bridges" "$POT_DIR/images"
	for _tool in pot rctl dmesg ifconfig mount umount zpool sysctl potnet pot-census pot-calls; do
		ln -sf "$PWD/test/pot/pot" "$POT_DIR/bin/$_tool"
	done
	: >"$POT_DIR/images/img_1.0.xz"
	: >"$POT_DIR/state/bridges/back"
	echo "sh -c 'echo from the image; exit 3'" >"$POT_DIR/images/withcmd_1.0.xz"
}
order() {
	_step=$1; shift
	if [ $# -eq 0 ]; then rm -f "$POT_DIR/state/control/$_step"
	else echo "$@" >"$POT_DIR/state/control/$_step"; fi
}
pot_census() {
	_left=$("$POT_DIR/bin/pot-census")
	[ -z "$_left" ] || { printf 'left behind:\n%s\n' "$_left"; return 1; }
}
calls() { "$POT_DIR/bin/pot-calls" "$@"; }
pot_path() { echo "$POT_DIR/bin:/sbin:/bin:/usr/sbin:/usr/bin"; }
pot_config() {
	jq -n --arg pot "$POT_DIR/bin/pot" --arg path "$(pot_path)" --arg state "$T/s" --argjson more "${1:-{\}}" \
		'{ pot_path: $pot, path: $path, state_dir: $state, policy: { mode: "open" } } + $more' >"$T/config.json"
}
task_config() {
	jq -n --arg image "file://$POT_DIR/images" --arg script "$1" --argjson more "${2:-{\}}" \
		'{ image: $image, pot: "img", tag: "1.0", command: "/bin/sh", args: ["-c", $script] } + $more'
}
job() { job_json job pot "$1" | jq "${2:-.}" >"$T/job.json"; }
task_pot() { calls start | tail -n 1 | sed 's/.*|//'; }
run_task() {
	job "$@" && rm -f "$POT_DIR/state/calls" && STATUS=0
	timeout -k 5 "${RUN_TIMEOUT:-120}" "$BUILD/plugins/nomad-driver-pot" run --config "$T/config.json" \
		"$T/job.json" \
		>"$T/out" 2>"$T/err" </dev/null || STATUS=$?
}
# Whatever waits longest decides how long they all take; the machine's cores how many there should be.
: "${LANES:=4}"
_parallel=0
in_parallel() {
	if [ -n "$_skip_all" ]; then skip "$1" "$_skip_all"; return; fi
	_parallel=$((_parallel + 1))
	while [ "$(($(find "$T/parallel" -name what 2>/dev/null | wc -l) -
		$(find "$T/parallel" -name status 2>/dev/null | wc -l)))" -ge "$LANES" ]; do
		sleep 0.1
	done
	_lane=$T/parallel/$_parallel
	mkdir -p "$_lane"
	echo "$1" >"$_lane/what"; shift
	( T=$_lane
	make_pot
	pot_config
	"$@" >"$T/log" 2>&1 && echo 0 >"$T/status.new" || echo 1 >"$T/status.new"
	mv "$T/status.new" "$T/status" ) &
}
each() {
	_each=$((${_each:-0} + 1))
	echo "$1" >"$T/each.$_each.what"; shift
	_r=0
	"$@" >"$T/each.$_each.log" 2>&1 || _r=1
	echo $_r >"$T/each.$_each.status"
	return $_r
}
_tell() {		# PATH: .what, .status and .log
	if [ "$(cat "$1status" 2>/dev/null)" = 0 ]; then ok "$(cat "$1what")"
	else not_ok "$(cat "$1what")" "$(tail -n 60 "$1log")"; fi
}
wait_parallel() {
	wait
	for _k in $(seq "$_parallel"); do
		_lane=$T/parallel/$_k
		for _l in $(seq "$(find "$_lane" -maxdepth 1 -name 'each.*.what' | wc -l)"); do _tell \
			"$_lane/each.$_l."; done
		_tell "$_lane/"
	done
	[ -n "${KEEP:-}" ] || _remove_dir "$T/parallel"
	_parallel=0
}
# For tests through an agent: $T/plugin.hcl, and what they ask all the time.
agent_config() {
	mkdir -p "$T/host-volume"
	echo of the host >"$T/host-volume/f"
	cat >"$T/plugin.hcl" <<-CONFIG
	client {
	  host_volume "data" {
	    path = "$T/host-volume"
	    read_only = true
	  }
	}
	plugin "nomad-driver-pot" {
	  config {
	    pot_path = "$POT_DIR/bin/pot"
	    path = "$(pot_path)"
	    state_dir = "$T/s"
	    gc_grace = ${GC_GRACE:-300}
	    policy {
	      mode = "open"
	    }
	  }
	}
	CONFIG
}
start_pot_agent() { start_agent a "$T/plugins" "$T/plugin.hcl" && wait_driver pot; }
# The youngest plugin that runs one of this lane's files.
pot_plugin() {
	for _p in $(pgrep -f "^$T/[a-z]*/nomad-driver-pot"); do
		grep -qz '^NOMAD_PLUGIN_MAGIC_COOKIE=' "/proc/$_p/environ" 2>/dev/null && echo "$_p"
	done | tail -n 1
}
# Is there another plugin than $_plugin?  Sets $_new.
new_plugin() { _new=$(pot_plugin) && [ -n "$_new" ] && [ "$_new" != "$_plugin" ]; }
quiet() { "$@" >/dev/null 2>&1; }
# What `run` leaves: no pot, no process of the stand-in, no record.
left_nothing() {
	pot_census && is "$(ls "$T/s/tasks" 2>/dev/null)" '' && is "$(pgrep -f "$POT_DIR/bin/pot" | tr '\n' ' ')" ''
}
