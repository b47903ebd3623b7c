#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Under a real Nomad agent.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build
require_nomad
requires umoci
mkdir "$T/plugins" && cp "$DRIVER" "$T/plugins/"
cat >"$T/plugin.hcl" <<CONFIG
plugin "nomad-driver-build" {
  config {
    state_dir = "$T/state"
  }
}
plugin "raw_exec" {
  config {
    enabled = true
  }
}
CONFIG
# job ID CONTAINERFILE CONFIG FILTER: the Containerfile comes by a template, the rest by a prestart task's copy.
job() {
	job_json "$1" build "$3" batch | jq --arg text "$2" --arg tar "${TAR:-$A/rootfs.tar}" \
		-f test/build/prepare.jq |
		jq ".Job.TaskGroups[0].Tasks[0] |= (${4:-.})" >"$T/$1.json" && run_job "$T/$1.json"
}
HEAD='FROM scratch
ADD rootfs.tar /'
logged() { alloc_logs "$ALLOC_ID" task "${2:-stdout}" 2>/dev/null | grep -Eq "$1"; }
alloc_dir() { echo "$AGENT_DIR/data/alloc/$ALLOC_ID"; }

t_start() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver build; }
t_attributes() {
	node=$(node_driver build | jq .Attributes)
	like "$(echo "$node" | jq -r '.["driver.build.version"]')" '^[0-9]+\.[0-9]+' &&
		like "$(echo "$node" | jq -r '.["driver.build.storage_driver"]')" '^(overlay|vfs)$' &&
		like "$(echo "$node" | jq -r '.["driver.build.isolation"]')" '^chroot' &&
		like "$(echo "$node" | jq -r '.["driver.build.engine"]')" '^(buildah|podman)$' ||
		{ echo "$node"; return 1; }
}
t_example() {
	run_job examples/build/build.nomad.hcl && wait_alloc "$ALLOC_ID" complete 120 &&
		wait_for 60 'the check is done' sh -c \
		"[ \"\$('$NOMAD' alloc status -json $ALLOC_ID | jq -r .TaskStates.check.State)\" = dead ]" &&
		wait_for 20 'its log' sh -c "'$NOMAD' alloc logs $ALLOC_ID check | grep -qx 'hello from a build'" &&
		is "$(task_exit_code "$ALLOC_ID" check)" 0 ||
		{ alloc_logs "$ALLOC_ID" check; alloc_logs "$ALLOC_ID" check stderr; task_events "$ALLOC_ID" check
		return 1; }
}
t_example_json() { "$NOMAD" job run -output examples/build/build.nomad.hcl | jq -S .Job.TaskGroups[0].Tasks >"$T/a" &&
	jq -S .Job.TaskGroups[0].Tasks examples/build/build.json | diff "$T/a" -; }
t_events() {
	task_events "$ALLOC_ID" build >"$T/events"
	file_has "$T/events" 'Received' && file_has "$T/events" 'Driver: Building with buildah' &&
		file_has "$T/events" 'Built image sha256:.*; wrote alloc/image, digest sha256:' &&
		unlike "$(cat "$T/events")" STEP
}
t_secret() {
	job secret "$HEAD
RUN --mount=type=secret,id=file cat /run/secrets/file | wc -c
RUN --mount=type=secret,id=var cat /run/secrets/var | wc -c" \
	'{ "context": "alloc/src", "secrets": [{ "file": "secrets/token", "var": "env:TOKEN" }] }' \
		'.Templates = [{ DestPath: "secrets/token", EmbeddedTmpl: "s3cr3t-file" }, { DestPath: "secrets/env",
		EmbeddedTmpl: "TOKEN=s3cr3t-variable", Envvars: true }]' &&
		wait_alloc "$ALLOC_ID" complete 90 && wait_for 20 'the log' logged '^11$' && logged '^15$' &&
		! grep -rq s3cr3t "$T/state" "$(alloc_dir)/alloc" && ! task_events "$ALLOC_ID" task | grep -q s3cr3t
}
# A stage's link leads to the jail's root: what is there of the secrets directory is what the job names.
t_undeclared() {
	job undeclared "$HEAD
RUN ln -s / /link
FROM scratch
ADD rootfs.tar /
RUN --mount=type=bind,from=0,source=/link,target=/m echo \"seen: \$(find /m/secrets /m/task/secrets \
	/m/run/build-secrets /m/task/private ! -type d | sort | tr '\\n' ' ')\"; \
	cat /m/secrets/dir/token | wc -c; cat /m/secrets/nomad_token /m/secrets/other; sleep 0.2" \
	'{ "context": "alloc/src", "secrets": [{ "a": "secrets/dir/token", "b": "secrets/dir/token" }] }' \
		'.Identity = { File: true } | .Templates = [{ DestPath: "secrets/dir/token",
		EmbeddedTmpl: "s3cr3t" }, { DestPath: "secrets/other", EmbeddedTmpl: "und3clar3d" }]' &&
		wait_alloc "$ALLOC_ID" complete 90 && wait_for 20 'the log' logged '^seen: ' || return 1
	there=$(ls -a "$(alloc_dir)/task/secrets") &&
		like "$there" nomad_token && like "$there" other &&
		like "$(alloc_logs "$ALLOC_ID" task)" '^seen: /m/secrets/dir/token $' && logged '^6$' &&
		unlike "$(alloc_logs "$ALLOC_ID" task)" und3clar3d
}
# A program that speaks the agent's protocol, with its libraries, in place of busybox' tree alone.
ssh_tree() {
	cp -a "$T/root" "$T/ssh" && echo 'root:x:0:0:root:/:/bin/sh' >"$T/ssh/etc/passwd" &&
		cp -L "$(command -v ssh-add)" "$T/ssh/bin/" &&
		ldd "$(command -v ssh-add)" | grep -o '/[^ ]*' | while read -r _lib; do mkdir -p "$T/ssh${_lib%/*}" &&
		cp -L "$_lib" "$T/ssh$_lib" || exit 1; done &&
		tar -C "$T/ssh" -cf "$T/ssh.tar" . && TAR=$T/ssh.tar
}
t_ssh() {
	command -v ssh-add >/dev/null && command -v ssh-keygen >/dev/null ||
		{ skip_this 'no openssh-client'; return 0; }
	ssh_tree && ssh-keygen -q -t ed25519 -N '' -C of-the-test -f "$T/key" && part=$(sed -n 3p "$T/key") &&
		print=$(ssh-keygen -lf "$T/key.pub" | cut -d' ' -f2) || return 1
	job ssh "$HEAD
RUN --mount=type=ssh,id=git ssh-add -l && \\
	echo \"keys: \$(find / -xdev -type f -exec grep -l '^-----BEGIN OPENSSH' {} + 2>/dev/null | \\
	grep -vc ssh-add)\" && sleep 4
RUN echo \"later: '\$SSH_AUTH_SOCK' \$(ls /run/buildkit 2>/dev/null)\"" \
	'{ "context": "alloc/src", "ssh": [{ "git": "secrets/key" }], "output": [{ "path": "alloc/out.tar" }],
	"metadata_file": "alloc/meta.json" }' \
		".Templates = [{ DestPath: \"secrets/key\", Perms: \"600\",
		EmbeddedTmpl: \"$(awk '{ printf "%s\\n", $0 }' "$T/key")\" }]" || return 1
	TAR=
	wait_for 90 'the step has the key' logged "^256 $(echo "$print" | sed 's/[+]/[+]/g') " ||
		{ alloc_logs "$ALLOC_ID" task; alloc_logs "$ALLOC_ID" task stderr; return 1; }
	pid=$(pgrep -f 'buildah --root' | head -n 1) && [ -n "$pid" ] &&
		cat /proc/[0-9]*/cmdline >"$T/cmdlines" 2>/dev/null; cat /proc/[0-9]*/environ >"$T/environs" 2>/dev/null
	grep -aq 'git=/secrets/key' "$T/cmdlines" && ! grep -aqF "$part" "$T/cmdlines" "$T/environs" ||
		{ echo 'the key, or no engine, among the processes'; return 1; }
	wait_alloc "$ALLOC_ID" complete 90 && wait_for 20 'the log' logged "^later: '' \$" && logged '^keys: 0$' ||
		return 1
	{ alloc_logs "$ALLOC_ID" task; alloc_logs "$ALLOC_ID" task stderr; task_events "$ALLOC_ID" task
		cat "$(alloc_dir)/alloc/meta.json"; } >"$T/said" 2>&1
	rm -rf "$T/x" && mkdir "$T/x" && tar -C "$T/x" -xf "$(alloc_dir)/alloc/out.tar" &&
		for b in "$T"/x/blobs/sha256/*; do gunzip -c "$b" 2>/dev/null || cat "$b"; done >"$T/all" &&
		grep -aq 'bin/ssh-add' "$T/all" && ! grep -aqF "$part" "$T/all" "$T/said" &&
		! grep -raqF "$part" "$T/state"
}
t_fails() { job seven "$HEAD
RUN exit 7" '{ "context": "alloc/src" }' && wait_alloc "$ALLOC_ID" failed 90 &&
	is "$(task_exit_code "$ALLOC_ID" task)" 7 && like "$(task_events "$ALLOC_ID" task)" \
	'The build failed with exit code 7'; }
t_missing() { job missing "$HEAD" '{ "context": "alloc/nosuch" }' && wait_alloc "$ALLOC_ID" failed 90 &&
	like "$(task_events "$ALLOC_ID" task)" "context: there is no 'alloc/nosuch'"; }
hang() { job "$1" "$HEAD
RUN echo working; sleep ${2:-1000}; echo rested" \
	'{ "context": "alloc/src", "output": [{ "path": "${NOMAD_ALLOC_DIR}/out.tar" }] }' &&
	wait_for 90 'the step runs' logged '^working'; }
t_stop() {
	hang stopped && "$NOMAD" job stop -detach stopped >/dev/null &&
		wait_for 60 'the end' sh -c \
		"[ \"\$('$NOMAD' alloc status -json $ALLOC_ID | jq -r .TaskStates.task.State)\" = dead ]" &&
		wait_for 20 'its storage is gone' no_storage && ! pgrep -f 'buildah --root'
}
t_plugin_killed() { hang recovered 15 && kill -9 "$(plugin_pid nomad-driver-build)" && sleep 1 &&
	pgrep -f 'buildah --root' >/dev/null && wait_driver build; }
t_agent_killed() {
	stop_agent KILL && start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver build &&
		wait_alloc "$ALLOC_ID" complete 120 && is "$(task_exit_code "$ALLOC_ID" task)" 0 &&
		is "$(task_state "$ALLOC_ID" task | jq .Restarts)" 0 && wait_for 20 'the whole log' logged '^rested' &&
		skopeo inspect "oci-archive:$(alloc_dir)/alloc/out.tar" >/dev/null &&
		like "$(task_events "$ALLOC_ID" task)" 'wrote alloc/out.tar, digest sha256:'
}
t_end() { stop_agent && nothing_left; }
run_test 'the driver is healthy' t_start
run_test 'attributes of the node' t_attributes
run_test 'the example: prepare, build, check' t_example
run_test 'the example as JSON is the same' t_example_json
run_test 'its events show image and digest, and no step' t_events
run_test 'secrets from templates: a file and a variable' t_secret
run_test 'what the job does not name of its secrets is not in the jail' t_undeclared
run_test 'ssh: a step asks an agent for a key that is in no layer, log, command line or state' t_ssh
run_test 'exit code of RUN' t_fails
run_test 'a missing context is named' t_missing
run_test 'stop' t_stop
run_test 'a killed plugin: the build goes on' t_plugin_killed
run_test 'a killed agent: the build goes on to its end' t_agent_killed
run_test 'the agent stops, nothing is left' t_end
done_testing
