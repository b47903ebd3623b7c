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
make_pot
mkdir "$T/plugins" "$T/real"
cp "$BUILD/test/nomad-driver-pot" "$T/real/"
# The plugin that Nomad starts takes its fate from a file.
cat >"$T/plugins/nomad-driver-pot" <<WRAPPER
#!/bin/sh
if [ -s "$T/crash" ]; then NOMAD_DRIVER_CRASH_AT=\$(cat "$T/crash"); export NOMAD_DRIVER_CRASH_AT; fi
exec "$T/real/nomad-driver-pot" "\$@"
WRAPPER
chmod +x "$T/plugins/nomad-driver-pot"
agent_config

over() { case $(alloc_status "$ALLOC_ID") in complete | failed) ;; *) return 1 ;; esac; }
# A plugin that will die at the step, the ones after it not.
arm() {
	_plugin=$(plugin_pid nomad-driver-pot)
	echo "$1" >"$T/crash"
	kill -9 "$_plugin"
	wait_for 60 'there is another plugin' new_plugin && wait_driver pot || return 1
	rm "$T/crash"
}
nothing_left() {
	pot_census && is "$(ls "$T/s/tasks" 2>/dev/null)" '' && is "$(pgrep -f 'pot start|pot prepare|nomad-driver-pot: ' | tr '\n' ' ')" ''
}
crash() {		# STEP [STATUS]
	arm "$1" && _plugin=$_new || return 1
	job_json crash pot "$(task_config 'sleep 1; exit 0')" >"$T/crash.json" && run_job "$T/crash.json" &&
		wait_for 120 'the allocation is over' over || { "$NOMAD" alloc status "$ALLOC_ID"; return 1; }
	[ -z "${2:-}" ] || is "$(alloc_status "$ALLOC_ID")" "$2" || { task_events "$ALLOC_ID" task; return 1; }
	purge_job crash && { wait_for 90 'nothing is left' quiet nothing_left || { nothing_left; ps axf; return 1; }; }
}
# Nomad does not ask again to destroy a task.  The next plugin has to find what is left, after GC_GRACE.
crash_destroy() {		# STEP
	crash "$1" complete && wait_for 60 'the plugin died' new_plugin
}
t_stop() { stop_agent && nothing_left; }
t_start() { start_pot_agent; }
run_test 'the agent is up' t_start
if [ "${STEPS:-}" = destroy ]; then
	for step in clean-begin clean-killed clean-removed core-tidy-begin core-tidy-killed core-tidy-destroyed core-tidy-removed; do
		run_test "the plugin dies at $step" crash_destroy $step
	done
	run_test 'the end' t_stop
	done_testing
fi
for step in core-start-intent core-start-recorded core-run-recorded start-recorded start-launched start-sent start-answered \
	core-run-started core-start-driver; do
	run_test "the plugin dies at $step: started again" crash $step complete
done
for step in super-detached super-recorded super-listening super-cgroups super-forked super-main super-execed super-started super-empty; do
	run_test "the supervisor dies at $step" crash $step
done
run_test 'the end' t_stop
done_testing
