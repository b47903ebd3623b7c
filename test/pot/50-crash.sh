#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Plugin or supervisor die at each of the library's crash points: whatever Nomad
# makes of the task, no pot and no process is left in the end.
# 55-crash-destroy.sh is the same for the steps of DestroyTask.
. test/lib.sh
. test/pot/lib-pot.sh
isolate "$@"
requires jq python3
require_nomad
crash_agent() {
	mkdir "$T/plugins" "$T/real"
	cp "$BUILD/test/nomad-driver-pot" "$T/real/"
	# The plugin that Nomad starts takes its fate from a file.
	cat >"$T/plugins/nomad-driver-pot" <<-WRAPPER
	#!/bin/sh
	if [ -s "$T/crash" ]; then NOMAD_DRIVER_CRASH_AT=\$(cat "$T/crash"); export NOMAD_DRIVER_CRASH_AT; fi
	exec "$T/real/nomad-driver-pot" "\$@"
	WRAPPER
	chmod +x "$T/plugins/nomad-driver-pot"
	agent_config
	start_pot_agent
}

over() { case $(alloc_status "$ALLOC_ID") in complete | failed) ;; *) return 1 ;; esac; }
# A plugin that will die at the step, the ones after it not.
arm() {
	_plugin=$(pot_plugin)
	echo "$1" >"$T/crash"
	kill -9 "$_plugin"
	wait_for 60 'there is another plugin' new_plugin && wait_driver pot || return 1
	rm "$T/crash"
}
nothing_left() {
	pot_census && is "$(ls "$T/s/tasks" 2>/dev/null)" '' &&
		is "$(pgrep -f "$T/.*(pot start|pot prepare)" | tr '\n' ' ')" '' &&
		is "$(pgrep -f "nomad-driver-pot: task-$(echo "$ALLOC_ID" | cut -c 1-8)" | tr '\n' ' ')" ''
}
crash() {		# STEP [STATUS]
	arm "$1" && _plugin=$_new || return 1
	job_json crash pot "$(task_config 'sleep 1; exit 0')" >"$T/crash.json" && run_job "$T/crash.json" &&
		wait_for 120 'the allocation is over' over || { "$NOMAD" alloc status "$ALLOC_ID"; return 1; }
	[ -z "${2:-}" ] || is "$(alloc_status "$ALLOC_ID")" "$2" || { task_events "$ALLOC_ID" task; return 1; }
	purge_job crash && { wait_for 90 'nothing is left' quiet nothing_left || { nothing_left; ps axf; return 1; }; }
}
# Nomad does not ask again to destroy a task.  The next plugin must find the leftovers, after GC_GRACE.
crash_destroy() {		# STEP
	crash "$1" complete && wait_for 60 'the plugin died' new_plugin
}
stop_crash_agent() { stop_agent && { wait_for 30 'nothing is left' quiet nothing_left || nothing_left; }; }
steps() {		# FUNCTION WHO AND_THEN STATUS STEP...
	_run=$1 _who=$2 _then=$3 _want=$4 _bad=0
	shift 4
	crash_agent || return 1
	for _step; do each "the $_who dies at $_step$_then" "$_run" "$_step" "$_want" || _bad=1; done
	stop_crash_agent || return 1
	[ $_bad -eq 0 ]
}
# Most of it is waiting for Nomad, so several agents wait side by side.
LANES=4
if [ "${STEPS:-}" = destroy ]; then
	in_parallel 'the end of agent 1' steps crash_destroy plugin '' complete clean-begin clean-killed
	in_parallel 'the end of agent 2' steps crash_destroy plugin '' complete clean-removed core-tidy-begin
	in_parallel 'the end of agent 3' steps crash_destroy plugin '' complete core-tidy-killed core-tidy-destroyed \
		core-tidy-removed
else
	in_parallel 'the end of agent 1' steps crash plugin ': started again' complete \
		core-start-intent core-start-recorded core-run-recorded start-recorded start-launched
	in_parallel 'the end of agent 2' steps crash plugin ': started again' complete start-sent start-answered \
		core-run-started core-start-driver
	in_parallel 'the end of agent 3' steps crash supervisor '' '' super-detached super-recorded super-listening \
		super-cgroups super-forked
	in_parallel 'the end of agent 4' steps crash supervisor '' '' super-main super-execed super-started super-empty
fi
wait_parallel
none_left() { is "$(pgrep -fa 'nomad-driver-pot')" ''; }
t_end() { wait_for 30 'all have ended' quiet none_left || none_left; }
run_test 'the end: no plugin and no supervisor' t_end
done_testing
