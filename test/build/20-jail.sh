#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Hostile Containerfiles, and paths that lead elsewhere.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build
HOST=$T/host
mkdir -p "$HOST" "$T/home/.docker" && echo 'of the host' >"$HOST/file"
echo '{"auths":{"x":{"auth":"bm9kZTpjcmVkZW50aWFs"}}}' >"$T/home/.docker/config.json"
export HOME="$T/home" REGISTRY_AUTH_FILE="$T/home/.docker/config.json"
HEAD='FROM scratch
ADD rootfs.tar /'
hostile() { containerfile hostile && build "{ \"context\": \"alloc/hostile\"${1:+, $1} }"; }
untouched() { is "$(cat "$HOST"/*)" 'of the host'; }
# The file of the host is not read, and nothing is written beside it.
stays() { untouched && ! grep -q 'of the host' "$T/out" "$T/err" || { tail "$T/out" "$T/err"; return 1; }; }

# The other side: the same without the jail, by hand, gets at the host; or these tests would show nothing.
by_hand() {
	rm -rf "$T/hand" && mkdir "$T/hand"
	TMPDIR=$T/hand unshare --mount buildah --root "$T/hand/root" --runroot "$T/hand/run" --storage-driver vfs \
		build --isolation chroot \
		"$A/hostile" >"$T/hand.out" 2>"$T/hand.err" </dev/null
	CODE=$?
}
# This buildah loses the output of a RUN now and then.
reaches() { for _try in 1 2 3; do by_hand; ! grep -q "$1" "$T/hand.out" || return 0; done
	{ echo 'without the jail it does not get out, either:'; tail "$T/hand.out" "$T/hand.err"; return 1; }
}
writes() { reaches 'of the host' && { [ -e "$HOST/new" ] || { echo 'nothing was written'; return 1; }; } &&
	rm "$HOST/new"; }

t_bind() {
	hostile <<-C && stays && writes
	FROM scratch AS a
	ADD rootfs.tar /
	RUN ln -s $HOST /link
	FROM scratch
	ADD rootfs.tar /
	RUN --mount=type=bind,from=a,source=/link,target=/m,rw cat /m/file; touch /m/new
	C
}
t_cache() {
	up=../../../../../../../../../..
	hostile <<-C && stays && writes
	$HEAD
	RUN --mount=type=cache,id=$up$HOST,target=/m cat /m/file; touch /m/new
	C
}
t_bind_root() {
	hostile <<-C &&
	FROM scratch AS a
	ADD rootfs.tar /
	RUN ln -s / /link
	FROM scratch
	ADD rootfs.tar /
	RUN --mount=type=bind,from=a,source=/link,target=/m,rw echo "entries: \$(ls /m | tr '\n' ' ')"; \\
	echo x >/m/etc/passwd; echo x >/m/usr/nomad-test; ls /m/etc; cat /m$HOST/file
	C
		stays && file_has "$T/out" '^entries:' &&
		unlike "$(grep '^entries:' "$T/out")" ' (home|root|opt|srv|work|boot|mnt)( |$)'
	[ ! -e /usr/nomad-test ]
}
t_proc() {
	before=$(cat /proc/sys/kernel/core_pattern)
	hostile <<-C && stays && file_has "$T/out" '^tried' && is "$(cat /proc/sys/kernel/core_pattern)" "$before"
	FROM scratch AS a
	ADD rootfs.tar /
	RUN ln -s /proc /link
	FROM scratch
	ADD rootfs.tar /
	RUN --mount=type=bind,from=a,source=/link,target=/m,rw echo '|/bin/x' >/m/sys/kernel/core_pattern; \\
	mount -o remount,rw /m; echo '|/bin/x' >/m/sys/kernel/core_pattern; mount -t proc p /tmp; \\
	echo '|/bin/x' >/proc/sys/kernel/core_pattern; cat /m/1/environ; cat /m/1/root$HOST/file; echo tried
	C
}
t_sys() {
	hostile <<-C && stays && file_has "$T/out" '^cgroups: 0$'
	FROM scratch AS a
	ADD rootfs.tar /
	RUN ln -s /sys /link
	FROM scratch
	ADD rootfs.tar /
	RUN --mount=type=bind,from=a,source=/link,target=/m,rw echo "cgroups: \$(find /m -name 'memory*' | wc -l)"; \\
	ls /m/kernel
	C
}
t_from() {
	containerfile image <<-'C' && builds '{ "context": "alloc/image", "output": [{ "path": "alloc/image.tar" }, { "type": "docker-archive", "path": "alloc/docker.tar" }, { "type": "oci", "path": "alloc/layout" }] }' || return 1
	FROM scratch
	ADD rootfs.tar /
	RUN echo 'of the host' >/file
	C
	# In the name of a layout, buildah takes lower-case letters only.
	images=$(echo "$T" | tr '[:upper:]' '[:lower:]')-images
	cleanup "rm -rf '$images'"
	mkdir "$images" && mv "$A/image.tar" "$A/docker.tar" "$A/layout" "$images/" &&
		skopeo copy -q "oci:$images/layout" "dir:$images/dir" || return 1
	for from in "oci-archive:$images/image.tar" "docker-archive:$images/docker.tar" "dir:$images/dir" \
		"oci:$images/layout:latest"; do
		hostile <<-C
		FROM $from
		RUN cat /file
		C
		is "$CODE" 125 && stays && grep -q 'no such file or directory\|does not exist' "$T/err" &&
			reaches '^of the host$' || { echo "$from"; cat "$T/err"; return 1; }
	done
}
t_credentials() {
	hostile <<-C &&
	FROM scratch AS a
	ADD rootfs.tar /
	RUN ln -s / /link
	FROM scratch
	ADD rootfs.tar /
	RUN --mount=type=bind,from=a,source=/link,target=/m cat /m/build/auth.json; \\
	cat /m$T/home/.docker/config.json /m/root/.docker/config.json; \\
	echo "credentials: \$(cat /m/etc/shadow /m/etc/containers/auth.json 2>/dev/null | wc -c)"
	C
		stays && unlike "$(cat "$T/out" "$T/err")" 'bm9kZTpjcmVkZW50aWFs|^credentials: [^0]' &&
		reaches bm9kZTpjcmVkZW50aWFs && reaches '^credentials: [^0]'
}
t_chroot() {
	hostile <<-C && stays
	$HEAD
	RUN mkdir -p /j; cd /; chroot /j /bin/true; ls /proc/1/root/; cat /proc/1/root$HOST/file; \\
	chroot /proc/1/root /bin/cat $HOST/file
	C
}
t_device() {
	mkdir -p "$T/dev" && mknod "$T/dev/disk" c 1 5 && mknod "$T/dev/mem" c 1 1 && tar -C "$T/dev" -cf "$T/dev.tar" .
	containerfile device <<-C &&
	$HEAD
	ADD dev.tar /nodes
	RUN ls -l /nodes; echo "read: \$(dd if=/nodes/disk bs=1 count=16 2>/dev/null | wc -c)"; mknod /tmp/d c 1 5; \\
	echo tried
	C
		cp "$T/dev.tar" "$A/device/" && build '{ "context": "alloc/device" }' &&
		file_has "$T/out" '^read: 0$' && file_has "$T/out" '^tried$'
}
t_device_vfs() { plugin_config '{ "storage_driver": "vfs" }' && t_device && plugin_config '{}'; }
t_processes() {
	hostile <<-C && file_has "$T/out" '^processes: [1-9]$'
	$HEAD
	RUN echo "processes: \$(ls -d /proc/[0-9]* | wc -l)"; touch /proc/x; kill -9 1 2>/dev/null; true
	C
}
t_caps() {
	hostile <<-C && file_has "$T/out" '^CapEff:.*00000000800405fb$'
	$HEAD
	RUN grep CapEff /proc/self/status
	C
}
t_none() {
	hostile '"network": "none"' <<-C && file_has "$T/out" '^links: lo$'
	$HEAD
	RUN echo "links: \$(ls /proc/self/net/dev_snmp6 2>/dev/null | tr '\n' ' ' | tr -d ' ')"
	C
}
t_secrets_dir() {
	hostile <<-C && is "$CODE" 0 && file_has "$T/out" '^seen: 0$'
	FROM scratch AS a
	ADD rootfs.tar /
	RUN ln -s / /link
	FROM scratch
	ADD rootfs.tar /
	RUN --mount=type=bind,from=a,source=/link,target=/m \\
	echo "seen: \$(find /m/task/secrets /m/task/private /m/alloc/logs -type f -o -type p 2>/dev/null | wc -l)"
	C
}
run_test 'a bind mount through a symbolic link of another stage' t_bind
run_test 'a cache mount whose id leads upwards' t_cache
run_test 'the root that such a mount sees is the jail' t_bind_root
run_test 'sysctls' t_proc
run_test 'sysfs and cgroups' t_sys
run_test 'FROM files of the host' t_from
run_test 'credentials of the node' t_credentials
run_test 'chroot and PID 1' t_chroot
run_test 'device files in an archive: overlay' t_device
run_test 'device files in an archive: vfs' t_device_vfs
run_test 'processes of the host' t_processes
run_test 'capabilities of RUN' t_caps
run_test 'network none' t_none
run_test 'log pipes and private directories' t_secrets_dir

# ---- Paths
containerfile good <<'C'
FROM scratch
COPY Containerfile /
C
refused() { fails "$1" "$2" && ! grep -q STEP "$T/out" && untouched; }
OUTSIDE='leads out of the directories of the task'
run_test 'context: ..' refused '{ "context": "alloc/../../.." }' "$OUTSIDE"
run_test 'context: an absolute path of the host' refused "{ \"context\": \"$HOST\" }" "context: there is no"
ln -s "$HOST" "$A/away" && ln -s ../host "$A/relative"
run_test 'context: an absolute symbolic link' refused '{ "context": "alloc/away" }' "$OUTSIDE"
run_test 'context: a relative symbolic link' refused '{ "context": "alloc/relative" }' "$OUTSIDE"
run_test 'context: secrets' refused '{ "context": "secrets" }' 'is a secret'
run_test 'context: the private directory' refused '{ "context": "private" }' "$OUTSIDE"
ln -s "$HOST/file" "$A/good/Linked"
run_test 'containerfile: a symbolic link' refused '{ "context": "alloc/good", "containerfile": "Linked" }' "$OUTSIDE"
run_test 'containerfile: ..' refused '{ "context": "alloc/good", "containerfile": "../../host/file" }' "$OUTSIDE"
run_test 'output: through a symbolic link' refused \
	'{ "context": "alloc/good", "output": [{ "path": "alloc/away/x.tar" }] }' "$OUTSIDE"
ln -s "$HOST/file" "$A/linked.tar"
run_test 'output: onto a symbolic link' refused \
	'{ "context": "alloc/good", "output": [{ "path": "alloc/linked.tar" }] }' 'is not a file'
run_test 'metadata_file: ..' refused '{ "context": "alloc/good", "metadata_file": "alloc/../../host/new" }' "$OUTSIDE"
run_test 'build_contexts: a symbolic link' refused \
	'{ "context": "alloc/good", "build_contexts": { "x": "alloc/away" } }' "$OUTSIDE"
t_inside() { ln -s good "$A/alias" && builds '{ "context": "alloc/alias" }'; }
run_test 'a symbolic link that stays inside is followed' t_inside
t_copy() {
	ln -sf "$HOST/file" "$A/good/evil"
	containerfile good <<-C && build '{ "context": "alloc/good", "output": [{ "path": "alloc/copy.tar" }] }' && stays && ! tar -xOf "$A/copy.tar" 2>/dev/null | grep -aq 'of the host'
	FROM scratch
	COPY evil /x
	C
}
run_test 'COPY of a symbolic link to the host' t_copy
t_race() {
	containerfile race <<-C
	$HEAD
	RUN sleep 3
	C
	mkdir -p "$A/dest" && spawn_build \
		'{ "context": "alloc/race", "output": [{ "path": "alloc/dest/out.tar" }],
		"metadata_file": "alloc/dest/meta" }' && wait_for 60 'the step' has_said 'STEP 3' &&
		rm -r "$A/dest" && ln -s "$HOST" "$A/dest"
	end_build; [ "$CODE" -ne 0 ] && is "$(ls "$HOST")" file && untouched
}
run_test 'a link that appears while the build runs leads nowhere' t_race

# ---- What the site allows
t_registries() {
	plugin_config '{ policy: { allow_push: ["registry.example.org/team/*"] } }' && rm -rf "$A/good" &&
		containerfile good <<-'C' || return 1
	FROM scratch
	COPY Containerfile /
	C
	refused '{ "context": "alloc/good", "push": [{ "reference": "registry.example.org/other/x" }] }' \
		'allow_push = ."registry.example.org/team/.", "registry.example.org/other/x"' &&
		refused '{ "context": "alloc/good", "push": [{ "reference": "registry.example.org:1/team/x" }] }' \
		'allow_push'
}
run_test 'policy: allow_push' t_registries
t_networks() { plugin_config '{ policy: { allow_network: ["none"] } }' && refused '{ "context": "alloc/good" }' \
	'policy: allow_network = ."none", "private"' && builds '{ "context": "alloc/good", "network": "none" }'; }
run_test 'policy: allow_network' t_networks
run_test 'nothing is left' nothing_left
done_testing
