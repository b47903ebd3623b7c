#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# podman as the engine.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
requires podman
need_build
requires umoci
PODMAN="{ \"engine\": \"$(command -v podman)\" }"
plugin_config "$PODMAN"
OUT='"output": [{ "path": "alloc/out.tar" }]'
containerfile plain <<'C'
FROM scratch AS base
ADD rootfs.tar /
ARG WHO=nobody
RUN echo "hello $WHO" >/greeting && echo 'to the log' && echo 'to the error log' >&2
FROM base
RUN --mount=type=secret,id=token cat /run/secrets/token | wc -c
C

t_doctor() { "$DRIVER" doctor --config "$T/plugin.json" >"$T/doctor" && file_has "$T/doctor" '^ok *engine'; }
run_test 'doctor finds the host fit' t_doctor
t_plain() {
	builds "{ \"context\": \"alloc/plain\", $OUT, \"args\": { \"WHO\": \"world\" }, \"timestamp\": 0,
		\"tags\": [\"example.org/a:1\"], \"labels\": { \"k\": \"v\" }, \"metadata_file\": \"alloc/meta.json\",
			\"secrets\": { \"token\": \"env:TOKEN\" } }" '.Env = { TOKEN: "s3cr3t" }' &&
		file_has "$T/out" '^6$' && file_has "$T/out" '^to the log$' && file_has "$T/err" '^to the error log$' &&
		unpack "$A/out.tar" "$T/image" &&
		is "$(cat "$T/image/rootfs/greeting")" 'hello world' &&
		is "$(skopeo inspect "oci-archive:$A/out.tar" | jq -r .Labels.k)" v
}
run_test 'stages, an argument, a secret, an archive' t_plain
census_before
t_meta() {
	is "$(jq -r .digest "$A/meta.json")" "$(digest_of "$A/out.tar")" &&
		jq -e '.size > 100000 and (.steps | length > 5)' "$A/meta.json" &&
		is "$(jq -r .image_id "$A/meta.json")" \
		"$(skopeo inspect --raw "oci-archive:$A/out.tar" | jq -r .config.digest)" &&
		file_has "$T/err" "^event: Built .*; wrote alloc/out.tar, digest $(digest_of "$A/out.tar")"
}
run_test 'metadata_file and events' t_meta
t_timestamp() {
	SAME="{ \"context\": \"alloc/plain\", $OUT, \"timestamp\": 0 }"
	builds "$SAME" && first=$(digest_of "$A/out.tar") && rm "$A/out.tar" && touch "$A/plain/Containerfile" &&
		builds "$SAME" && is "$(digest_of "$A/out.tar")" "$first"
}
run_test 'timestamp: the same digest twice' t_timestamp
t_code() {
	containerfile seven <<-'C' && build '{ "context": "alloc/seven" }' && is "$CODE" 7
	FROM scratch
	ADD rootfs.tar /
	RUN exit 7
	C
}
run_test 'exit code of RUN' t_code
t_jail() {
	mkdir -p "$T/host" && echo 'of the host' >"$T/host/file" && containerfile hostile \
		<<-C &&
	FROM scratch AS a
	ADD rootfs.tar /
	RUN ln -s $T/host /link
	FROM scratch
	ADD rootfs.tar /
	RUN --mount=type=bind,from=a,source=/link,target=/m,rw cat /m/file; touch /m/new
	C
		build '{ "context": "alloc/hostile" }' && ! grep -q 'of the host' "$T/out" "$T/err" &&
		is "$(ls "$T/host")" file
}
run_test 'a bind mount through a symbolic link of another stage' t_jail
t_oci() {
	command -v crun >/dev/null || { skip_this 'no crun'; return 0; }
	containerfile oci <<-'C' &&
	FROM scratch
	ADD rootfs.tar /
	RUN echo "processes $(ls -d /proc/[0-9]* | wc -l)"
	C
		builds '{ "context": "alloc/oci", "isolation": "oci" }' && file_has "$T/out" '^processes [1-4]$'
}
run_test 'isolation oci' t_oci
t_cache() {
	builds '{ "context": "alloc/plain", "cache": "pods" }' && builds \
		"{ \"context\": \"alloc/plain\", \"cache\": \"pods\", $OUT }" &&
		is "$(grep -c 'Using cache' "$T/out")" 4
	_r=$?; rm -rf "$T/state/builds/cache"; return $_r
}
run_test 'cache' t_cache
t_stop() {
	containerfile hang <<-'C' && spawn_build '{ "context": "alloc/hang" }' && wait_for 60 'the step' has_said '^working' && end_build TERM && [ "$CODE" -ne 0 ]
	FROM scratch
	ADD rootfs.tar /
	RUN echo working; sleep 1000
	C
}
run_test 'stop' t_stop
t_killed() { spawn_build '{ "context": "alloc/hang" }' && wait_for 60 'the step' has_said '^working' &&
	kill -9 "$(pgrep -f 'podman --root' | head -n 1)"; end_build; is "$CODE" 137; }
run_test 'the engine is killed' t_killed
run_test 'nothing is left' nothing_left
run_test 'census' census_after
done_testing
