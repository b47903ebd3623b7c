#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# More options by their effect: platform, layers, tags, limits,
# ignorefile, ssh, storage_root, the group's network.
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
		is "$(skopeo inspect --config --override-arch s390x "oci-archive:$A/out.tar" |
		jq -r '.os + "/" + .architecture')" linux/s390x
}
run_test 'platform' t_platform
t_platform_in_from() {
	containerfile fromos <<-'C' || return 1
	ARG TARGETOS
	ARG TARGETARCH
	FROM scratch AS binaries-linux
	ADD rootfs.tar /
	FROM binaries-$TARGETOS
	ARG TARGETPLATFORM
	RUN echo "on $TARGETPLATFORM, $(uname -m)"; sleep 0.2
	C
	builds '{ "context": "alloc/fromos" }' && file_has "$T/out" "^on linux/$ARCH, $(uname -m)\$"
}
ARCH=$(dpkg --print-architecture 2>/dev/null | sed 's/^armhf$/arm\/v7/; s/^i386$/386/; s/^ppc64el$/ppc64le/')
if [ -n "$ARCH" ]; then run_test 'FROM binaries-$TARGETOS: the platform of the node' t_platform_in_from; fi
listed() { tar -xOf "$A/out.tar" "blobs/sha256/$(skopeo inspect --raw "oci-archive:$A/out.tar" |
	jq -r '.layers[0].digest' | cut -d: -f2)" | tar -tzf - | grep -v '/$' | sort | tr '\n' ' '; }
t_ignore() {
	echo secret >"$A/copies/private.key" && echo '*.key' >"$A/copies/.containerignore" &&
		printf '%s\n' '*.tar' 'Containerfile' >"$A/copies/other" &&
		builds "{ \"context\": \"alloc/copies\", $OUT }" && is "$(listed)" \
		'all/.containerignore all/Containerfile all/other all/rootfs.tar ' &&
		builds "{ \"context\": \"alloc/copies\", $OUT, \"ignorefile\": \"other\" }" &&
		is "$(listed)" 'all/.containerignore all/other all/private.key '
}
run_test 'ignorefile takes the place of .containerignore' t_ignore
t_layers() {
	containerfile layers <<-'C' || return 1
	FROM scratch
	ADD rootfs.tar /
	RUN echo 1 >/one
	RUN echo 2 >/two
	C
	layers() { builds "{ \"context\": \"alloc/layers\", $OUT, \"layers\": $1 }" &&
		is "$(skopeo inspect --raw "oci-archive:$A/out.tar" | jq '.layers | length')" "$2"; }
	layers true 3 && layers false 1
}
run_test 'layers' t_layers
name_of() { tar -xOf "$A/out.tar" index.json | jq -r '.manifests[0].annotations["org.opencontainers.image.ref.name"]'; }
t_tags() {
	builds "{ \"context\": \"alloc/copies\", $OUT, \"tags\": [\"example.org/a/b:1\", \"example.org/a/b:2\"] }" &&
		is "$(name_of)" example.org/a/b:1 &&
		builds '{ "context": "alloc/copies", "tags": ["example.org/a/b:1"],
		"output": [{ "path": "alloc/out.tar", "reference": "other:3" }] }' && is "$(name_of)" other:3
}
run_test 'tags, and the reference of an output' t_tags
# Of the engine and of what RUN started alike: one cgroup, with the task's limits.
t_limits() {
	containerfile limits <<-'C' || return 1
	FROM scratch
	ADD rootfs.tar /
	RUN echo working; sleep 1000
	C
	spawn_build '{ "context": "alloc/limits" }' && wait_for 60 'the step' has_said '^working' &&
		engine=$(pgrep -f 'buildah --root' | head -n 1) && step=$(pgrep -xf 'sleep 1000' | head -n 1) ||
		return 1
	for _p in "$engine" "$step"; do
		memory=$(sed -n 's/^[0-9]*:memory://p' "/proc/$_p/cgroup") \
			cpu=$(sed -nE 's/^[0-9]*:([a-z,]*,)?cpu(,[a-z]*)?://p' "/proc/$_p/cgroup") \
			v2=$(sed -n 's/^0:://p' "/proc/$_p/cgroup")
		if [ -n "$memory" ]; then
			is "$(cat "/sys/fs/cgroup/memory$memory/memory.limit_in_bytes")" 536870912 &&
				is "$(cat "/sys/fs/cgroup/cpu$cpu/cpu.shares")" 500
		else
			is "$(cat "/sys/fs/cgroup$v2/memory.max")" 536870912 &&
				unlike "$(cat "/sys/fs/cgroup$v2/cpu.weight")" '^100$'
		fi || { cat "/proc/$_p/cgroup"; end_build TERM; return 1; }
	done
	is "$(cat "/proc/$engine/cgroup")" "$(cat "/proc/$step/cgroup")"
	_r=$?; end_build TERM; return $_r
}
run_test "the task's limits are those of engine and steps" t_limits
t_pids() {
	containerfile pids <<-'C' || return 1
	FROM scratch
	ADD rootfs.tar /
	RUN i=0; while [ $i -lt 300 ]; do sleep 1000 & i=$((i + 1)); done; echo "started $i"
	C
	too_many() { build "$1" && [ "$CODE" -ne 0 ] && unlike "$(cat "$T/out")" '^started'; }
	too_many '{ context: "alloc/pids", pids_limit: 200 }' && plugin_config '{ policy: { max_pids_limit: 200 } }' &&
		too_many '{ context: "alloc/pids" }' || return 1
	fails '{ context: "alloc/pids", pids_limit: 201 }' 'max_pids_limit = 201' && plugin_config '{}' &&
		builds '{ "context": "alloc/pids" }' && file_has "$T/out" '^started 300' &&
		fails '{ context: "alloc/pids", ulimits: { rtprio: "1" } }' 'allow_ulimits = ."rtprio"'
	_r=$?; plugin_config '{}'; return $_r
}
# What a build stores is bounded, however it does so; also below a cache.
t_storage() {
	containerfile fat <<-'C' || return 1
	FROM scratch
	ADD rootfs.tar /
	RUN i=0; while [ $i -lt 400 ]; do dd if=/dev/zero of=/fat$i bs=1024k count=5 2>/dev/null; i=$((i + 1)); \
		sleep 0.02; done
	C
	for cache in '' ', cache: "fat"'; do
		fails "{ context: \"alloc/fat\", storage_mb: 100$cache }" \
			'^event: The build stores more than 100 MiB .option storage_mb.: stopped' && is "$CODE" 125 || return 1
	done
	fails '{ context: "alloc/fat", storage_mb: 30000 }' 'max_storage_mb = 30000' &&
		plugin_config '{ policy: { max_storage_mb: 50 } }' &&
			fails '{ context: "alloc/fat" }' 'more than 50 MiB'
	_r=$?; plugin_config '{}'; rm -rf "$T/state/builds/cache"; return $_r
}
t_timeout() {
	containerfile slow <<-'C' && fails '{ context: "alloc/slow", timeout: 2 }' \
		'^event: The build takes longer than 2 s .option timeout.: stopped' && is "$CODE" 124 && nothing_left
	FROM scratch
	ADD rootfs.tar /
	RUN sleep 1000
	C
}
run_test 'storage_mb and the rule max_storage_mb' t_storage
run_test 'timeout' t_timeout
run_test 'pids_limit and the rule max_pids_limit hold for all of a build' t_pids
t_storage_root() {
	mkdir "$T/storage" && plugin_config "{ \"storage_root\": \"$T/storage\" }" &&
		builds "{ \"context\": \"alloc/copies\", \"cache\": \"here\" }" &&
		[ -d "$T/storage/cache/default~here/root-overlay" ] && is "$(ls "$T/storage/work")" '' &&
		[ ! -e "$T/state/builds/cache" ]
	_r=$?; plugin_config '{}'; return $_r
}
run_test 'storage_root' t_storage_root
t_network() {
	mkdir -p /run/netns && ip netns add "of-$$" && cleanup "ip netns del of-$$" &&
		ip -n "of-$$" addr add 10.9.8.7/32 dev lo && ip -n "of-$$" link set lo up || return 1
	containerfile net <<-'C' || return 1
	FROM scratch
	ADD rootfs.tar /
	RUN echo "addresses: $(ip -o addr | tr -d '\n')"
	C
	# `run` is given no group's network: it is run in it, as the plugin is in the node's.
	use_host_network && job_of '{ "context": "alloc/net" }' >"$T/job.json" &&
		ip netns exec "of-$$" "$DRIVER" run --config \
		"$T/plugin.json" --alloc "$A" "$T/job.json" >"$T/out" 2>"$T/err" &&
		file_has "$T/out" '^addresses:.* 10\.9\.8\.7' &&
		builds '{ "context": "alloc/net", "network": "none" }' &&
		unlike "$(cat "$T/out")" '^addresses:.* 10\.9\.8\.7'
	_r=$?; NETWORK=; plugin_config '{}'; return $_r
}
run_test 'network: the one of the task (host), or none' t_network
t_ssh() {
	command -v ssh-keygen >/dev/null && command -v ssh-add >/dev/null ||
		{ skip_this 'no openssh-client'; return 0; }
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
