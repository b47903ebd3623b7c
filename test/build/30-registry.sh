#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A registry on loopback, and caches.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build
use_host_network
start_registry || skip_all 'no docker-registry, or it does not start'
plugin_config "{ \"insecure_registries\": [\"$REGISTRY\"] }"
containerfile app <<'C'
FROM scratch
ADD rootfs.tar /
RUN echo app >/app
C
PUSH="{ \"reference\": \"$REGISTRY/team/app:1\", \"tls_verify\": false }"
remote() { skopeo inspect --tls-verify=false "docker://$REGISTRY/$1" | jq -r "$2"; }
FIRST_REGISTRY=$REGISTRY

t_push() {
	builds "{ \"context\": \"alloc/app\", \"push\": [$PUSH, { \"reference\": \"$REGISTRY/team/app:2\",
		\"tls_verify\": false }], \"metadata_file\": \"alloc/meta.json\" }" &&
		is "$(jq -r '.pushed[0].digest' "$A/meta.json")" "$(remote team/app:1 .Digest)" &&
		is "$(jq -r '.pushed[1].reference' "$A/meta.json")" "$REGISTRY/team/app:2" &&
		file_has "$T/err" "^event: Built .*; pushed $REGISTRY/team/app:1, digest $(remote team/app:1 .Digest); pushed "
}
t_same() {
	builds "{ \"context\": \"alloc/app\", \"timestamp\": 0, \"output\": [{ \"path\": \"alloc/app.tar\" }],
		\"push\": [$PUSH] }" && is "$(digest_of "$A/app.tar")" "$(remote team/app:1 .Digest)"
}
t_tls() { plugin_config '{}' && fails "{ \"context\": \"alloc/app\", \"push\": [{ \"reference\":
	\"$REGISTRY/team/app:1\" }] }" '^event: The push failed with exit code 125: .*HTTP response to HTTPS client' &&
		is "$CODE" 125 && plugin_config "{ \"insecure_registries\": [\"$REGISTRY\"] }"; }
t_unreachable() { fails '{ "context": "alloc/app", "push": [{ "reference": "127.0.0.1:9/x:1",
		"tls_verify": false, "retry": 0 }] }' '^event: The push failed with exit code 125: .*connection refused' &&
	! grep -q 'again' "$T/err"; }
# Nobody listens at first.
t_retry() {
	late=$(_free_ports 1)
	sed "s/addr: .*/addr: 127.0.0.1:$late/" "$T/registry${REGISTRY##*:}.yml" >"$T/late.yml" &&
		spawn_build "{ \"context\": \"alloc/app\", \"push\": [{ \"reference\": \"127.0.0.1:$late/late/x:1\",
		\"tls_verify\": false, \"retry\": 5 }] }" retry &&
		wait_for 120 'the second attempt' grep -q 'again in 5 s (1 of 5)' "$T/err-retry" || return 1
	docker-registry serve "$T/late.yml" >"$T/late.log" 2>&1 </dev/null &
	cleanup "kill $!"
	end_build
	is "$CODE" 0 && file_has "$T/err-retry" "^event: Built .*; pushed 127.0.0.1:$late/late/x:1, digest "
}
# A wait for the next attempt ends with the task.
t_retry_stopped() {
	spawn_build '{ "context": "alloc/app", "push": [{ "reference": "127.0.0.1:9/x:1", "tls_verify": false,
		"retry": 9 }] }' stop &&
		wait_for 120 'an attempt is announced' grep -q 'again in 5 s' "$T/err-stop" || return 1
	began=$(date +%s); end_build TERM
	[ "$CODE" -ne 0 ] && [ $(($(date +%s) - began)) -lt 5 ]
}
t_from() {
	containerfile from <<-C &&
	FROM $REGISTRY/team/app:1
	RUN echo more >/more
	C
		builds '{ "context": "alloc/from", "output": [{ "path": "alloc/from.tar" }] }' &&
		unpack "$A/from.tar" "$T/image" && is "$(cat "$T/image/rootfs/app" "$T/image/rootfs/more")" "app
more"
}
t_tls_verify() {
	plugin_config '{}' && fails '{ "context": "alloc/from" }' 'HTTP response to HTTPS client' &&
		builds '{ "context": "alloc/from", "tls_verify": false }'
}
t_policy() {
	insecure="insecure_registries: [\"$REGISTRY\"]"
	plugin_config "{ $insecure, policy: { allow_from: [\"$REGISTRY/other/*\"], allow_push: [\"e.org/*\"] } }" &&
		fails '{ "context": "alloc/from" }' "write into .* allow_from = .\"$REGISTRY/other/.\", \"$REGISTRY/team" &&
		builds '{ "context": "alloc/app" }' &&
		fails "{ \"context\": \"alloc/app\", \"push\": [$PUSH] }" "allow_push = .\"e.org/.\", \"$REGISTRY/" &&
		plugin_config "{ $insecure, policy: { allow_from: [\"$REGISTRY/team/*\"],
		allow_push: [\"$REGISTRY/team/app:?\"] } }" &&
		builds "{ \"context\": \"alloc/from\", \"push\": [$PUSH] }" &&
		plugin_config "{ \"insecure_registries\": [\"$REGISTRY\"] }"
}
t_format() {
	kind() { skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/team/app:1" | jq -r .mediaType; }
	builds "{ \"context\": \"alloc/app\", \"format\": \"docker\", \"push\": [$PUSH] }" &&
		is "$(kind)" application/vnd.docker.distribution.manifest.v2+json &&
		builds "{ \"context\": \"alloc/app\", \"push\": [$PUSH] }" &&
		is "$(kind)" application/vnd.oci.image.manifest.v1+json
}
t_zstd() {
	containerfile zstd <<-'C' || return 1
	FROM scratch
	ADD rootfs.tar /
	RUN echo zstd >/zstd
	C
	builds "{ \"context\": \"alloc/zstd\", \"compression\": \"zstd\", \"push\": [{
		\"reference\": \"$REGISTRY/team/zstd:1\", \"tls_verify\": false }] }" &&
		is "$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/team/zstd:1" |
		jq -r '.layers[].mediaType' | sort -u)" application/vnd.oci.image.layer.v1.tar+zstd &&
		fails '{ "context": "alloc/zstd", "compression": "zstd", "format": "docker" }' 'format docker has no zstd'
}
t_context() {
	containerfile context <<-'C' || return 1
	FROM basis
	COPY --from=basis /app /copied
	RUN cat /copied
	C
	CONTEXT="{ \"context\": \"alloc/context\", \"build_contexts\": { \"basis\":
		\"docker-image://$REGISTRY/team/app:1\" } }"
	builds "$CONTEXT" && file_has "$T/out" '^app$' && plugin_config '{ policy: { allow_from: ["e.org/*"] } }' &&
		fails "$CONTEXT" "option 'build_contexts': .*allow_from = " && plugin_config "{ policy: {
		allow_from: [\"$REGISTRY/team/*\"] }, insecure_registries: [\"$REGISTRY\"] }" && builds "$CONTEXT"
	_r=$?; plugin_config "{ \"insecure_registries\": [\"$REGISTRY\"] }"; return $_r
}
run_test 'push twice, events and metadata' t_push
run_test 'the digest of push and archive is the same' t_same
run_test 'format' t_format
run_test 'compression' t_zstd
run_test 'build_contexts: an image of a registry' t_context
run_test 'push: TLS is wanted by default' t_tls
run_test 'push: unreachable' t_unreachable
run_test 'push: tried again' t_retry
run_test 'push: stopped while it waits' t_retry_stopped
# It takes the connection, and never answers.
t_hanging() {
	hanging=$(_free_ports 1)
	perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => shift,
		Listen => 9) or die; while (1) { push @c, $s->accept }' "$hanging" &
	cleanup "kill $!"
	containerfile hanging <<-C || return 1
	FROM 127.0.0.1:$hanging/a:1
	C
	plugin_config "{ registry_timeout: 3, insecure_registries: [\"127.0.0.1:$hanging\"] }" || return 1
	began=$(date +%s)
	fails "{ \"context\": \"alloc/app\", \"push\": [{ \"reference\": \"127.0.0.1:$hanging/x:1\", \"tls_verify\": false, \"retry\": 0 }] }" \
		'^event: The registry does not answer: no progress of the push for 3 s' &&
		fails '{ "context": "alloc/hanging", "cache": "hanging" }' 'no progress of the pull for 3 s' &&
		[ $(($(date +%s) - began)) -lt 200 ]
	_r=$?; plugin_config "{ \"insecure_registries\": [\"$REGISTRY\"] }"; return $_r
}
run_test 'a registry that hangs' t_hanging
run_test 'FROM a registry' t_from
run_test 'FROM a registry: tls_verify' t_tls_verify
# Each base image with the digest that its registry has; the same when it comes from a cache.
t_provenance() {
	containerfile bases <<-C || return 1
	FROM $REGISTRY/team/app:2 AS other
	FROM $REGISTRY/team/app:1
	COPY --from=other /app /other
	C
	builds "{ \"context\": \"alloc/app\", \"labels\": { \"n\": \"2\" }, \"push\": [{
		\"reference\": \"$REGISTRY/team/app:2\", \"tls_verify\": false }] }" || return 1
	for cache in null '"bases"' '"bases"'; do
		builds "{ \"context\": \"alloc/bases\", \"cache\": $cache, \"tags\": [\"$REGISTRY/team/result:1\"],
			\"provenance_file\": \"alloc/from.json\", \"push\": [{
			\"reference\": \"$REGISTRY/team/result:1\", \"tls_verify\": false }] }" &&
			is "$(jq -r '.predicate.buildDefinition.resolvedDependencies[1:] | sort_by(.uri)[] |
			"\(.uri) sha256:\(.digest.sha256)"' "$A/from.json")" \
			"docker://$REGISTRY/team/app:1 $(remote team/app:1 .Digest)
docker://$REGISTRY/team/app:2 $(remote team/app:2 .Digest)" && is "$(jq -r '.subject[] |
			"\(.name) sha256:\(.digest.sha256)"' "$A/from.json")" \
			"$REGISTRY/team/result:1 $(remote team/result:1 .Digest)" || return 1
	done
}
run_test 'policy: allow_from and allow_push' t_policy
run_test 'provenance_file: the digest of each base image' t_provenance

# ---- Credentials of the node: a registry that wants some
t_credentials() {
	HOME=$T/home && export HOME && mkdir -p "$HOME/.docker" "$HOME/run/containers" && XDG_RUNTIME_DIR=$HOME/run &&
		export XDG_RUNTIME_DIR || return 1
	perl -e 'print "node:", crypt("credential", "\$2b\$05\$abcdefghijklmnopqrstuu"), "\n"' >"$T/htpasswd" &&
		grep -q 'node:\$2b\$05\$' "$T/htpasswd" || { skip_this 'no bcrypt in libcrypt'; return 0; }
	start_registry htpasswd || return 1
	printf '{"auths":{"%s":{"auth":"bm9kZTpjcmVkZW50aWFs"}}}' "$REGISTRY" |
		tee "$HOME/.docker/config.json" >"$HOME/run/containers/auth.json"
	REGISTRY_AUTH_FILE=$HOME/.docker/config.json && export REGISTRY_AUTH_FILE
	builds '{ "context": "alloc/app", "output": [{ "path": "alloc/app.tar" }] }' &&
		skopeo copy -q --dest-tls-verify=false "oci-archive:$A/app.tar" "docker://$REGISTRY/a/b:1" ||
		{ echo 'not even by hand'; return 1; }
	fails "{ \"context\": \"alloc/app\", \"push\": [{ \"reference\": \"$REGISTRY/a/b:2\",
		\"tls_verify\": false }] }" \
			'^event: The push failed with exit code 125: .*(authentication required|unauthorized)' ||
			return 1
	containerfile private <<-C &&
	FROM $REGISTRY/a/b:1
	C
		fails '{ "context": "alloc/private", "tls_verify": false }' 'authentication required|unauthorized'
}
run_test 'the credentials of the node are not for builds' t_credentials
unset REGISTRY_AUTH_FILE XDG_RUNTIME_DIR
REGISTRY=$FIRST_REGISTRY

# ---- pull
t_pull() {
	containerfile pull <<-C || return 1
	FROM $REGISTRY/team/moving:1
	RUN cat /version; sleep 0.2
	C
	for v in 1 2; do
		containerfile "v$v" <<-C && builds "{ \"context\": \"alloc/v$v\", \"output\": [{ \"path\": \"alloc/v$v.tar\" }] }" || return 1
		FROM scratch
		ADD rootfs.tar /
		RUN echo "version $v" >/version
		C
	done
	moves() { skopeo copy -q --dest-tls-verify=false "oci-archive:$A/v$1.tar" "docker://$REGISTRY/team/moving:1"; }
	pulls() { builds "{ \"context\": \"alloc/pull\", \"cache\": \"pulls\", \"layers\": false, \"pull\": \"$1\" }" &&
		file_has "$T/out" "^version $2$"; }
	moves 1 && fails '{ "context": "alloc/pull", "cache": "pulls", "pull": "never" }' \
		'not known|unable to find|image not' && pulls missing 1 && moves 2 && pulls missing 1 &&
		pulls never 1 &&
		pulls newer 2 && moves 1 && pulls always 1
}
run_test 'pull: missing, never, newer, always' t_pull

# ---- Caches
containerfile slow <<'C'
FROM scratch
ADD rootfs.tar /
RUN echo slow >/slow; echo 'really run'
RUN --mount=type=cache,target=/c cat /c/count 2>/dev/null; echo counted >>/c/count; echo again >/again; \
	echo 'really run'
C
runs() { grep -c '^really run$' "$T/out"; }
# How much faster that is depends on the steps; `make bench` tells of some.
t_cache() {
	builds '{ "context": "alloc/slow", "cache": "shared" }' && is "$(runs)" 2 &&
		builds '{ "context": "alloc/slow", "cache": "shared", "output": [{ "path": "alloc/slow.tar" }] }' &&
		is "$(runs)" 0 && is "$(grep -c 'Using cache' "$T/out")" 3 && unpack "$A/slow.tar" "$T/image" &&
		is "$(cat "$T/image/rootfs/slow" "$T/image/rootfs/again")" "slow
again"
}
t_cache_namespace() { [ -d "$T/state/builds/cache/default~shared" ]; }
t_cache_mount() {
	echo '# changed' >>"$A/slow/Containerfile" && sed -i 's/echo slow/echo slower/' "$A/slow/Containerfile" &&
		builds '{ "context": "alloc/slow", "cache": "shared" }' && file_has "$T/out" '^counted$'
}
t_remote_cache() {
	R="\"cache_to\": \"$REGISTRY/cache\", \"cache_from\": \"$REGISTRY/cache\", \"tls_verify\": false"
	builds "{ \"context\": \"alloc/slow\", $R }" && is "$(runs)" 2 &&
		builds "{ \"context\": \"alloc/slow\", $R }" &&
		file_has "$T/out" 'Cache pulled from remote' && is "$(runs)" 0 &&
		skopeo list-tags --tls-verify=false "docker://$REGISTRY/cache" | jq -e '.Tags | length >= 2'
}
t_remote_cache_allowed() {
	rules() { plugin_config "{ policy: { allow_from: [\"$1\"], allow_push: [\"$2\"] } }"; }
	C="$REGISTRY/cache" S="{ \"context\": \"alloc/slow\", $R }"
	rules x "$C" && fails "$S" "option 'cache_from': .*allow_from = " &&
		rules "$C" x && fails "$S" "option 'cache_to': .*allow_push = " &&
		rules "$C" "$C" &&
		builds "{ \"context\": \"alloc/slow\", $R }" && is "$(runs)" 0
	_r=$?; plugin_config "{ \"insecure_registries\": [\"$REGISTRY\"] }"; return $_r
}
t_killed_cache() {
	containerfile hang <<-'C' &&
	FROM scratch
	ADD rootfs.tar /
	RUN sleep 1000
	C
		spawn_build '{ "context": "alloc/hang", "cache": "shared" }' &&
		wait_for 60 'the step' has_said 'STEP 3' || return 1
	kill -9 "$(pgrep -f 'buildah --root' | head -n 1)"; end_build
	is "$CODE" 137 && builds '{ "context": "alloc/app", "cache": "shared" }' &&
		is "$(find "$T/state/builds/cache/default~shared/root-"*/ -name '*-containers')" ''
}
t_shared_concurrently() {
	for i in 1 2 3 4; do spawn_build '{ "context": "alloc/app", "cache": "shared" }' "c$i"
		eval "p$i=\$TASK_PID"; done
	for i in 1 2 3 4; do eval "wait \$p$i" || { cat "$T/err-c$i"; return 1; }; done
}
t_gc() {
	plugin_config '{ "cache_mb": 1 }' && builds '{ "context": "alloc/app", "cache": "other" }' &&
		is "$(find "$T/state/builds/cache" -path '*/diff/*' | wc -l)" 0 &&
		builds '{ "context": "alloc/app", "cache": "shared" }'
}
run_test 'a rebuild with cache runs nothing' t_cache
run_test 'a cache belongs to a Nomad namespace' t_cache_namespace
run_test 'RUN --mount=type=cache is kept in it' t_cache_mount
run_test 'cache_to and cache_from' t_remote_cache
run_test 'cache_to and cache_from: policy' t_remote_cache_allowed
run_test 'four builds share a cache' t_shared_concurrently
run_test 'what a killed build left in a cache is removed' t_killed_cache
run_test 'a cache beyond the limit is removed' t_gc
run_test 'nothing is left' nothing_left
done_testing
