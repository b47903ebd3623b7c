#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Images of other platforms, and of several. This machine may have no interpreter for them: their steps copy files.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build
use_host_network
start_registry || skip_all 'no docker-registry, or it does not start'
plain_config() { plugin_config "{ insecure_registries: [\"$REGISTRY\"] }"; }
plain_config
case $(uname -m) in x86_64) OWN=amd64 OTHER=arm64 ;; *) OWN=arm64 OTHER=amd64 ;; esac
BOTH="platforms: [\"linux/$OWN\", \"linux/$OTHER\"]"
push_to() { echo "push: [{ reference: \"$REGISTRY/$1\", tls_verify: false }]"; }
remote() { skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/$1" | jq -cr "$2"; }
containerfile base <<'C'
FROM scratch
ADD rootfs.tar /
C
# The index of a layout, which stands behind the index of names.
index_in() { cat "$1/blobs/sha256/$(jq -r '.manifests[0].digest | .[7:]' "$1/index.json")"; }
archs() { jq -cS '[.manifests[].platform.architecture] | sort'; }

t_list() {
	builds "{ context: \"alloc/base\", $BOTH, tags: [\"example.org/b:1\"], metadata_file: \"alloc/meta.json\",
		output: [{ type: \"oci\", path: \"alloc/layout\" }, { path: \"alloc/image.tar\" }], $(push_to base:1) }" &&
		is "$(index_in "$A/layout" | archs)" '["amd64","arm64"]' && is "$(remote base:1 . | archs)" \
		'["amd64","arm64"]' &&
		(cd "$A/layout/blobs/sha256" && for b in *; do echo "$b  $b"; done | sha256sum -c --status) &&
		mkdir "$T/archive" && tar -C "$T/archive" -xf "$A/image.tar" &&
		is "$(index_in "$T/archive" | archs)" '["amd64","arm64"]' &&
		is "$(jq -c '[.image_id, .size, (.platforms | sort)]' "$A/meta.json")" \
			'[null,null,["linux/amd64","linux/arm64"]]' &&
		is "$(jq -r '.digest, .pushed[0].digest' "$A/meta.json")" "$(jq -r '.manifests[0].digest' \
			"$A/layout/index.json")
sha256:$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/base:1" | sha256sum | cut -d' ' -f1)" &&
		is "$(jq -r '.steps[].step' "$A/meta.json" | grep -c 'STEP [12]/2')" 4 &&
		file_has "$T/err" '^event: Built images of all platforms; wrote alloc/layout, digest sha256:.*; pushed '
}
t_each() {
	for arch in "$OWN" "$OTHER"; do
		is "$(skopeo inspect --override-arch "$arch" --tls-verify=false "docker://$REGISTRY/base:1" |
			jq -r .Architecture)" "$arch" || return 1
	done
}
t_docker() {
	builds "{ context: \"alloc/base\", $BOTH, format: \"docker\", $(push_to base:docker) }" &&
		is "$(remote base:docker .mediaType)" application/vnd.docker.distribution.manifest.list.v2+json
}
containerfile cross <<C
FROM --platform=\$BUILDPLATFORM $REGISTRY/base:1 AS build
ARG TARGETARCH
RUN echo "for \$TARGETARCH on \$(uname -m)" >/out
FROM $REGISTRY/base:1
COPY --from=build /out /out
C
t_cross() {
	builds "{ context: \"alloc/cross\", $BOTH, $(push_to cross:1) }" || return 1
	for arch in "$OWN" "$OTHER"; do
		rm -rf "$T/image" "$T/image.oci"
		skopeo copy -q --override-arch "$arch" --src-tls-verify=false "docker://$REGISTRY/cross:1" \
			"oci:$T/image.oci:x" && umoci unpack --image "$T/image.oci:x" "$T/image" >/dev/null 2>&1 &&
			is "$(cat "$T/image/rootfs/out")" "for $arch on $(uname -m)" || return 1
	done
}
containerfile runs <<C
FROM $REGISTRY/base:1
RUN echo here
C
# Whatever this machine has.
HANDLERS=/proc/sys/fs/binfmt_misc
[ ! -d "$HANDLERS" ] || mount -t tmpfs none "$HANDLERS"
t_refused() {
	for options in "platform: \"linux/$OTHER\"" "$BOTH"; do
		fails "{ context: \"alloc/runs\", $options }" \
			"line 2 of the Containerfile has a RUN, .* \(linux/$OWN\) cannot .* linux/$OTHER: .*qemu" &&
			! grep -q STEP "$T/out" || return 1
	done
	builds "{ context: \"alloc/runs\", platforms: [\"linux/$OWN\"], $(push_to runs:1) }" &&
		is "$(remote runs:1 . | archs)" "[\"$OWN\"]"
}
t_combinations() {
	fails "{ context: \"alloc/base\", $BOTH, platform: \"linux/arm64\" }" 'platforms and platform are given' &&
		fails "{ context: \"alloc/base\", $BOTH, cache: \"c\" }" 'a cache holds one platform' &&
		fails "{ context: \"alloc/base\", $BOTH, output: [{ type: \"docker-archive\", path: \"alloc/x\" }] }" \
			"output type 'docker-archive' holds one platform" &&
		fails '{ context: "alloc/base", platforms: ["linux/arm64", "linux/arm64"] }' 'is there twice'
}
# The name of a base image in a cache stands for one platform.
containerfile on <<C
FROM $REGISTRY/base:1
COPY Containerfile /x
C
t_cache() {
	arch() { skopeo inspect "oci-archive:$A/on.tar" | jq -r .Architecture; }
	on="context: \"alloc/on\", cache: \"c\", output: [{ path: \"alloc/on.tar\" }]"
	builds "{ $on, platform: \"linux/$OTHER\" }" && is "$(arch)" "$OTHER" &&
		builds "{ $on }" && is "$(arch)" "$OWN" &&
		builds "{ $on, platform: \"linux/$OTHER\" }" && is "$(arch)" "$OTHER" &&
		file_has "$T/out" 'Using cache' &&
		builds "{ $on, platform: \"linux/$OWN\" }" && is "$(arch)" "$OWN" && file_has "$T/out" 'Using cache'
}
run_test 'platforms: an index in a layout, an archive, a registry' t_list
run_test 'platforms: each image has its own' t_each
run_test 'platforms: a manifest list in format docker' t_docker
run_test 'platforms: stages of the build platform run here' t_cross
run_test 'a RUN of a platform that does not run here is refused' t_refused
run_test 'platforms: what cannot be combined' t_combinations
run_test 'a cache keeps platforms apart' t_cache
run_test 'nothing is left' nothing_left
done_testing
