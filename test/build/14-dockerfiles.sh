#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Dockerfiles as people write them (dockerfiles/): what the engine here can build does build, and says what it is to
# say; all else is refused before the build, with the feature, the version that has it, and a remedy.
#
#	# takes: VERSION FEATURE	the first buildah that can build it; "never": none
#	# says: LINE			what its last step prints
#	# with: OPTIONS			of the task
#
# The base images are one: busybox, with dockerfiles/base/tool in the place of compilers and package managers.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build
use_host_network
start_registry || skip_all 'no docker-registry'
FILES=test/build/dockerfiles
ENGINE=${DOCKERFILES_ENGINE:-}	# another one, by hand
MINOR=$("${ENGINE:-buildah}" --version | sed 's/.*version 1\.\([0-9]*\).*/\1/')
for host in docker.io ghcr.io gcr.io quay.io mcr.microsoft.com; do
	printf '[[registry]]\nlocation = "%s"\n[[registry.mirror]]\nlocation = "%s/%s"\ninsecure = true\n' \
		"$host" "$REGISTRY" "$host"
done >"$T/registries.conf"
plugin_config "{ registries_conf: \"$T/registries.conf\" ${ENGINE:+, engine: \"$ENGINE\"} }"

base() {
	for tool in go pip python npm cargo mvn composer uv gcc make apt-get docker-php-ext-install; do
		cp "$FILES/base/tool" "$T/root/bin/$tool"
	done
	echo 'node:x:1000:1000::/:/bin/sh' >>"$T/root/etc/passwd" && tar -C "$T/root" -cf "$A/rootfs.tar" . &&
		containerfile base <<-'C' && mkdir -p "$T/root/usr"
	FROM scratch
	ADD rootfs.tar /
	ENV PATH=/usr/local/bin:/usr/bin:/bin
	C
	builds '{ context: "alloc/base", output: [{ type: "oci", path: "alloc/base.oci" }] }' || return 1
	for name in $(grep -hoiE '(FROM( --platform=[^ ]*)?|--from=|from=) ?[a-z0-9./-]+:[a-z0-9.-]+' "$FILES"/*.Dockerfile |
		grep -oE '[a-z0-9./-]+:[a-z0-9.-]+$' | sort -u) alpine:3.19 golang:1.22; do
		case $name in
		*.*/*) ;;
		*/*) name=docker.io/$name ;;
		*) name=docker.io/library/$name ;;
		esac
		skopeo copy -q --dest-tls-verify=false "oci:$A/base.oci:latest" "docker://$REGISTRY/$name" || return 1
	done
}
context() {
	mkdir -p "$A/all/src" "$A/files" && cd "$A/all" && echo 'module x' >go.mod && echo 'package main' >main.go &&
		echo x >requirements.txt && echo '{}' | tee package.json composer.json Cargo.lock >src/index.js &&
		touch app.py uv.lock pyproject.toml Cargo.toml pom.xml index.php main.c Makefile README.md src/main.rs
	cd - >/dev/null && ln -f "$A/rootfs.tar" "$A/all/rootfs.tar" && echo 'hello of a context' >"$A/files/hello"
}
field() { sed -n "s/^# $1: //p" "$file"; }
check() {
	file=$1 takes=$(field takes) says=$(field says)
	# What it fetches is the root of the registry: "{}".
	sed "s,https://example.org/x ,http://$REGISTRY/v2/ ," "$file" >"$A/all/Dockerfile"
	build "{ context: \"alloc/all\", $(field with) }" '.Env = { TOKEN: "s3cr3t" }' || return 1
	since=${takes%% *}; since=${since#1.}
	if [ -n "$takes" ] && { [ "$since" = never ] || [ "$MINOR" -lt "$since" ]; }; then
		[ "$CODE" -ne 0 ] && grep -F "containerfile: line " "$T/err" | grep -F " has " |
			grep -qF -e "${takes#* }" &&
			! grep -q STEP "$T/out" && { [ "$since" = never ] ||
				grep -q "which takes buildah 1.$since" "$T/err"; }
	else
		[ "$CODE" -eq 0 ] || ! engine_flaked || build "{ context: \"alloc/all\", $(field with) }" \
			'.Env = { TOKEN: "s3cr3t" }'
		# An engine of this version loses the last output of a step now and then.
		[ "$CODE" -eq 0 ] && { [ -z "$says" ] || grep -qF -e "$says" "$T/out"; }
	fi || { tail -n 12 "$T/out" "$T/err"; return 1; }
}
run_test 'base images' base
context
# DOCKERFILES_ONLY: a pattern, by hand.
for file in "$FILES"/${DOCKERFILES_ONLY:-*}.Dockerfile; do
	name=${file##*/}
	run_test "${name%.Dockerfile}" check "$file"
done
run_test 'nothing is left' nothing_left
done_testing
