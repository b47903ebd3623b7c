#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Builds that are stopped or killed, many at a time.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build
containerfile hang <<'C'
FROM scratch
ADD rootfs.tar /
RUN echo working; (sleep 1000 &) ; sleep 1000
C
containerfile quick <<'C'
FROM scratch
ADD rootfs.tar /
RUN echo quick >/quick
C
mkdir -p "$T/state" && builds '{ "context": "alloc/quick" }'
census_before
hang() { spawn_build "$1" && wait_for 60 'the step' has_said '^working'; }
HANG='{ "context": "alloc/hang", "output": [{ "path": "alloc/hang.tar" }] }'
# The processes of builds, by what they are.
pid_of() { pgrep -f "$1" | head -n 1; }
# The supervisor's last act is a record in the directory of the task.
supervisors_gone() { ! pgrep -f 'nomad-driver-build: ' >/dev/null; }
gone() { ! pgrep -f 'buildah |build-steps|sleep 1000' >/dev/null; }
clean() { wait_for 30 'all processes are gone' gone && nothing_left && census_after; }

t_stop() { hang "$HANG" && end_build TERM && is "$CODE" 1 && clean; }
t_stop_oci() { hang '{ "context": "alloc/hang", "isolation": "oci" }' && end_build TERM && clean; }
t_stop_twice() { hang "$HANG" && kill -TERM $TASK_PID && end_build TERM && clean; }
t_kill() { hang "$HANG" && kill -9 "$(pid_of "$1")" && { end_build; [ "$CODE" -ne 0 ]; } && clean; }
# The plugin is dead, so its own files remain; what the build is made of does not.
t_plugin_killed() {
	hang "$HANG" && kill -9 $TASK_PID && wait $TASK_PID 2>/dev/null
	pgrep -f 'sleep 1000' >/dev/null || { echo 'the build went along with the plugin'; return 1; }
	kill -9 "$(pid_of 'build-steps')" && wait_for 30 'all processes are gone' gone &&
		unlike "$(cat /proc/self/mounts)" "$T/state" &&
		wait_for 30 'the supervisor is gone' supervisors_gone &&
		rm -rf "$T/state/tasks" "$T/state/builds/work" "$T/tmp"/nomad-run-* &&
		mkdir "$T/state/tasks" "$T/state/builds/work"
}
t_early() {
	for pause in 0.02 0.05 0.1 0.15 0.2 0.3 0.4 0.6; do
		spawn_build '{ "context": "alloc/quick", "output": [{ "path": "alloc/quick.tar" }] }' && sleep $pause &&
			kill -9 "$(pid_of build-steps)" 2>/dev/null
		end_build
	done
	clean
}
t_ten() {
	for i in 1 2 3 4 5 6 7 8 9 10; do spawn_build \
		"{ \"context\": \"alloc/quick\", \"output\": [{ \"path\": \"alloc/ten-$i.tar\" }] }" "$i"
		eval "p$i=\$TASK_PID"; done
	for i in 1 2 3 4 5 6 7 8 9 10; do eval "wait \$p$i" || { cat "$T/err-$i"; return 1; }; done
	is "$(find "$A" -name 'ten-*.tar' | wc -l)" 10 && clean
}
t_concurrency() {
	plugin_config '{ "concurrency": 1 }' && hang "$HANG" && first=$TASK_PID &&
		spawn_build '{ "context": "alloc/quick" }' second && wait_for 30 'it waits' grep -q \
		'^event: Waiting for other builds' "$T/err-second" &&
		second=$TASK_PID && ! has_said STEP second && kill -TERM $first && wait $second && plugin_config '{}' &&
		{ wait $first; rm -rf "$T/state/builds/slots"; clean; }
}
run_test 'stop: the engine cleans up' t_stop
run_test 'stop: with isolation oci' t_stop_oci
run_test 'stop, twice' t_stop_twice
run_test 'the engine is killed' t_kill 'buildah --root'
run_test 'the process outside of the jail is killed' t_kill 'build-steps'
run_test 'the supervisor is killed' t_kill 'nomad-driver-build: task|nomad-supervisor|^supervisor'
run_test 'the plugin is killed: the build goes on, and leaves nothing at its end' t_plugin_killed
census_before	# the cgroups of the last one stay, as no plugin is there that would know of it
run_test 'killed at various moments of a build' t_early
run_test 'ten at the same time' t_ten
run_test 'concurrency: one waits for the other' t_concurrency
done_testing
