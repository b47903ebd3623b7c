#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A registry on loopback, and caches.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build
start_registry || skip_all 'no docker-registry, or it does not start'
plugin_config "{ \"insecure_registries\": [\"$REGISTRY\"] }"
containerfile app <<'C'
FROM scratch
ADD rootfs.tar /
RUN echo app >/app
C
PUSH="{ \"reference\": \"$REGISTRY/team/app:1\", \"tls_verify\": false }"
remote() { skopeo inspect --tls-verify=false "docker://$REGISTRY/$1" | jq -r "$2"; }
now_ms() { date +%s%3N; }

t_push() {
	builds "{ \"context\": \"alloc/app\", \"push\": [$PUSH, { \"reference\": \"$REGISTRY/team/app:2\", \"tls_verify\": false }], \"metadata_file\": \"alloc/meta.json\" }" &&
		is "$(jq -r '.pushed[0].digest' "$A/meta.json")" "$(remote team/app:1 .Digest)" && is "$(jq -r '.pushed[1].reference' "$A/meta.json")" "$REGISTRY/team/app:2" &&
		file_has "$T/err" "^event: Pushed $REGISTRY/team/app:1, digest $(remote team/app:1 .Digest)$" && file_has "$T/err" "^event: Pushing to $REGISTRY/team/app:2" &&
		file_has "$T/err" '^event: Pushing .*: layer 1$'
}
t_same() {
	builds "{ \"context\": \"alloc/app\", \"timestamp\": 0, \"output\": [{ \"path\": \"alloc/app.tar\" }], \"push\": [$PUSH] }" && is "$(digest_of "$A/app.tar")" "$(remote team/app:1 .Digest)"
}
t_tls() { plugin_config '{}' && fails "{ \"context\": \"alloc/app\", \"push\": [{ \"reference\": \"$REGISTRY/team/app:1\" }] }" '^event: The push failed with exit code 125: .*HTTP response to HTTPS client' && is "$CODE" 125 && plugin_config "{ \"insecure_registries\": [\"$REGISTRY\"] }"; }
t_unreachable() { fails '{ "context": "alloc/app", "push": [{ "reference": "127.0.0.1:9/x:1", "tls_verify": false }] }' '^event: The push failed with exit code 125: .*connection refused'; }
t_from() {
	containerfile from <<-C && builds '{ "context": "alloc/from", "output": [{ "path": "alloc/from.tar" }] }' && unpack "$A/from.tar" "$T/image" && is "$(cat "$T/image/rootfs/app" "$T/image/rootfs/more")" "app
more"
	FROM $REGISTRY/team/app:1
	RUN echo more >/more
	C
}
t_tls_verify() {
	plugin_config '{}' && fails '{ "context": "alloc/from" }' 'HTTP response to HTTPS client' && builds '{ "context": "alloc/from", "tls_verify": false }'
}
t_policy() {
	plugin_config "{ \"insecure_registries\": [\"$REGISTRY\"], \"allowed_registries\": [\"$REGISTRY/other\", \"example.org\"] }" &&
		fails '{ "context": "alloc/from" }' 'rejected by policy' && is "$CODE" 125 && builds '{ "context": "alloc/app" }' &&
		fails "{ \"context\": \"alloc/app\", \"push\": [$PUSH] }" 'allowed_registries' &&
		plugin_config "{ \"insecure_registries\": [\"$REGISTRY\"], \"allowed_registries\": [\"$REGISTRY/team\"] }" &&
		builds "{ \"context\": \"alloc/from\", \"push\": [$PUSH] }" && plugin_config "{ \"insecure_registries\": [\"$REGISTRY\"] }"
}
run_test 'push twice, events and metadata' t_push
run_test 'the digest of push and archive is the same' t_same
run_test 'push: TLS is wanted by default' t_tls
run_test 'push: unreachable' t_unreachable
run_test 'FROM a registry' t_from
run_test 'FROM a registry: tls_verify' t_tls_verify
run_test 'allowed_registries: FROM and push' t_policy

# ---- Caches
containerfile slow <<'C'
FROM scratch
ADD rootfs.tar /
RUN sleep 6; echo slow >/slow
RUN --mount=type=cache,target=/c cat /c/count 2>/dev/null; echo counted >>/c/count; sleep 6; echo again >/again
C
t_cache() {
	start=$(now_ms) && builds '{ "context": "alloc/slow", "cache": "shared" }' && first=$(($(now_ms) - start)) &&
		start=$(now_ms) && builds '{ "context": "alloc/slow", "cache": "shared" }' && second=$(($(now_ms) - start)) &&
		file_has "$T/out" 'Using cache' && diag "without cache $first ms, with it $second ms" >&2 && [ $((second * 5)) -le $first ]
}
t_cache_namespace() { [ -d "$T/state/builds/cache/default~shared" ]; }
t_cache_mount() {
	echo '# changed' >>"$A/slow/Containerfile" && sed -i 's/echo slow/echo slower/' "$A/slow/Containerfile" && builds '{ "context": "alloc/slow", "cache": "shared" }' && file_has "$T/out" '^counted$'
}
t_remote_cache() {
	R="\"cache_to\": \"$REGISTRY/cache\", \"cache_from\": \"$REGISTRY/cache\", \"tls_verify\": false"
	builds "{ \"context\": \"alloc/slow\", $R }" && builds "{ \"context\": \"alloc/slow\", $R }" && file_has "$T/out" 'Cache pulled from remote'
}
t_killed_cache() {
	containerfile hang <<-'C' && spawn_build '{ "context": "alloc/hang", "cache": "shared" }' && wait_for 60 'the step' has_said 'STEP 3' || return 1
	FROM scratch
	ADD rootfs.tar /
	RUN sleep 1000
	C
	kill -9 "$(pgrep -f 'buildah --root' | head -n 1)"; end_build
	is "$CODE" 137 && grep -q working "$T/state/builds/cache/default~shared/root-overlay/overlay-containers/containers.json" || echo 'nothing was left'
	builds '{ "context": "alloc/app", "cache": "shared" }' && is "$(jq length "$T/state/builds/cache/default~shared/root-"*/*-containers/containers.json)" 0
}
t_shared_concurrently() {
	for i in 1 2 3 4; do spawn_build '{ "context": "alloc/app", "cache": "shared" }' "c$i"; eval "p$i=\$TASK_PID"; done
	for i in 1 2 3 4; do eval "wait \$p$i" || { cat "$T/err-c$i"; return 1; }; done
}
t_gc() {
	plugin_config '{ "cache_mb": 1 }' && builds '{ "context": "alloc/app", "cache": "other" }' &&
		is "$(find "$T/state/builds/cache" -mindepth 2 ! -name lock | wc -l)" 0 && builds '{ "context": "alloc/app", "cache": "shared" }'
}
run_test 'a rebuild with cache is five times as fast' t_cache
run_test 'a cache belongs to a Nomad namespace' t_cache_namespace
run_test 'RUN --mount=type=cache is kept in it' t_cache_mount
run_test 'cache_to and cache_from' t_remote_cache
run_test 'four builds share a cache' t_shared_concurrently
run_test 'what a killed build left in a cache is removed' t_killed_cache
run_test 'a cache beyond the limit is removed' t_gc
run_test 'nothing is left' nothing_left
done_testing
