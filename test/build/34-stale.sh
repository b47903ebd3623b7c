#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A cached build never delivers old content: engines before 1.39 (of a stage or image: 1.44) do not look at what is
# behind RUN --mount=type=bind.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build

# gives CONTEXT TEXT: a build with the cache runs to its end and a step prints TEXT
gives() { builds "{ \"context\": \"alloc/$1\", \"cache\": \"stale\", \"output\": [{ \"path\": \"alloc/out.tar\" }] }" &&
	rm -rf "$T/x" && mkdir "$T/x" && tar -C "$T/x" -xf "$A/out.tar" &&
	is "$(for b in "$T"/x/blobs/sha256/*; do tar -xzOf "$b" result 2>/dev/null; done)" "$2"; }
changes() {
	containerfile "$1" && echo one >"$A/$1/input" && gives "$1" one && echo two >"$A/$1/input" && gives "$1" two
}
t_file() {
	changes file <<-'C'
	FROM scratch
	ADD rootfs.tar /
	RUN --mount=type=bind,source=input,target=/input cat /input >/result
	C
}
t_event() { file_has "$T/err" '^event: .*RUN --mount=type=bind.*without its layer cache'; }
t_lines() {
	changes lines <<-'C'
	FROM scratch
	ADD rootfs.tar /
	# A comment \
	run --mount=type=tmpfs,target=/t \
	    # and one in between

	    --mount=source=input,target=/input,type=bind cat /input >/result
	C
}
t_stage() {
	changes stage <<-'C'
	FROM scratch AS a
	COPY input /input
	FROM scratch
	ADD rootfs.tar /
	RUN --mount=from=a,type=bind,source=/,target=/a cat /a/input >/result
	C
}
t_cached() {
	containerfile cached <<-'C' &&
	FROM scratch
	ADD rootfs.tar /
	RUN --mount=type=cache,target=/bind --mount=type=tmpfs,target=/t echo 'RUN --mount=type=bind' >/result
	C
		gives cached 'RUN --mount=type=bind' && gives cached 'RUN --mount=type=bind' &&
		is "$(grep -c 'Using cache' "$T/out")" 2
}
t_podman() {
	command -v podman >/dev/null || { skip_this 'no podman'; return 0; }
	plugin_config "{ \"engine\": \"$(command -v podman)\" }" && t_file && t_stage
	_r=$?; plugin_config '{}'; return $_r
}
run_test 'a changed file of the context' t_file
run_test 'an event says why the cache is not used' t_event
run_test 'an instruction over several lines' t_lines
run_test 'a changed stage' t_stage
run_test 'other mounts are cached' t_cached
run_test 'podman' t_podman
run_test 'nothing is left' nothing_left
done_testing
