# shellcheck shell=sh
# SPDX-License-Identifier: MPL-2.0
#
# test/build/lib-build.sh: what the tests of this driver share, after
# test/lib.sh.
#
#   need_build                   skip all unless driver, engine and tools are there; makes $A
#   $A                           the allocation's shared directory; $A/rootfs.tar is a busybox tree
#   containerfile NAME <<TEXT    a context $A/NAME with a Containerfile and rootfs.tar
#   build CONFIG_JSON [FILTER]   run one task by `run`; the jq filter changes the task. Sets CODE; its output is
#                                in $T/out and $T/err (with the events)
#   builds CONFIG [FILTER]       the same, and it ends with 0
#   fails CONFIG PATTERN         it does not, and a line of the errors matches
#   spawn_build CONFIG           in the background: TASK_PID; end_build [SIGNAL] sets CODE
#   plugin_config JSON           (as CONFIG_JSON, an expression of jq) options of the plugin block from now on
#   unpack ARCHIVE DIR           the root of an oci-archive's image in DIR/rootfs
#   digest_of ARCHIVE            of its manifest
#   start_registry [HTPASSWD]    a registry on loopback: REGISTRY=127.0.0.1:PORT; with the file $T/HTPASSWD it wants
# credentials
#   use_host_network             builds are in the network of the test, where its registry is on loopback
#   nothing_left                 no storage, no mounts, no processes of builds

NETWORK=
DRIVER=$BUILD/plugins/nomad-driver-build

need_build() {
	requires_root
	requires_linux
	requires buildah skopeo jq busybox
	[ -x "$DRIVER" ] || skip_all "no $DRIVER"
	DRIVER=$(cd "${DRIVER%/*}" && pwd)/${DRIVER##*/}
	A=$T/alloc
	mkdir -p "$A" "$T/root/bin" "$T/root/etc" "$T/root/tmp"
	cp "$(command -v busybox)" "$T/root/bin/busybox"
	for _a in sh ls cat echo sleep mkdir id ps mount wc grep head ln touch env dd chroot sha256sum find rm tr \
		mknod cp chmod stat hostname ip uname sed; do
		ln -s busybox "$T/root/bin/$_a"
	done
	tar -C "$T/root" -cf "$A/rootfs.tar" .
	plugin_config '{}'
	CENSUS_DIRS=$T/state
}
ALLOW_HOST='policy: { allow_network: ["private", "group", "none", "host"] }'
plugin_config() {
	jq -cn --arg dir "$T/state" "{ state_dir: \$dir ${NETWORK:+, $ALLOW_HOST} } * ($1)" >"$T/plugin.json"
}
use_host_network() { NETWORK='network: "host"'; plugin_config '{}'; }
containerfile() {
	mkdir -p "$A/$1" && cat >"$A/$1/Containerfile" && ln -f "$A/rootfs.tar" "$A/$1/rootfs.tar"
}
job_of() {
	jq -n "{ Job: { ID: \"test\", Name: \"test\", Type: \"batch\", Datacenters: [\"*\"],
		TaskGroups: [{
		Name: \"group\", Tasks: [{ Name: \"task\", Driver: \"build\", Config: ({ $NETWORK } + ($1)),
			Resources: { MemoryMB: 512, CPU: 500 } } | ${2:-.}] }] } }"
}
build() {
	job_of "$@" >"$T/job.json" || return 1
	timeout 300 "$DRIVER" run --config "$T/plugin.json" --alloc "$A" "$T/job.json" >"$T/out" 2>"$T/err" </dev/null
	CODE=$?
}
# What buildah 1.28 may fail with on a loaded machine: see README.md.
engine_flaked() { grep -Eo 'copier subprocess: EOF|sealing memfd copy: Device or resource busy' "$T/err" &&
	echo 'the engine failed by itself: again'; }
builds() {
	build "$@" || return 1
	[ "$CODE" -eq 0 ] || ! engine_flaked || build "$@"
	[ "$CODE" -eq 0 ] || { echo "exit code $CODE"; tail -n 20 "$T/out" "$T/err"; return 1; }
}
fails() {
	build "$1" "${3:-.}" || return 1
	[ "$CODE" -ne 0 ] || { echo 'it did not fail'; tail "$T/out" "$T/err"; return 1; }
	grep -Eq -e "$2" "$T/err" || { echo "no line of the errors matches $2:"; cat "$T/err"; return 1; }
}
spawn_build() {
	_job=$T/job-${2:-bg}.json
	job_of "$1" >"$_job" || return 1
	"$DRIVER" run --config "$T/plugin.json" --alloc "$A" "$_job" >"$T/out-${2:-bg}" 2>"$T/err-${2:-bg}" </dev/null &
	TASK_PID=$!
}
end_build() {
	[ -z "${1:-}" ] || kill -"$1" "$TASK_PID"
	wait "$TASK_PID"
	CODE=$?
}
has_said() { grep -q -e "$1" "$T/out-${2:-bg}"; }
unpack() {
	rm -rf "$2" "$2.oci"
	skopeo copy -q "oci-archive:$1" "oci:$2.oci:x" && umoci unpack --image "$2.oci:x" "$2" >/dev/null 2>&1
}
digest_of() { skopeo inspect --format '{{.Digest}}' "oci-archive:$1"; }
start_registry() {
	command -v docker-registry >/dev/null || return 1
	_port=$(_free_ports 1) _dir=$T/registry$_port
	mkdir -p "$_dir"
	cat >"$_dir.yml" <<-CONFIG
	version: 0.1
	storage:
	  filesystem:
	    rootdirectory: $_dir
	http:
	  addr: 127.0.0.1:$_port
	${1:+auth: { htpasswd: { realm: test, path: "$T/$1" \} \}}
	CONFIG
	docker-registry serve "$_dir.yml" >"$_dir.log" 2>&1 </dev/null &
	REGISTRY_PID=$!
	cleanup "kill $REGISTRY_PID"
	REGISTRY=127.0.0.1:$_port
	wait_for 30 'the registry answers' sh -c \
		"skopeo list-tags --tls-verify=false docker://$REGISTRY/none 2>&1 | grep -qi 'unknown\|not known\|not found\|authentication\|unauthorized'"
}
no_storage() { [ -z "$(find "$T/state/builds/work" "$T/state/tasks" -mindepth 1 -maxdepth 1 2>/dev/null)" ]; }
nothing_left() {
	no_storage || { echo 'storage is left:'; find "$T/state" | head -n 20; return 1; }
	unlike "$(cat /proc/self/mounts)" "$T/state" && unlike "$(ps -eo args)" 'buildah |build-steps' &&
		is "$(find "$A" -name '*.task-*')" ''
}
