#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The other examples, against the installed library: a remote driver, one in C++, one in Rust.
. test/lib.sh
requires pkg-config make jq
isolate "$@"
prefix=$T/prefix
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
printf '{ "state_dir": "%s/state", "url": "http://127.0.0.1:8100" }\n' "$T" >"$T/remote.json"
printf '{ "state_dir": "%s/state" }\n' "$T" >"$T/config.json"

t_install() {
	make --no-print-directory BUILD="$BUILD" PREFIX="$prefix" install-libnomadplugin >"$T/install" 2>&1 ||
		{ cat "$T/install"; return 1; }
}
t_short() {
	for f in examples/hello/hello.c examples/remote/remote.c examples/cpp/countdown.cc examples/rust/src/main.rs; do
		lines=$(wc -l <"$f") && [ "$lines" -lt 120 ] || { echo "$f has $lines lines"; return 1; }
	done
}
built() {
	cp -r "examples/$1" "$T/$1" && make -C "$T/$1" CFLAGS='-O1 -Wall -Wextra -Werror' \
		CXXFLAGS='-O1 -Wall -Wextra -Werror' >"$T/build" 2>&1 || { cat "$T/build"; return 1; }
}

# ---- examples/remote/service, examples/remote/remote.json ----
answers() { curl -sf http://127.0.0.1:8100/jobs/ >/dev/null; }
t_remote() {
	built remote || return 1
	examples/remote/service 8100 &
	service=$!
	wait_for 20 'the service' answers || return 1
	"$T/remote/nomad-driver-remote" run --config "$T/remote.json" examples/remote/remote.json >"$T/out" 2>&1
	is $? 5 && is "$(curl -s http://127.0.0.1:8100/jobs/)" ''
}
t_remote_stop() {
	jq --arg work "echo >$T/up; exec sleep 99" '.Job.TaskGroups[0].Tasks[0].Config.work = $work' \
		examples/remote/remote.json >"$T/long.json"
	"$T/remote/nomad-driver-remote" run --config "$T/remote.json" "$T/long.json" >"$T/out" 2>&1 &
	pid=$!
	wait_for 20 'the job' [ -e "$T/up" ] && kill -TERM "$pid" || return 1
	wait "$pid"
	is $? 241
}
# Without NOMAD_OWN_LOGS Nomad makes FIFOs that this driver never opens; their readers must not wait.
t_remote_agent() {
	examples/remote/service 8100 &
	service=$!
	sed -i 's/ | NOMAD_OWN_LOGS//' "$T/remote/remote.c" &&
		make -C "$T/remote" CFLAGS=-O1 >"$T/build" 2>&1 || return 1
	mkdir -p "$T/plugins" && cp "$T/remote/nomad-driver-remote" "$T/plugins/" &&
		sed "s|config {|&\n    state_dir = \"$T/state\"|" examples/remote/agent.hcl >"$T/remote.hcl" &&
		start_agent remote "$T/plugins" "$T/remote.hcl" && wait_driver remote &&
		run_job examples/remote/remote.json && wait_alloc "$ALLOC_ID" failed 60 &&
		is "$(task_exit_code "$ALLOC_ID" away)" 5 && stop_agent && kill $service || return 1
	! grep -iE 'WARN.*logmon|timed out waiting for read' "$AGENT_DIR"/*log*
}
t_remote_absent() {
	kill $service
	wait $service 2>/dev/null
	"$T/remote/nomad-driver-remote" run --config "$T/remote.json" examples/remote/remote.json >"$T/out" 2>&1 &&
		return 1
	file_has "$T/out" 'curl.*connect'
}

# ---- examples/cpp/countdown.json ----
t_cpp() {
	command -v "${CXX:-c++}" >/dev/null || { skip_this "no ${CXX:-c++}"; return 0; }
	built cpp && "$T/cpp/nomad-driver-countdown" run --config "$T/config.json" examples/cpp/countdown.json \
		>"$T/out" ||
		return 1
	is "$(cat "$T/out")" "$(printf 'rocket is red\n3\n2\n1\n0')"
}

# ---- examples/rust/Cargo.toml, examples/rust/build.rs, examples/rust/fortune.json ----
t_rust() {
	cargo --version >/dev/null 2>&1 || { skip_this 'no cargo'; return 0; }
	cp -r examples/rust "$T/rust" && (cd "$T/rust" && cargo build --offline >"$T/build" 2>&1) ||
		{ cat "$T/build"; return 1; }
	exe=$T/rust/target/debug/nomad-driver-fortune
	is "$("$exe" run --config "$T/config.json" examples/rust/fortune.json)" 'measure first' || return 1
	sed 's/measure first/why?/' examples/rust/fortune.json >"$T/why.json"
	"$exe" run --config "$T/config.json" "$T/why.json" >"$T/out" 2>&1 && return 1
	file_has "$T/out" "print 'why\?': a question is not wisdom"
}

census_before
run_test 'the library is installed' t_install
run_test 'each example has less than 120 lines' t_short
if command -v curl >/dev/null && command -v python3 >/dev/null; then
	run_test 'remote: the job runs at the service and its exit code is reported' t_remote
	run_test 'remote: a task is stopped' t_remote_stop
	run_test 'remote: an unreachable service is an error' t_remote_absent
else skip 'remote' 'no curl or no python3'; fi
run_test 'C++: the example runs' t_cpp
run_test 'Rust: the example runs and reports its errors' t_rust
run_test 'nothing is left behind' census_after
require_nomad
run_test 'remote: under a real agent' t_remote_agent
done_testing
