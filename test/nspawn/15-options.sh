#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# More options by what they do: bundles, block devices, devices, and what
# an older systemd lacks.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
before=$(tree_state "$ROOT")
task "$(sh_config true)"
census_before

# ---- OCI bundles
bundle() {	# PROCESS_JSON [MORE_JSON]: a config.json beside nothing; its root is the tree
	rm -rf "$T/bundle" && mkdir "$T/bundle" && jq -n --arg root "$ROOT" --argjson process "$1" --argjson more \
		"${2:-{\}}" \
		'{ ociVersion: "1.0.2", root: { path: $root }, process: $process } + $more' >"$T/bundle/config.json"
}
bundle_config() { jq -cn --arg image "$T/bundle" --argjson more "${1:-{\}}" \
	'{ image: $image, oci_bundle: true, boot: false, network_veth: false } + $more'; }
t_bundle() {
	bundle '{"args":["/bin/sh","-c","echo $0 $A $B; pwd; id -u; id -g; hostname; cat /proc/self/status","word"],"env":["A=of-bundle","B=b"],"cwd":"/usr/share","user":{"uid":1000,"gid":77},"noNewPrivileges":true}' '{"hostname":"from-bundle"}' &&
		says "$(bundle_config)" '^word of-bundle b$' && file_has "$T/out" '^/usr/share$' &&
		file_has "$T/out" '^1000$' && file_has "$T/out" '^77$' &&
		file_has "$T/out" '^from-bundle$' && file_has "$T/out" '^NoNewPrivs:.1'
}
t_bundle_job() {
	says "$(bundle_config '{"command":["/bin/sh","-c","echo $A $B $C; pwd; id -un; hostname"],"environment":[{"A":"of-job"}],"working_directory":"/etc","user":"web","hostname":"of-job"}')" '^of-job of-task$' '.Env = {B: "of-task"}' &&
		file_has "$T/out" '^/etc$' && file_has "$T/out" '^web$' && file_has "$T/out" '^of-job$'
}
t_bundle_readonly() {
	bundle '{"args":["/bin/sh","-c","touch /x 2>&1; true"]}' "{\"root\":{\"path\":\"$ROOT\",\"readonly\":true}}" &&
		says "$(bundle_config)" 'Read-only'
}
t_bundle_no_command() { bundle '{}' && fails "$(bundle_config)" 'says no command: set command'; }
t_bundle_version() { bundle '{}' '{"ociVersion":"9"}' && fails "$(bundle_config)" "ociVersion is '9', not 1.x"; }
t_bundle_none() { rm -rf "$T/bundle" && mkdir "$T/bundle" && fails "$(bundle_config)" \
	"read '.*/bundle/config.json': no such file"; }
run_test 'oci_bundle: command, environment, directory, user, host name' t_bundle
run_test 'oci_bundle: what the job says wins' t_bundle_job
run_test 'oci_bundle: a read-only root' t_bundle_readonly
run_test 'oci_bundle: no command anywhere' t_bundle_no_command
run_test 'oci_bundle: another version' t_bundle_version
run_test 'oci_bundle: no bundle' t_bundle_none

# ---- Block devices, and locks of images
t_block() {
	mkfs.ext4 -q -d "$ROOT" "$T/root.img" 32M 2>/dev/null || return 1
	LOOP=$(losetup -f --show "$T/root.img" 2>/dev/null) || { skip_this 'no loop devices'; return 0; }
	says "$(sh_config 'touch /new && stat -c %U /etc/passwd' "{\"image\":\"$LOOP\"}")" '^root$' &&
		says "$(sh_config 'echo kept >/kept && echo done' "{\"image\":\"$LOOP\",\"writable_image\":true}")" \
		done &&
		says "$(sh_config 'cat /kept' "{\"image\":\"$LOOP\"}")" kept
	r=$?
	losetup -d "$LOOP"
	return $r
}
run_test 'image: a block device' t_block
t_locked() {
	cp -a "$ROOT" "$T/tree" || return 1
	for image in "$T/tree" "$T/root.img"; do
		spawn_task "$(sh_config 'echo up; sleep 600' "{\"image\":\"$image\",\"writable_image\":true}")" &&
			wait_for 60 'the task runs' has_said up || return 1
		cp "$T/err" "$T/err-first"
		fails "$(sh_config true "{\"image\":\"$image\",\"writable_image\":true}")" 'busy'
		r=$?
		end_task TERM
		[ $r -eq 0 ] && says "$(sh_config 'echo free again' "{\"image\":\"$image\",\"writable_image\":true}")" \
			'free again' || { cat "$T/err"; return 1; }
	done
}
run_test 'writable_image: one task at a time, and free afterwards' t_locked

# ---- Devices
# Null has another minor number than what may be made; 7:0 is the first loop device.
t_policy() {
	says "$(sh_config 'mknod /made b 7 0 2>&1 || echo refused; mknod /null c 1 3 && echo x >/null && echo made;
		dd if=/dev/zero of=/dev/full bs=1 count=1 2>/dev/null || echo full' '{"user_namespacing":false}')" \
			'^refused$' &&
		file_has "$T/out" '^made$' && file_has "$T/out" '^full$'
}
t_policy_bound() {
	mkdir "$T/nodes" && mknod "$T/nodes/disk" b 7 0 &&
		says "$(sh_config 'dd if=/nodes/disk of=/dev/null count=1 2>&1 || echo refused' \
		"{\"user_namespacing\":false,\"bind\":[{\"$T/nodes\":\"/nodes\"}]}")" 'not permitted'
}
t_policy_open() { says "$(sh_config 'mknod /made b 7 0 && echo made' \
	'{"user_namespacing":false,"device_policy":"open"}')" '^made$'; }
t_access() {
	says "$(sh_config '(exec 3</dev/control) && echo "may r"; (exec 3>/dev/control) 2>/dev/null ||
		echo "may not w"; stat -c %u /dev/control' '{"devices":["/dev/loop-control:/dev/control:r"]}')" \
		'^may r$' &&
		file_has "$T/out" '^may not w$' && file_has "$T/out" '^0$'
}
t_access_rw() { says "$(sh_config 'exec 3<>/dev/loop-control && echo open' '{"devices":["/dev/loop-control"]}')" \
	'^open$'; }
t_access_bind() { says "$(sh_config 'exec 3<>/dev/loop-control && echo open' \
	'{"bind":[{"/dev/loop-control":"/dev/loop-control"}]}')" '^open$'; }
run_test 'device_policy: no nodes but the usual ones' t_policy
run_test 'device_policy: nodes in a directory that is bound' t_policy_bound
run_test 'device_policy = open' t_policy_open
run_test 'devices: read only, and the root of the container owns it' t_access
run_test 'devices: read and write' t_access_rw
run_test 'bind: a device node may be used' t_access_bind
run_test 'devices: no device' fails "$(sh_config true '{"devices":["/etc/passwd"]}')" \
	"device '/etc/passwd' is no device node"
run_test 'devices: wrong access' fails "$(sh_config true '{"devices":["/dev/null:/dev/x:q"]}')" 'some of rwm'

# ---- The plugin block
t_volumes() { printf '{ "policy": { "mode": "open" }, "state_dir": "%s/state", "machined": "no" }\n' "$T" >"$T/plugin.json" &&
	says "$(sh_config 'echo runs')" runs; }
run_test 'plugin option machined = no' t_volumes

# ---- Versions: a systemd-nspawn that says it is old, found first.
older() {	# VERSION CONFIG PATTERN
	mkdir -p "$T/bin" && printf '#!/bin/sh\n[ "$1" = --version ] && { echo "systemd %s (%s)"; exit; }\nexec /usr/bin/systemd-nspawn "$@"\n' "$1" "$1" >"$T/bin/systemd-nspawn" && chmod +x "$T/bin/systemd-nspawn" &&
		(PATH=$T/bin:$PATH; fails "$2" "$3")
}
run_test 'systemd 249: private_users = identity is refused by name' older 249 \
	"$(sh_config true '{"private_users":"identity"}')" \
	'private_users = "identity" needs systemd 250 or newer, this host has 249'
run_test 'systemd 257: private_users_ownership = foreign' older 257 \
	"$(sh_config true '{"private_users_ownership":"foreign"}')" \
	'private_users_ownership = "foreign" needs systemd 258 or newer, this host has 257'
run_test 'systemd 248: all is refused' older 248 "$(sh_config true)" 'systemd 248 is older than 249'

# ---- And nothing of all this stays
t_image() { is "$(tree_state "$ROOT")" "$before"; }
run_test 'the image is what it was' t_image
run_test 'nothing is left' nothing_left
done_testing
