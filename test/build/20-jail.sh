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
ISOLATIONS="chroot$(command -v crun >/dev/null && echo ' oci')"
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
# Neither what is the host's nor what the engine's configuration is, however a step has it mounted.
t_writable() {
	for isolation in $ISOLATIONS; do
		hostile "\"isolation\": \"$isolation\"" <<-'C' && file_has "$T/out" '^tried 10$' &&
		FROM scratch AS a
		ADD rootfs.tar /
		RUN for d in / usr etc etc/ssl/certs etc/containers bin secrets build/home proc/sys/kernel var; do \
		mkdir -p /l/$d; ln -s /$d /l/$d/link; done
		FROM scratch
		ADD rootfs.tar /
		RUN --mount=type=bind,from=a,source=/l/link,target=/0,rw \
		--mount=type=bind,from=a,source=/l/usr/link,target=/1,rw \
		--mount=type=bind,from=a,source=/l/etc/link,target=/2,rw \
		--mount=type=bind,from=a,source=/l/etc/ssl/certs/link,target=/3,rw \
		--mount=type=bind,from=a,source=/l/etc/containers/link,target=/4,rw \
		--mount=type=bind,from=a,source=/l/bin/link,target=/5,rw \
		--mount=type=bind,from=a,source=/l/secrets/link,target=/6,rw \
		--mount=type=bind,from=a,source=/l/build/home/link,target=/7,rw \
		--mount=type=bind,from=a,source=/l/proc/sys/kernel/link,target=/8,rw \
		--mount=type=bind,from=a,source=/l/var/link,target=/9,rw \
		n=0; for d in 0 1 2 3 4 5 6 7 8 9; do n=$((n + 1)); \
		echo x >/$d/nomad-test && echo "wrote: /$d"; done 2>/dev/null; \
		echo x >/4/policy.json && echo 'wrote: policy'; \
		echo '|/bin/x' >/8/core_pattern && echo 'wrote: sysctl'; echo "tried $n"; sleep 0.2
		C
			unlike "$(cat "$T/out")" '^wrote:' && [ ! -e /usr/nomad-test ] || {
			rm -f /usr/nomad-test /usr/bin/nomad-test
			echo "isolation $isolation"; tail "$T/out" "$T/err"; return 1
		}
	done
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
	# shellcheck disable=SC2086 # three words
	rm -rf "$T/dev"; mkdir -p "$T/dev" && mknod "$T/dev/disk" ${DISK:-c 1 5} &&
		mknod "$T/dev/mem" c 1 1 && tar -C "$T/dev" -cf "$T/dev.tar" .
	containerfile device <<-C &&
	$HEAD
	ADD dev.tar /nodes
	RUN ls -l /nodes; echo "read: \$(dd if=/nodes/disk bs=1 count=16 2>/dev/null | wc -c)"; mknod /tmp/d c 1 5; \\
	echo tried; sleep 0.2
	FROM scratch
	ADD rootfs.tar /
	RUN --mount=type=bind,from=0,source=/nodes,target=/m,rw \\
	echo "again: \$(dd if=/m/disk bs=1 count=16 2>/dev/null | wc -c)"; sleep 0.2
	C
		cp "$T/dev.tar" "$A/device/" && build "{ \"context\": \"alloc/device\"${1:+, $1} }" &&
		file_has "$T/out" '^read: 0$' && file_has "$T/out" '^again: 0$' && file_has "$T/out" '^tried$'
}
t_device_oci() {
	case $ISOLATIONS in *oci*) ;; *) skip_this 'no crun'; return 0 ;; esac
	# One that not every program may open.
	DISK=$(awk '$3 > 0 && $4 !~ /^(zram|loop)/ { print "b", $1, $2; exit }' /proc/partitions)
	[ -n "$DISK" ] || { skip_this 'no disk'; return 0; }
	t_device '"isolation": "oci"'
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
# All that a step can get at: the directories of the host that hold programs and certificates are not listed further,
# nor is what the engine itself writes.
EXACT='alloc bin build build/auth.json build/home build/jail build/networks build/networks/cni.lock build/root build/run
	build/runroot build/tmp dev dev/fd dev/full dev/null dev/ptmx dev/pts dev/random dev/shm dev/stderr dev/stdin
	dev/stdout dev/tty dev/urandom dev/zero etc etc/containers etc/containers/containers.conf
	etc/containers/policy.json etc/containers/registries.conf etc/containers/registries.conf.d etc/group etc/passwd
	etc/resolv.conf lib local proc run run/build-secrets sbin secrets sys sys/devices sys/devices/system
	sys/devices/system/cpu sys/devices/system/cpu/online sys/devices/system/cpu/possible
	sys/devices/system/cpu/present sys/fs sys/fs/cgroup task task/local task/private task/secrets task/tmp tmp usr
	var var/cache var/cache/containers var/run var/tmp'
# Where the host has them.
ALSO='etc/(ld.so.cache|nsswitch.conf|host.conf|hosts|localtime|services|protocols|mime.types|ssl|ssl/certs|pki.*)'
ALSO="$ALSO|etc/ca-certificates|etc/ca-certificates/extracted|lib32|lib64|libx32"
ALSO="$ALSO|etc/containers/registries.conf.d/.*.conf"
t_exact() {
	for isolation in $ISOLATIONS; do
		hostile "\"isolation\": \"$isolation\"" <<-'C' && is "$CODE" 0 || return 1
		FROM scratch AS a
		ADD rootfs.tar /
		RUN ln -s / /link
		FROM scratch
		ADD rootfs.tar /
		RUN --mount=type=bind,from=a,source=/link,target=/m cd /m; find * -maxdepth 5 ! -path 'usr/*' \
		! -path 'proc/*' ! -path 'alloc/*' ! -path 'build/root/*' ! -path 'build/runroot/*' \
		! -path 'build/tmp/*' ! -path 'build/run/crun*' \
		! -path 'etc/ssl/certs/*' ! -path 'etc/pki/*/*' ! -path 'etc/ca-certificates/*/*' ! -path 'dev/pts/*' \
		| sed 's/^/list: /'; sleep 0.3
		C
		sed -n 's/^list: //p' "$T/out" | sort | grep -Ev "^($ALSO)\$" >"$T/seen"
		echo "$EXACT" | tr -s ' \t' '\n' | sort | diff - "$T/seen" || return 1
	done
}
run_test 'what a step sees by such a mount is an exact list' t_exact
run_test 'a bind mount through a symbolic link of another stage' t_bind
run_test 'a cache mount whose id leads upwards' t_cache
run_test 'the root that such a mount sees is the jail' t_bind_root
run_test 'what is read-only stays so, with either isolation' t_writable
run_test 'sysctls' t_proc
run_test 'sysfs and cgroups' t_sys
run_test 'FROM files of the host' t_from
run_test 'credentials of the node' t_credentials
run_test 'chroot and PID 1' t_chroot
run_test 'device files in an archive: overlay' t_device
run_test 'device files in an archive: vfs' t_device_vfs
run_test 'device files in an archive: isolation oci' t_device_oci
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
