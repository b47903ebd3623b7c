#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Options whose effect takes more than a look at the image: platform, ignorefile, ssh, storage_root, the group's network.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build
containerfile copies <<'C'
FROM scratch
COPY . /all
C
OUT='"output": [{ "path": "alloc/out.tar" }]'

t_platform() {
	builds "{ \"context\": \"alloc/copies\", $OUT, \"platform\": \"linux/s390x\" }" &&
		is "$(skopeo inspect --config --override-arch s390x "oci-archive:$A/out.tar" | jq -r '.os + "/" + .architecture')" linux/s390x
}
run_test 'platform' t_platform
listed() { tar -xOf "$A/out.tar" "blobs/sha256/$(skopeo inspect --raw "oci-archive:$A/out.tar" | jq -r '.layers[0].digest' | cut -d: -f2)" | tar -tzf - | grep -v '/$' | sort | tr '\n' ' '; }
t_ignore() {
	echo secret >"$A/copies/private.key" && echo '*.key' >"$A/copies/.containerignore" && printf '%s\n' '*.tar' 'Containerfile' >"$A/copies/other" &&
		builds "{ \"context\": \"alloc/copies\", $OUT }" && is "$(listed)" 'all/.containerignore all/Containerfile all/other all/rootfs.tar ' &&
		builds "{ \"context\": \"alloc/copies\", $OUT, \"ignorefile\": \"other\" }" && is "$(listed)" 'all/.containerignore all/other all/private.key '
}
run_test 'ignorefile takes the place of .containerignore' t_ignore
t_storage_root() {
	mkdir "$T/storage" && plugin_config "{ \"storage_root\": \"$T/storage\" }" && builds "{ \"context\": \"alloc/copies\", \"cache\": \"here\" }" &&
		[ -d "$T/storage/cache/default~here/root-overlay" ] && is "$(ls "$T/storage/work")" '' && [ ! -e "$T/state/builds/cache" ]
	_r=$?; plugin_config '{}'; return $_r
}
run_test 'storage_root' t_storage_root
t_network() {
	mkdir -p /run/netns && ip netns add "of-$$" && cleanup "ip netns del of-$$" && ip -n "of-$$" addr add 10.9.8.7/32 dev lo && ip -n "of-$$" link set lo up || return 1
	containerfile net <<-'C' || return 1
	FROM scratch
	ADD rootfs.tar /
	RUN echo "addresses: $(ip -o addr | tr -d '\n')"
	C
	# `run` is given no group's network: it is run in it, as the plugin is in the node's.
	job_of '{ "context": "alloc/net" }' >"$T/job.json" && ip netns exec "of-$$" "$DRIVER" run --config "$T/plugin.json" --alloc "$A" "$T/job.json" >"$T/out" 2>"$T/err" && file_has "$T/out" '^addresses:.* 10\.9\.8\.7' &&
		builds '{ "context": "alloc/net", "network": "none" }' && unlike "$(cat "$T/out")" '^addresses:.* 10\.9\.8\.7'
}
run_test 'network: the one of the task, or none' t_network
t_ssh() {
	command -v ssh-keygen >/dev/null && command -v ssh-add >/dev/null || { skip_this 'no openssh-client'; return 0; }
	containerfile ssh <<-'C' && fails '{ "context": "alloc/ssh", "ssh": { "default": "alloc/key" } }' 'is not in the secrets directory'
	FROM scratch
	ADD rootfs.tar /
	RUN --mount=type=ssh,id=default echo "socket: $(stat -c %F "$SSH_AUTH_SOCK")"
	RUN echo "later: '$SSH_AUTH_SOCK'"
	C
}
run_test 'ssh: a key from elsewhere is refused' t_ssh
run_test 'nothing is left' nothing_left
done_testing
