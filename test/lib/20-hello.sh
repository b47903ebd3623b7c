#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# examples/hello against the installed headers, archive and pkg-config file.
. test/lib.sh
. test/lib/lib-hardening.sh
requires pkg-config make jq readelf
isolate "$@"
prefix=$T/prefix
job=examples/hello/hello.json
run() { "$T/hello/nomad-driver-hello" run --config "$T/config.json" "$@"; }

t_install() {
	make --no-print-directory BUILD="$BUILD" PREFIX="$prefix" install-libnomadplugin >"$T/install" 2>&1 ||
		{ cat "$T/install"; return 1; }
	[ -f "$prefix/include/nomad/plugin.h" ] && [ -f "$prefix/lib/libnomadplugin.a" ]
}
t_build() {
	cp -r examples/hello "$T/hello" && printf '{ "state_dir": "%s/state" }\n' "$T" >"$T/config.json" &&
		PKG_CONFIG_PATH=$prefix/lib/pkgconfig make -C "$T/hello" CFLAGS='-O1 -Wall -Wextra -Werror' \
		>"$T/build" 2>&1 ||
		{ cat "$T/build"; return 1; }
}
t_hardened() {
	for h in pie relro stack segments paths; do "h_$h" "$T/hello/nomad-driver-hello" || return 1; done
}
t_short() { lines=$(wc -l <examples/hello/hello.c) && [ "$lines" -lt 100 ] || { echo "$lines lines"; return 1; }; }
t_run() {
	run "$job" >"$T/out" 2>"$T/err"
	code=$?
	is "$code" 7 && is "$(cat "$T/out")" "$(printf 'hello, greet\nhello, greet')" &&
		file_has "$T/err" 'Greeting greet'
}
t_validate() {
	"$T/hello/nomad-driver-hello" validate "$job" >"$T/out" && file_has "$T/out" 'greetings/greet: ok' &&
		sed 's/tired/cross/' "$job" >"$T/bad.json" && ! "$T/hello/nomad-driver-hello" validate "$T/bad.json" \
		>"$T/out" &&
		file_has "$T/out" "'mood'.*'cross'.*happy, tired"
}
t_schema() {
	"$T/hello/nomad-driver-hello" schema --json | jq -e '.properties.mood.enum == ["happy", "tired"]' >/dev/null &&
		"$T/hello/nomad-driver-hello" doctor | grep -q 'driver hello is healthy'
}
t_interrupt() {
	jq '.Job.TaskGroups[0].Tasks[0].Config.times = 900' "$job" >"$T/long.json"
	"$T/hello/nomad-driver-hello" run --config "$T/config.json" "$T/long.json" >"$T/out" 2>"$T/err" &
	pid=$!
	wait_for 20 'the first greeting' grep -q hello "$T/out" && kill -TERM $pid
	wait $pid
	is $? 143
}
t_agent() {
	mkdir -p "$T/plugins" && cp "$T/hello/nomad-driver-hello" "$T/plugins/" &&
		sed "s|config {}|config {\n    state_dir = \"$T/state\"\n  }|" examples/hello/agent.hcl \
		>"$T/hello.hcl" &&
		start_agent hello "$T/plugins" "$T/hello.hcl" && wait_driver hello && run_job "$job" &&
		wait_alloc "$ALLOC_ID" failed 60 && is "$(task_exit_code "$ALLOC_ID" greet)" 7 &&
		like "$(alloc_logs "$ALLOC_ID" greet)" 'hello, greet' && stop_agent
}

census_before
run_test 'the library is installed' t_install
run_test 'the example builds against it' t_build
run_test 'its executable is hardened' t_hardened
run_test 'the example has less than 100 lines' t_short
run_test 'run gives output, event and exit code' t_run
run_test 'validate names option, value and choices' t_validate
run_test 'schema and doctor describe the example' t_schema
run_test 'SIGTERM stops the task and run exits with its code' t_interrupt
run_test 'nothing is left behind' census_after
require_nomad
run_test 'a real agent runs it' t_agent
done_testing
