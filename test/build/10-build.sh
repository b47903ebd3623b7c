#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Builds without a network: what options do, seen in the images that come out.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build
requires umoci

t_doctor() { "$DRIVER" doctor --config "$T/plugin.json" >"$T/doctor" && file_has "$T/doctor" '^ok *engine'; }
run_test 'doctor finds the host fit' t_doctor
t_no_engine() {
	plugin_config '{ "engine": "/no/such/engine" }' && "$DRIVER" doctor --config "$T/plugin.json" >"$T/doctor" \
		2>&1 && return 1
	plugin_config '{}' && file_has "$T/doctor" "no program '/no/such/engine'" && file_has "$T/doctor" 'set engine'
}
run_test 'doctor: a missing engine, with its remedy' t_no_engine
t_hidden_engine() {
	plugin_config '{ "engine": "/tmp/buildah" }' && "$DRIVER" doctor --config "$T/plugin.json" >"$T/doctor" 2>&1 &&
		return 1
	plugin_config '{}' && file_has "$T/doctor" "engine.*'/tmp/buildah'.*outside of /build"
}
run_test 'doctor: an engine that the jail would hide' t_hidden_engine

containerfile plain <<'C'
FROM scratch AS base
ADD rootfs.tar /
ARG WHO=nobody
RUN echo "hello $WHO" >/greeting && echo 'to the log' && echo 'to the error log' >&2
ENTRYPOINT ["/bin/cat", "/greeting"]

FROM base AS more
RUN echo more >/more

FROM base
COPY --from=more /more /copied
COPY Containerfile /
C
PLAIN='"context": "alloc/plain"'
OUT='"output": [{ "path": "alloc/out.tar" }]'
builds "{ $PLAIN }" || diag 'the first build failed'
census_before

t_plain() {
	builds "{ $PLAIN, $OUT, \"metadata_file\": \"alloc/meta.json\", \"args\": { \"WHO\": \"world\" },
		\"tags\": [\"example.org/a/b:1\"] }" &&
		unpack "$A/out.tar" "$T/image" && is "$(cat "$T/image/rootfs/greeting" "$T/image/rootfs/copied")" \
		"hello world
more"
}
run_test 'FROM scratch, stages, an argument' t_plain
t_logs() { file_has "$T/out" '^to the log$' && file_has "$T/err" '^to the error log$' &&
	file_has "$T/out" 'STEP 2/5: ADD rootfs.tar /'; }
run_test 'logs: both streams' t_logs
t_events() {
	_id=$(skopeo inspect --raw "oci-archive:$A/out.tar" | jq -r .config.digest)
	is "$(grep '^event: ' "$T/err")" "event: Building with buildah $(buildah --version | cut -d' ' -f3)
event: Built image $_id; wrote alloc/out.tar, digest $(digest_of "$A/out.tar")"
}
run_test 'two events: the beginning, and what came of it' t_events
t_meta() {
	is "$(jq -r .digest "$A/meta.json")" "$(digest_of "$A/out.tar")" &&
		is "$(jq -c .tags "$A/meta.json")" '["example.org/a/b:1"]' &&
		jq -e '.size > 1000000 and (.steps | length > 5) and (.steps |
		all(.duration_ms >= 0)) and .duration_ms > 0 and .pushed == []' "$A/meta.json" &&
		is "$(jq -r .image_id "$A/meta.json")" \
		"$(skopeo inspect --raw "oci-archive:$A/out.tar" | jq -r .config.digest)" ||
		{ cat "$A/meta.json"; return 1; }
}
run_test 'metadata_file' t_meta
t_runs() {
	command -v crun >/dev/null || { skip_this 'no crun'; return 0; }
	jq '.process.terminal = false | .linux = { namespaces: [{ type: "mount" },
		{ type: "pid" }] } | del(.hostname)' \
		"$T/image/config.json" >"$T/image/c" && mv "$T/image/c" "$T/image/config.json" || return 1
	# A hybrid cgroup hierarchy is none of crun's.
	is "$(unshare --mount sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null;
		crun --root "$1/crun" run --bundle "$1/image" t' sh "$T" 2>&1)" 'hello world'
}
run_test 'crun runs the image' t_runs
t_target() {
	builds "{ $PLAIN, $OUT, \"target\": \"more\" }" && unpack "$A/out.tar" "$T/image" &&
		is "$(ls "$T/image/rootfs/more" "$T/image/rootfs/copied" 2>/dev/null)" "$T/image/rootfs/more"
}
run_test 'target' t_target
t_layout() {
	builds "{ $PLAIN, \"output\": [{ \"type\": \"oci\", \"path\": \"alloc/layout\", \"reference\": \"v1\" },
		{ \"type\": \"docker-archive\", \"path\": \"/alloc/docker.tar\", \"reference\": \"x/y:2\" }] }" &&
		is "$(jq -c . "$A/layout/oci-layout")" '{"imageLayoutVersion":"1.0.0"}' &&
		is "$(umoci ls --layout "$A/layout")" v1 &&
		( cd "$A/layout/blobs/sha256" && for b in *; do echo "$b  $b"; done | sha256sum -c --status ) &&
		is "$(tar -xOf "$A/docker.tar" manifest.json | jq -r '.[0].RepoTags[0]')" 'docker.io/x/y:2'
}
run_test 'an OCI layout whose blobs are true, and a docker-archive' t_layout
t_again() { builds "{ $PLAIN, \"output\": [{ \"type\": \"docker-archive\", \"path\": \"alloc/docker.tar\" }] }"; }
run_test 'an archive that exists is replaced' t_again
t_labels() {
	builds "{ $PLAIN, $OUT, \"labels\": { \"org.example.a\": \"x y\" }, \"annotations\": { \"k\": \"v=w\" } }" &&
		is "$(skopeo inspect "oci-archive:$A/out.tar" | jq -r '.Labels["org.example.a"]')" 'x y' &&
		is "$(skopeo inspect --raw "oci-archive:$A/out.tar" | jq -r '.annotations.k')" 'v=w'
}
run_test 'labels and annotations' t_labels
t_timestamp() {
	builds "{ $PLAIN, $OUT, \"timestamp\": 1000000000 }" && first=$(digest_of "$A/out.tar") && rm "$A/out.tar" &&
		touch "$A/plain/Containerfile" &&
		builds "{ $PLAIN, $OUT, \"timestamp\": 1000000000 }" && is "$(digest_of "$A/out.tar")" "$first" &&
		is "$(skopeo inspect "oci-archive:$A/out.tar" | jq -r .Created)" '2001-09-09T01:46:40Z'
}
run_test 'timestamp: the same digest twice' t_timestamp
t_squash() { builds "{ $PLAIN, $OUT, \"layers\": true, \"squash\": true }" &&
	is "$(skopeo inspect "oci-archive:$A/out.tar" | jq '.Layers | length')" 1; }
run_test 'squash' t_squash
t_contexts() {
	mkdir -p "$A/assets" && echo asset >"$A/assets/file" &&
		containerfile contexts <<-'C' &&
		FROM basis
		COPY --from=assets file /file
		C
		builds "{ $PLAIN, \"output\": [{ \"path\": \"alloc/base.tar\" }] }" &&
		builds "{ \"context\": \"alloc/contexts\", $OUT, \"build_contexts\": { \"assets\": \"alloc/assets\",
		\"basis\": \"oci-archive:alloc/base.tar\" } }" &&
		unpack "$A/out.tar" "$T/image" && is "$(cat "$T/image/rootfs/file" "$T/image/rootfs/copied")" "asset
more"
}
run_test 'build_contexts: a directory and an archive as base' t_contexts
t_from_archive() {
	containerfile fromarchive <<-'C' &&
	FROM oci-archive:/alloc/base.tar
	RUN echo x >/x
	C
		builds "{ \"context\": \"alloc/fromarchive\", $OUT }" && unpack "$A/out.tar" "$T/image" &&
		is "$(cat "$T/image/rootfs/x")" x
}
run_test 'FROM an archive of the allocation' t_from_archive
t_dockerfile() {
	mkdir -p "$A/docker" && cp "$A/plain/Containerfile" "$A/docker/Dockerfile" &&
		ln -f "$A/rootfs.tar" "$A/docker/" && cp "$A/docker/Dockerfile" "$A/docker/Containerfile.x" &&
		sed -i 's/^COPY Containerfile.*//' "$A/docker/"* 2>/dev/null
		ln -f "$A/rootfs.tar" "$A/docker/rootfs.tar"
	builds '{ "context": "alloc/docker" }' &&
		builds '{ "context": "alloc/docker", "dockerfile": "Containerfile.x" }' &&
		builds '{ "context": "alloc/docker", "containerfile": "/alloc/docker/Containerfile.x" }'
}
run_test 'Dockerfile by default, dockerfile, containerfile with a path' t_dockerfile
t_ulimit() {
	containerfile ulimit <<-'C' && builds '{ "context": "alloc/ulimit", "ulimits": { "nofile": "123:456" } }' && file_has "$T/out" '^files 123$'
	FROM scratch
	ADD rootfs.tar /
	RUN echo "files $(ulimit -n)"
	C
}
run_test 'ulimits' t_ulimit
t_memory() {
	containerfile memory <<-'C' &&
	FROM scratch
	ADD rootfs.tar /
	RUN x=x; while :; do x=$x$x; done
	C
		fails '{ "context": "alloc/memory" }' '^event: (Killed: out of memory|The build failed)' \
		'.Resources.MemoryMB = 100'
}
run_test 'the memory limit of the task holds for RUN' t_memory
t_oci() {
	plugin_config '{}' && containerfile oci \
		<<-'C' &&
	FROM scratch
	ADD rootfs.tar /
	RUN echo "processes $(ls -d /proc/[0-9]* | wc -l)"
	C
		builds '{ "context": "alloc/oci", "isolation": "oci" }' && file_has "$T/out" '^processes [1-4]$'
}
run_test 'isolation oci' t_oci
# The engine's own filter of system calls is one; ours, which skips waits for the disk, another.
t_sync() {
	containerfile sync <<-'C' &&
	FROM scratch
	ADD rootfs.tar /
	RUN grep Seccomp_filters /proc/self/status; echo "GOGC '$GOGC'"
	C
		builds '{ "context": "alloc/sync" }' && file_has "$T/out" '^Seccomp_filters:.2$' &&
		builds '{ "context": "alloc/sync", "cache": "sync" }' && file_has "$T/out" '^Seccomp_filters:.1$'
	file_has "$T/out" "^GOGC ''$"; _r=$?; rm -rf "$T/state/builds/cache"; return $_r
}
run_test 'only a storage that stays waits for the disk' t_sync
t_features() {
	file_has "$T/state/builds/features" "^$(uname -r) " && file_has "$T/state/builds/features" \
		'^native-diff\(nodev\)-(true|false)$' &&
		sed -i '1!d' "$T/state/builds/features" && builds "{ $PLAIN }" &&
		is "$(wc -l <"$T/state/builds/features")" 1 &&
		echo 'another kernel' >"$T/state/builds/features" && builds "{ $PLAIN }" &&
		file_has "$T/state/builds/features" '^native-diff'
}
run_test 'what the engine finds out of overlay is kept for this kernel and engine' t_features
t_vfs() { plugin_config '{ "storage_driver": "vfs" }' && builds "{ $PLAIN, $OUT }" && plugin_config '{}'; }
run_test 'storage driver vfs' t_vfs

# ---- Secrets
t_secret() {
	containerfile secret <<-'C' &&
	FROM scratch
	ADD rootfs.tar /
	RUN --mount=type=secret,id=token cat /run/secrets/token | wc -c
	RUN ls -l /run/secrets; ! [ -e /run/secrets/token ]
	C
	builds "{ \"context\": \"alloc/secret\", $OUT, \"layers\": true, \"secrets\": { \"token\": \"env:TOKEN\" },
		\"metadata_file\": \"alloc/meta.json\" }" '.Env = { TOKEN: "s3cr3t-in-no-layer" }' &&
		file_has "$T/out" '^18$'
}
run_test 'a secret of the environment reaches RUN' t_secret
t_secret_absent() {
	! grep -q s3cr3t "$T/out" "$T/err" "$A/meta.json" || { echo 'it is in the logs'; return 1; }
	rm -rf "$T/x" && mkdir "$T/x" && tar -C "$T/x" -xf "$A/out.tar" && cd "$T/x/blobs/sha256" &&
		for b in *; do gunzip -c "$b" 2>/dev/null || cat "$b"; done >"$T/all" && cd - >/dev/null &&
		! grep -aq s3cr3t "$T/all" && grep -aq run/secrets "$T/all" && ! grep -raq s3cr3t "$T/state"
}
run_test 'and is in no log, layer or file' t_secret_absent
t_secret_argv() {
	containerfile argv <<-'C' &&
	FROM scratch
	ADD rootfs.tar /
	RUN --mount=type=secret,id=token echo ready; sleep 3; cat /run/secrets/token | wc -c
	C
	job_of '{ "context": "alloc/argv", "secrets": { "token": "env:TOKEN" } }' '.Env = { TOKEN: "s3cr3t-argv" }' \
		>"$T/job.json"
	"$DRIVER" run --config "$T/plugin.json" --alloc "$A" "$T/job.json" >"$T/out" 2>&1 &
	wait_for 60 'the step' grep -q '^ready' "$T/out" && pid=$(pgrep -f 'buildah --root' | head -n 1) &&
		[ -n "$pid" ] &&
		! cat /proc/[0-9]*/cmdline 2>/dev/null | grep -aq 's3cr[3]t' &&
		! grep -aq s3cr3t "/proc/$pid/environ" &&
		! grep -raq s3cr3t "$T/state" && wait $! && file_has "$T/out" '^11$'
}
run_test 'while it runs: in no command line, state file or engine environment' t_secret_argv

# ---- Failures
t_code() {
	containerfile seven <<-'C' &&
	FROM scratch
	ADD rootfs.tar /
	RUN exit 7
	C
		build '{ "context": "alloc/seven" }' && is "$CODE" 7 &&
		file_has "$T/err" '^event: The build failed with exit code 7: '
}
run_test 'exit code of RUN' t_code
t_tool_error() {
	containerfile bad <<-'C' &&
	FROM scratch
	COPY nosuch /
	C
		build '{ "context": "alloc/bad" }' && is "$CODE" 125 &&
		file_has "$T/err" '^event: The build failed with exit code 125: .*nosuch'
}
run_test 'an error of the engine' t_tool_error
refused() { fails "$1" "$2" && ! grep -q STEP "$T/out"; }
run_test 'no context' refused '{ "context": "alloc/nosuch" }' "context: there is no 'alloc/nosuch'"
run_test 'no Containerfile' refused '{ "context": "alloc/data" }' 'neither a Containerfile nor a Dockerfile'
run_test 'both names' refused '{ "context": "alloc/plain", "containerfile": "a", "dockerfile": "b" }' 'the same option'
run_test 'a push without a registry' refused '{ "context": "alloc/plain", "push": [{ "reference": "busybox" }] }' \
	'with a registry in front'
run_test 'a secret that is not there' refused '{ "context": "alloc/plain", "secrets": { "a": "env:NONE" } }' \
	"'NONE' is not in the environment"
run_test 'a secret from elsewhere' refused '{ "context": "alloc/plain", "secrets": { "a": "alloc/rootfs.tar" } }' \
	'is not in the secrets directory'
t_output_dir() { refused "{ $PLAIN, \"output\": [{ \"path\": \"alloc/no/dir/x.tar\" }] }" \
	"output: the directory of .alloc/no/dir/x.tar. is not there"; }
run_test 'an output in a directory that is not there' t_output_dir
run_test 'nothing is left' nothing_left
run_test 'census' census_after
done_testing
