#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Short names of images, by a registries.conf of the node. A registry on loopback is docker.io's mirror.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build
requires umoci
use_host_network
start_registry || skip_all 'no docker-registry, or it does not start'
CONF=$T/etc/registries.conf
mkdir -p "$CONF.d" "$T/host"
mirror() {
	cat <<-CONFIG
	$1
	[[registry]]
	prefix = "docker.io"
	location = "docker.io"
	[[registry.mirror]]
	location = "$REGISTRY/hub"
	insecure = true
	[[registry]]
	prefix = "docker.io/library/forbidden"
	location = "docker.io/library/forbidden"
	blocked = true
	[[registry]]
	location = "$REGISTRY"
	insecure = true
	CONFIG
}
mirror '' >"$CONF"
cat >"$CONF.d/shortnames.conf" <<'CONFIG'
[aliases]
"alpine" = "docker.io/library/alpine"
"other" = "docker.io/library/nginx"
CONFIG
site() { plugin_config "{ \"registries_conf\": \"$CONF\" } + ${1:-null}"; }
# image NAME TEXT: an image in the registry whose /name is TEXT
image() {
	containerfile image <<-C &&
	FROM scratch
	ADD rootfs.tar /
	RUN echo $2 >/name
	C
		builds '{ "context": "alloc/image", "output": [{ "path": "alloc/image.tar" }] }' &&
		skopeo copy -q --dest-tls-verify=false "oci-archive:$A/image.tar" "docker://$REGISTRY/$1"
}
# from NAME TEXT [CONFIG]: FROM NAME gives the image whose /name is TEXT
from() {
	containerfile from <<-C || return 1
	FROM $1
	RUN echo "name \$(cat /name)"; sleep 0.2
	C
	builds "{ \"context\": \"alloc/from\" } + ${3:-null}" && file_has "$T/out" "^name $2\$"
}
site
image hub/library/alpine:3.19 alpine && image hub/library/nginx:alpine nginx &&
	image hub/library/forbidden:1 forbidden &&
	image team/tool:1 tool || diag 'no images for the tests'

t_copy_from() {
	containerfile copy <<-'C' && builds '{ "context": "alloc/copy" }' && file_has "$T/out" '^name nginx$'
	FROM alpine:3.19
	COPY --from=nginx:alpine /name /copied
	RUN echo "name $(cat /copied)"; sleep 0.2
	C
}
t_search() {
	mirror "unqualified-search-registries = [\"$REGISTRY\"]" >"$CONF" && from team/tool:1 tool
	_r=$?; mirror '' >"$CONF"; return $_r
}
t_no_search() {
	mirror 'unqualified-search-registries = []' >"$CONF" && from alpine:3.19 alpine && containerfile from <<-'C' &&
	FROM nginx:alpine
	C
		fails '{ "context": "alloc/from" }' 'short-name "nginx:alpine" did not resolve to an alias'
	_r=$?; mirror '' >"$CONF"; return $_r
}
t_blocked() {
	containerfile from <<-'C' && fails '{ "context": "alloc/from" }' 'docker.io/library/forbidden is blocked'
	FROM forbidden:1
	C
}
t_cached() { from alpine:3.19 alpine '{ "cache": "names" }' && from alpine:3.19 alpine '{ "cache": "names",
	"pull": "never", "layers": false }'; }
t_no_file() { plugin_config '{ "registries_conf": "/no/such/file" }' && containerfile from <<-'C' &&
	FROM scratch
	COPY Containerfile /
	C
	builds '{ "context": "alloc/from" }' && site; }
t_insecure() {
	printf '[[registry]]\nlocation = "%s"\n' "$REGISTRY" >"$T/plain.conf" &&
		plugin_config "{ \"registries_conf\": \"$T/plain.conf\", \"insecure_registries\": [\"$REGISTRY\"] }" &&
		from "$REGISTRY/team/tool:1" tool && site
}
t_context() {
	mkdir -p "$A/given" && echo given >"$A/given/name" && containerfile context <<-'C' &&
	FROM docker.io/library/alpine:3.19
	COPY --from=nginx:alpine /name /copied
	RUN echo "name $(cat /name) $(cat /copied)"; sleep 0.2
	C
		builds '{ "context": "alloc/context", "build_contexts": { "docker.io/library/alpine:3.19":
		"oci-archive:alloc/image.tar", "nginx:alpine": "alloc/given" } }' &&
		file_has "$T/out" '^name tool given$'
}
# A stage that gets at the jail by a link cannot change what the engine takes its names and its policy from.
t_hostile() {
	site '{ policy: { allow_from: ["docker.io/library/alpine:*"] } }' && containerfile hostile <<-'C' || return 1
	ARG YES=1
	FROM docker.io/library/alpine:3.19 AS a
	RUN ln -s / /link
	FROM docker.io/library/alpine:3.19 AS b
	RUN --mount=type=bind,from=a,source=/link,target=/m,rw for d in /m/build/home /m/etc /m/root; do \
	mkdir -p $d/.config/containers/registries.conf.d $d/containers; \
	for f in $d/.config/containers/policy.json $d/containers/policy.json; do \
	echo '{"default":[{"type":"insecureAcceptAnything"}]}' >$f && echo "wrote $f"; done; \
	for f in $d/.config/containers/registries.conf.d/x.conf $d/containers/registries.conf.d/zzzzz.conf; do \
	echo >$f && echo "wrote $f"; done; done; true
	FROM ${YES:+nginx:alpine}
	COPY --from=b /name /x
	C
	fails '{ "context": "alloc/hostile" }' 'rejected by policy' && unlike "$(cat "$T/out")" '^wrote '
	_r=$?; site; return $_r
}
t_podman() {
	command -v podman >/dev/null || { skip_this 'no podman'; return 0; }
	site "{ \"engine\": \"$(command -v podman)\" }" && from alpine:3.19 alpine && t_copy_from && t_hostile
	_r=$?; site; return $_r
}
run_test 'FROM alpine:3.19, by an alias and a mirror' from alpine:3.19 alpine
run_test 'an alias leads to another image' from other:alpine nginx
run_test 'COPY --from=nginx:alpine: docker.io where the node names no registry to search' t_copy_from
run_test "the node's list of registries to search" t_search
run_test 'an empty list: aliases only' t_no_search
run_test 'a blocked registry' t_blocked
run_test 'a short name in a cache, with pull = never' t_cached
run_test 'a node without registries.conf' t_no_file
run_test 'insecure_registries stand above the file' t_insecure
run_test 'build_contexts: names with a tag and a registry' t_context
run_test 'a hostile build changes neither policy nor registries' t_hostile
run_test 'podman' t_podman
run_test 'nothing is left' nothing_left
done_testing
