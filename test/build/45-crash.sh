#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Whoever of a build dies, and when: the plugin or the supervisor at each of the library's crash points, the others at
# each part of a build.  Then `gc`, which is what a plugin does by itself in time: nothing is left.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build
MORTAL=$BUILD/test/nomad-driver-build
[ -x "$MORTAL" ] || skip_all "no $MORTAL"
containerfile parts <<'C'
FROM scratch
ADD rootfs.tar /
RUN echo working; sleep 3
C
config() { echo "{ \"context\": \"alloc/parts\", \"output\": [{ \"path\": \"alloc/$1.tar\" }] }"; }
mkdir -p "$T/state/tasks" && builds "$(config parts)" && rm -f "$A/parts.tar"
CENSUS_WAIT=30
census_before
gone() { ! pgrep -f 'buildah |build-steps|nomad-run-|sleep 3$' >/dev/null; }
# A supervisor that nobody asks for the end of its task stays for a moment.
tidy() { "$DRIVER" gc --running --config "$T/plugin.json" >>"$T/gc" 2>&1 && gone && no_storage; }
t_clean() {
	: >"$T/gc"
	wait_for 90 'all is collected' tidy || { cat "$T/gc"; "$DRIVER" ps --config "$T/plugin.json"; return 1; }
	rm -rf "$T/tmp"/nomad-run-*; rm -f "$A"/*-*.tar
	nothing_left && census_after
}
# Points that come after the build: what died then must not have changed it.  Those of `super-empty` are both.
at() {
	# A plugin collects what the one before it left, and would die of that.
	: >"$T/gc"
	wait_for 90 'all is collected' tidy || { cat "$T/gc"; return 1; }
	job_of "$(config "$1")" ".Name = \"$1\"" |
		jq --arg id "$1" '.Job.ID = $id | .Job.TaskGroups[0].Tasks[0].Name = "task"' >"$T/job.json"
	NOMAD_DRIVER_CRASH_AT=$1 timeout 120 "$MORTAL" run --config "$T/plugin.json" --alloc "$A" "$T/job.json" \
		>"$T/out" 2>"$T/err" </dev/null
	_code=$?
	if engine_flaked && [ -z "${2:-}" ]; then at "$1" again; return; fi
	case $1 in
	core-tidy-* | clean-* | super-written | super-exit | super-empty) [ -e "$A/$1.tar" ] ||
		{ echo 'the build has not ended'; cat "$T/err"; return 1; } ;;
	*) [ $_code -ne 0 ] || { echo 'nobody died'; return 1; } ;;
	esac
}
for step in core-start-intent core-start-recorded core-run-recorded start-recorded start-launched start-sent \
	start-answered core-run-started \
	core-start-driver super-detached super-recorded super-listening super-cgroups super-forked super-main \
	super-execed super-started \
	super-empty super-written super-exit core-tidy-begin core-tidy-killed core-tidy-destroyed core-tidy-removed \
	clean-begin clean-killed clean-removed; do
	run_test "dies at $step" at $step
done
run_test 'after all that nothing is left' t_clean

# while PART WHO: killed as soon as the engine says the part.
pid_of() {
	case $1 in
	engine) pgrep -f 'buildah --root' | head -n 1 ;;
	inside) # beside it is its network
		for _p in $(pgrep -P "$(pid_of outside)"); do
			grep -q slirp4netns "/proc/$_p/comm" || { echo "$_p"; break; }
		done ;;
	outside) pgrep -of 'exe build-steps' ;;
	supervisor) ps -o ppid= -p "$(pid_of outside)" | tr -d ' ' ;;
	plugin) echo "$TASK_PID" ;;
	esac
}
while_at() {
	_name=$(echo "$1-$2" | tr 'A-Z ' a-z-)
	spawn_build "$(config "$_name")" && wait_for 60 "the part $1" has_said "$1" || return 1
	_pid=$(pid_of "$2") && [ -n "$_pid" ] && kill -9 "$_pid"
	wait "$TASK_PID"
	CODE=$?
	if [ "$2" = plugin ]; then
		# a commit may have been quicker
		{ [ "$CODE" -eq 137 ] || [ "$1" = COMMIT ]; } && wait_for 60 'the build goes on to its end' test -e \
			"$A/$_name.tar" && wait_for 60 'its processes are gone' gone
	elif [ "$1" = working ]; then
		[ "$CODE" -ne 0 ] && ! [ -e "$A/$_name.tar" ]
	else	# it may have been quicker
		wait_for 60 'its processes are gone' gone
	fi
}
for part in 'STEP 1' working COMMIT; do
	for who in engine inside outside supervisor plugin; do
		run_test "the $who is killed at $part" while_at "$part" $who
	done
done
run_test 'after all that nothing is left' t_clean
done_testing
