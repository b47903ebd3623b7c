#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The examples: each is formatted and valid, for Nomad and for its driver; each
# is run by the test that the list below names.  Those of nspawn, the first one
# of build, and the agents' configurations are run here.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
if [ -z "${NOMAD_TEST_DIR:-}" ]; then
	mkdir -p build/cache/demo
	[ -e build/cache/demo/busybox/.complete ] || flock build/cache/demo/lock examples/nspawn/make-root.sh busybox \
		build/cache/demo/busybox >&2 || true
	! command -v debootstrap >/dev/null || make_tree debian || true
fi
isolate "$@"
requires jq
require_nomad

# Those for people who read them, not for machines, are not listed: Makefile, README.md, hello.c and other programs.
list="
agent.hcl			ship/12-examples
build/agent.hcl			ship/12-examples
build/build.json		build/50-agent
build/build.nomad.hcl		build/50-agent
build/hello.nomad.hcl		ship/12-examples
cpp/countdown.json		lib/23-examples
hello/agent.hcl			lib/20-hello
hello/hello.json		lib/20-hello
nomadinit/client.json		nomadinit/25-examples
nomadinit/cluster.json		nomadinit/47-cluster
nomadinit/hello.nomad.hcl	nomadinit/25-examples
nomadinit/node-exporter.nomad.hcl nomadinit/25-examples
nomadinit/open.json		nomadinit/30-nomad
nomadinit/single.json		nomadinit/25-examples
nomadinit/update.nomad.hcl	nomadinit/25-examples
nspawn/agent.hcl		ship/12-examples
nspawn/container.nomad.hcl	nspawn/90-examples
nspawn/cron.nomad.hcl		nspawn/90-examples
nspawn/database.nomad.hcl	nspawn/90-examples
nspawn/demo.sh			ship/12-examples
nspawn/hello.json		ship/12-examples
nspawn/hello.nomad.hcl		ship/12-examples
nspawn/ipv6.nomad.hcl		nspawn/90-examples
nspawn/make-root.sh		nspawn/lib-nspawn
nspawn/memory.nomad.hcl		nspawn/90-examples
nspawn/node-agent.nomad.hcl	nspawn/90-examples
nspawn/pinned.nomad.hcl		nspawn/90-examples
nspawn/script.nomad.hcl		nspawn/90-examples
nspawn/session			ship/12-examples
nspawn/sidecar.nomad.hcl	nspawn/90-examples
nspawn/system.nomad.hcl		ship/12-examples
nspawn/web.nomad.hcl		ship/12-examples
pot/agent.hcl			pot/40-agent
pot/hello.nomad.hcl		pot/40-agent
pot/nginx.nomad.hcl		pot/40-agent
pot/old-driver-network.nomad.hcl	pot/40-agent
pot/old-driver.nomad.hcl	pot/40-agent
remote/agent.hcl		lib/23-examples
remote/remote.json		lib/23-examples
remote/service			lib/23-examples
rust/Cargo.toml			lib/23-examples
rust/build.rs			lib/23-examples
rust/fortune.json		lib/23-examples
triton/agent.hcl		triton/61-agent-faults
triton/hello.nomad.hcl		triton/61-agent-faults
triton/old-driver.nomad.hcl	triton/61-agent-faults
triton/terraform.nomad.hcl	triton/61-agent-faults
triton/web.nomad.hcl		triton/61-agent-faults
"
t_list() {
	(cd examples && find . -type f ! -name Makefile ! -name '*.md' ! -name '*.c' ! -name '*.cc' ! -name main.rs \
		! -name '*.svg') | sed 's|^\./||' |
		sort >"$T/there"
	echo "$list" | awk 'NF { print $1 }' | sort | diff "$T/there" - || return 1
	echo "$list" | awk 'NF' >"$T/list"
	while read -r file test; do
		name=${file##*/}
		# By its name, by that of its folder's files all, or by the name without its end.
		grep -Eq "examples/$file|${file%/*}/\*|\"?\\\$examples\"?/|${name%.hcl}" "test/$test.sh" ||
			{ echo "test/$test.sh does not name examples/$file"; return 1; }
	done <"$T/list"
}
t_format() {
	for f in $(find examples -name '*.hcl'); do
		"$NOMAD" fmt -check "$f" || { echo "$f is not formatted"; return 1; }
	done
	for f in $(find examples -name '*.json'); do jq -e . "$f" >/dev/null ||
		{ echo "$f is no JSON"; return 1; }; done
}
t_agents() {
	printf 'data_dir = "%s/none"\nclient {\n  enabled = true\n}\n' "$T" >"$T/base.hcl"
	for f in examples/agent.hcl examples/*/agent.hcl; do
		"$NOMAD" config validate "$T/base.hcl" "$f" >"$T/said" 2>&1 || { cat "$T/said"; return 1; }
		case $f in
		examples/agent.hcl | examples/hello/* | examples/remote/*) ;;
		*) file_has "$f" '^plugin "nomad-driver-'"$(basename "$(dirname "$f")")" &&
			[ -n "$(ls "${f%/*}"/hello.*)" ] || return 1 ;;
		esac
	done
}
t_jobs() {
	for f in examples/*/*.nomad.hcl; do
		# For those of its tasks that one of our drivers runs, its own validation.
		"$NOMAD" job run -output "$f" >"$T/job.json" 2>"$T/err" || { cat "$T/err"; return 1; }
		for driver in $(jq -r '.Job.TaskGroups[].Tasks[].Driver' "$T/job.json" | sort -u |
			grep -vx raw_exec); do
			"$BUILD/plugins/nomad-driver-$driver" validate "$T/job.json" >"$T/said" 2>&1 ||
				{ echo "$f:"; cat "$T/said"; return 1; }
		done
	done
}
# Nomad's own validation takes a server.
t_server() {
	for f in examples/*/*.nomad.hcl; do
		"$NOMAD" job validate "$f" >"$T/said" 2>&1 || { echo "$f:"; cat "$T/said"; return 1; }
	done
}
# The blocks of the examples as they are, except for the places of records, plugins and images, which are the test's.
t_agent() {
	mkdir "$T/plugins" && for driver in nspawn build pot; do cp "$BUILD/plugins/nomad-driver-$driver" \
		"$T/plugins/" || return 1; done
	for driver in nspawn build pot; do
		sed -e '/^plugin_dir/d' -e "s|^  config {}|  config {\n  }|" "examples/$driver/agent.hcl" |
			sed -e "s|^  config {|&\n    state_dir = \"$T/state-$driver\"|" \
				-e "/^plugin \"nomad-driver-nspawn/,\$s|^    policy {|&\n      allow_image = [\"$PWD/build/cache\"]|" \
				>"$T/$driver.hcl"
	done
	printf 'plugin "raw_exec" {\n  config {\n    enabled = true\n  }\n}\n' >"$T/raw_exec.hcl"
	start_agent one "$T/plugins" "$T/nspawn.hcl" "$T/build.hcl" "$T/pot.hcl" "$T/raw_exec.hcl" &&
		wait_driver nspawn || return 1
	# Nobody has pot here: that is told by name.
	wait_for 60 'pot is looked at' pot_is_told || { node_driver pot; return 1; }
}
pot_is_told() { node_driver pot 2>/dev/null | jq -e '.Healthy == false and (.HealthDescription | test("pot"))' \
	>/dev/null 2>&1; }
tree() { [ -e build/cache/demo/busybox/.complete ] ||
	{ skip_this 'no busybox tree: packages cannot be had'; return 1; }; }
says() { alloc_logs "$ALLOC_ID" "$1" 2>/dev/null | grep -Eq "$2"; }
t_hello() {
	tree || return 0
	run_job examples/nspawn/hello.nomad.hcl && wait_alloc "$ALLOC_ID" failed 120 &&
		is "$(task_exit_code "$ALLOC_ID" hello)" 7 &&
		wait_for 60 'its log' says hello '^Hello from hello, PID [0-9]+ in a container of user root' &&
		purge_job hello
}
# The address that the catalogue has of service $1.
service() { api GET "/v1/service/$1" 2>/dev/null | jq -r '.[0] | "\(.Address):\(.Port)"'; }
served() { curl -s -m 5 "http://$(service web)/" | grep -q "^served by web.web\[0\]"; }
checked() { api GET "/v1/client/allocation/$ALLOC_ID/checks" | jq -e '[.[].Status] == ["success"]' >/dev/null; }
t_web() {
	tree || return 0
	command -v curl >/dev/null || { skip_this 'no curl'; return 0; }
	run_job examples/nspawn/web.nomad.hcl && wait_alloc "$ALLOC_ID" running 120 && wait_for 120 'the page' served &&
		wait_for 60 'its check passes' checked && purge_job web
}
t_system() {
	[ -e build/cache/nspawn/debian/.complete ] ||
		{ skip_this 'no Debian tree: debootstrap is missing or has failed'; return 0; }
	run_job examples/nspawn/system.nomad.hcl && wait_alloc "$ALLOC_ID" running 120 &&
		is "$("$NOMAD" alloc exec -i=false -t=false "$ALLOC_ID" cat /proc/1/comm)" systemd && purge_job system
}
t_build() {
	command -v buildah >/dev/null || { skip_this 'no buildah'; return 0; }
	wait_driver build && run_job examples/build/hello.nomad.hcl && wait_alloc "$ALLOC_ID" complete 180 &&
		tar -tf "$AGENT_DIR/data/alloc/$ALLOC_ID/alloc/image.tar" | grep -qx index.json && purge_job hello-build
}
t_end() { stop_agent && is "$(ls "$T/state-nspawn/tasks" "$T/state-build/tasks" | grep -v ':$' | grep .)" ''; }
# The demo of the README, with an agent and without.  It wants trees of its own place, which are there.
t_demo() {
	tree || return 0
	BUILD=$BUILD examples/nspawn/demo.sh >"$T/demo" 2>&1 </dev/null || { tail -n 30 "$T/demo"; return 1; }
	file_has "$T/demo" 'Hello from hello' && file_has "$T/demo" 'ended with exit code 7' &&
		file_has "$T/demo" 'nomad alloc status'
}
t_demo_alone() {
	tree || return 0
	mkdir "$T/bin" && for d in /usr/local/bin /usr/local/sbin /usr/sbin /usr/bin /sbin /bin; do
		for f in "$d"/*; do [ "${f##*/}" = nomad ] || [ -e "$T/bin/${f##*/}" ] || ln -s "$f" "$T/bin/"; done
	done
	PATH=$T/bin BUILD=$BUILD examples/nspawn/demo.sh >"$T/demo" 2>&1 </dev/null ||
		{ tail -n 30 "$T/demo"; return 1; }
	file_has "$T/demo" 'Hello from hello' && file_has "$T/demo" 'ended with exit code 7' &&
		file_has "$T/demo" 'without an agent'
}
# What the README's picture shows is what the commands say now: all but what is the host's own.
t_session() {
	tree || return 0
	mkdir "$T/session" && sed "s|build/cache|$PWD/build/cache|" examples/nspawn/hello.json \
		>"$T/session/hello.json" && .packaging/picture /dev/null >"$T/empty.svg" || return 1
	(cd "$T/session" && PATH=$OLDPWD/$BUILD/plugins:$PATH "$OLDPWD/.packaging/picture" \
		"$OLDPWD/examples/nspawn/session") >"$T/session.svg" || return 1
	for svg in "$T/session.svg" examples/nspawn/session.svg; do
		! command -v xmllint >/dev/null || xmllint --noout "$svg" || return 1
		sed -n 's/.*class="[cos]">\(.*\)<\/text>/\1/p' "$svg" |
			grep -E '^# |^\(exit status|^  [a-z_]+  |g/|hello/hello|^Hello' |
			sed 's/PID [0-9]*/PID/; s|/tmp/[^ ]*|PLACE|g' >"$T/lines"
		[ "$(wc -l <"$T/lines")" -ge 8 ] || { cat "$T/lines"; return 1; }
		mv "$T/lines" "$T/lines-$(basename "$(dirname "$svg")")"
	done
	diff "$T/lines-nspawn" "$T"/lines-"$(basename "$T")"
}

run_test 'each example is in the list, and its test names it' t_list
run_test 'each is formatted' t_format
run_test "agents' configurations are valid; each driver has one, and a first job" t_agents
run_test 'jobs are valid, for their drivers' t_jobs
run_test 'an agent takes the plugins'"'"' blocks' t_agent
run_test 'jobs are valid, for Nomad' t_server
run_test 'nspawn: the first job' t_hello
run_test 'nspawn: the web server, by its service' t_web
run_test 'nspawn: the system' t_system
run_test 'build: the first job' t_build
run_test 'nothing is left' t_end
run_test 'the demo, with an agent' t_demo
run_test 'the demo, without one' t_demo_alone
run_test 'the picture of the README is true' t_session
done_testing
