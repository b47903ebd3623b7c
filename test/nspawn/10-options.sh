#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Each option of a task, by what it does in the container.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
before=$(tree_state "$ROOT")
task "$(sh_config true)"	# what the first task of all makes stays: directories, cgroups
census_before

# ---- What is run
t_code() { WANT=7 code_is "$(sh_config 'exit 7')"; }
t_code_133() { WANT=133 code_is "$(sh_config 'exit 133')"; }
t_code_255() { WANT=255 code_is "$(sh_config 'exit 255')"; }
t_signal() { WANT=137 code_is "$(sh_config 'kill -KILL $$')"; }
t_streams() {
	task "$(sh_config 'echo to-out; echo to-err >&2')" && is "$(cat "$T/out")" to-out &&
		file_has "$T/err" '^to-err$'
}
run_test 'exit code' t_code
run_test 'exit code 133, which systemd-nspawn keeps for itself' t_code_133
run_test 'exit code 255' t_code_255
run_test 'death by a signal' t_signal
run_test 'stdout and stderr arrive apart and unchanged' t_streams
run_test 'command: is PID 2' says "$(sh_config 'echo pid $$')" '^pid 2$'
run_test 'process_two' says "$(sh_config 'echo pid $$' '{"process_two":true}')" '^pid 2$'
run_test 'init = false: is PID 1' says "$(sh_config 'echo pid $$' '{"init":false}')" '^pid 1$'
run_test 'command: words like options stay words' says \
	"$(jq -cn --arg i "$ROOT" '{image: $i, boot: false, network_veth: false, command: ["echo", "--bind=/:/host",
	"--"]}')" \
	'^--bind=/:/host --$'
run_test 'command: missing program' fails \
	"$(jq -cn --arg i "$ROOT" '{image: $i, boot: false, network_veth: false, command: ["/no/such"]}')" \
	"cannot run '/no/such': No such file"
run_test 'command: needed unless boot' fails "$(jq -cn --arg i "$ROOT" '{image: $i, boot: false}')" 'command is needed'
run_test 'boot and process_two' fails "$(jq -cn --arg i "$ROOT" '{image: $i, process_two: true}')" \
	'boot and process_two may not be combined'
t_zombies() { says "$(sh_config '(sleep 0.1 & exec true) & sleep 1; ps -o stat,comm | grep -c "^Z" || echo none')" \
	'^none$'; }
run_test 'orphans are reaped' t_zombies
run_test 'user: by name, with its groups and home' says "$(sh_config 'id; echo home $HOME $USER' '{"user":"web"}')" \
	'uid=1000\(web\) gid=1000\(web\) groups=.*77\(extra\)'
run_test 'user: home and name' says "$(sh_config 'echo home $HOME $USER' '{"user":"web"}')" '^home /home/web web$'
run_test 'user: by number and group' says "$(sh_config 'id -u; id -g; echo $(id -u):$(id -g)' '{"user":"5:extra"}')" \
	'^5:77$'
run_test 'user: of the task' says "$(sh_config 'id -un')" '^web$' '.User = "web"'
run_test 'user: unknown' fails "$(sh_config true '{"user":"who"}')" "cannot find user 'who'"
run_test 'user: has no capabilities' says "$(sh_config 'grep CapEff /proc/self/status' '{"user":"web"}')" \
	'CapEff:.0000000000000000'
run_test 'working_directory' says "$(sh_config pwd '{"working_directory":"/usr/share"}')" '^/usr/share$'
run_test 'working_directory: missing' fails "$(sh_config pwd '{"working_directory":"/nowhere"}')" \
	"cannot enter working directory '/nowhere'"
run_test 'environment' says "$(sh_config 'echo "[$A][$B]"' '{"environment":[{"A":"1","B":"two\nlines"}]}')" \
	'^\[1\]\[two$'
run_test 'environment: the task wins' says "$(sh_config 'echo "[$A]"' '{"environment":[{"A":"1"}]}')" '^\[task\]$' \
	'.Env = {A: "task"}'
run_test 'environment: names that a shell would not take' says \
	"$(sh_config 'tr "\0" "\n" </proc/self/environ | cat; cat /proc/2/environ | tr "\0" "\n"' \
	'{"environment":[{"a-b.c":"odd"}]}')" '^a-b.c=odd$'
t_env_hidden() {
	spawn_task "$(sh_config 'echo up; sleep 60')" '.Env = {PASSWORD: "open-sesame"}' &&
		wait_for 30 'the task runs' has_said up &&
		{ ! cat /proc/[0-9]*/cmdline | tr '\0' '\n' | grep -q '[o]pen-sesame'; } &&
		unlike "$(for p in $(pgrep -x systemd-nspawn); do tr '\0' '\n' <"/proc/$p/environ"; done)" \
		open-sesame &&
		unlike "$(grep -rl open-sesame "$T/state" 2>/dev/null)" .
	r=$?
	end_task TERM
	return $r
}
run_test 'environment: in no command line, in no file of the host' t_env_hidden
t_hosts() {
	says "$(sh_config 'cat /etc/hosts; touch /etc/hosts || echo kept' '{"hostname":"www.example","network_veth":true}')" \
		'^10\.88\.0\.[0-9]+ www.example$' && file_has "$T/out" '^127.0.0.1 localhost$' &&
		file_has "$T/out" '^::1 localhost' && file_has "$T/out" '^kept$'
}
run_test 'names: localhost, and its own with its address' t_hosts
run_test 'names: the host knows them where its network is shared' says \
	"$(sh_config 'grep -c . /etc/hosts; grep 127.0.1.1 /etc/hosts' '{"hostname":"www.example"}')" '^127.0.1.1 www.example$'
run_test 'hostname' says "$(sh_config hostname '{"hostname":"www.example"}')" '^www.example$'
t_uuid() {
	task "$(sh_config 'cat /etc/machine-id; echo $container_uuid; echo $NOMAD_ALLOC_ID')" &&
		is "$(sed -n 1p "$T/out")" "$(sed -n 3p "$T/out" | tr -d -)" &&
		is "$(sed -n 2p "$T/out")" "$(sed -n 3p "$T/out")"
}
run_test 'the machine id is the id of the allocation' t_uuid

# ---- Directories of the task
run_test 'alloc, local and secrets are there' says \
	"$(sh_config 'touch $NOMAD_ALLOC_DIR/data/x $NOMAD_TASK_DIR/x $NOMAD_SECRETS_DIR/x && ls $NOMAD_TASK_DIR')" \
	'^x$'
run_test 'files in them belong to who made them' says \
	"$(sh_config 'touch /local/x && stat -c %U:%G /local/x' '{"user":"web"}')" '^web:web$'
run_test 'the log pipes cannot be touched' says "$(sh_config 'touch /alloc/logs/x 2>&1 || echo refused')" '^refused$'

# ---- The root
run_test 'image: missing' fails "$(sh_config true '{"image":"/no/such/image"}')" "image '/no/such/image' does not exist"
run_test 'image: below the working directory' says "$(sh_config 'echo here' '{"image":"build/cache/nspawn/busybox"}')" \
	here
t_own() {
	mkdir -p "$T/shared" && cp -a "$ROOT" "$T/shared/root" && ln -s "$ROOT" "$T/shared/link" || return 1
	for image in alloc/root /alloc/root; do
		task_json "$(sh_config 'echo "from $0"' "{\"image\":\"$image\",\"args\":[\"it\"]}")" >"$T/own.json" &&
			"$DRIVER" run --config "$T/own-plugin.json" --alloc "$T/shared" "$T/own.json" >"$T/out" \
			2>"$T/err" </dev/null || { cat "$T/err"; return 1; }
		is "$(cat "$T/out")" 'from it' || return 1
	done
	task_json "$(sh_config true '{"image":"alloc/link"}')" >"$T/own.json"
	! "$DRIVER" run --config "$T/own-plugin.json" --alloc "$T/shared" "$T/own.json" 2>"$T/err" </dev/null &&
		file_has "$T/err" "image 'alloc/link' leads out of the allocation"
}
printf '{ "state_dir": "%s/state" }\n' "$T" >"$T/own-plugin.json"
run_test 'image: what the task has made, without a rule' t_own
t_raw() {
	[ -e "$T/root.img" ] || { mkfs.ext4 -q -d "$ROOT" "$T/root.img" 32M 2>/dev/null || return 1; }
	says "$(sh_config 'touch /new && stat -c %U /new /etc/passwd' "{\"image\":\"$T/root.img\"}")" '^root$'
}
run_test 'image: a file system in a file' t_raw
t_no_image() {
	truncate -s 2M "$T/zeros.img" && mkfs.vfat "$T/zeros.img" >/dev/null 2>&1
	for image in /etc/passwd "$T/zeros.img"; do
		fails "$(sh_config true "{\"image\":\"$image\"}")" \
			"image '$image': neither a file system \\(ext2.* nor a disk" || return 1
	done
}
run_test 'image: a file that is neither a file system nor a disk' t_no_image
t_raw_flags() {
	says "$(sh_config 'grep " / " /proc/self/mountinfo' \
		"{\"image\":\"$T/root.img\",\"writable_image\":true}")" ' / / [^ ]*nodev'
}
run_test 'image: no device nodes of it count' t_raw_flags
t_raw_many() { cmp "$T/root.img" "$T/root.img" && before_sum=$(cksum <"$T/root.img") && t_raw &&
	is "$(cksum <"$T/root.img")" "$before_sum"; }
run_test 'image: which stays as it is' t_raw_many
t_partitioned() {
	truncate -s 34M "$T/disk.img" && printf \
		'label: gpt\nstart=2048,size=65536,type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709\n' |
		sfdisk -q "$T/disk.img" && dd if="$T/root.img" of="$T/disk.img" bs=1M seek=1 conv=notrunc status=none &&
		says "$(sh_config 'echo from a partition' "{\"image\":\"$T/disk.img\"}")" 'from a partition'
}
run_test 'image: the root partition of a disk' t_partitioned
t_raw_written() {
	says "$(sh_config 'echo kept >/kept && echo done' "{\"image\":\"$T/root.img\",\"writable_image\":true}")" \
		done &&
		says "$(sh_config 'cat /kept' "{\"image\":\"$T/root.img\"}")" kept
}
run_test 'image: a file system in a file, written to' t_raw_written
run_test 'ephemeral' says "$(sh_config 'echo x >/etc/new && cat /etc/new' '{"ephemeral":true}')" '^x$'
run_test 'ephemeral: the root of the host' says \
	"$(sh_config 'test -e /etc/debian_version; touch /ephemeral-test && echo fine' \
	'{"ephemeral":true,"image":"/"}')" fine
t_host_root() { [ ! -e /ephemeral-test ]; }
run_test 'ephemeral: and nothing of it stays on the host' t_host_root
run_test 'read_only' says "$(sh_config 'touch /x 2>&1; touch /local/x && echo local' '{"read_only":true}')" \
	'Read-only file system'
run_test 'read_only: the task directories can be written' says \
	"$(sh_config 'touch /local/x && echo local' '{"read_only":true}')" '^local$'
run_test 'volatile = yes' says "$(sh_config 'touch /x && ls -d /usr/share /x && grep " / " /proc/self/mounts' \
	'{"volatile":"yes","user":"0"}')" '^tmpfs / tmpfs'
run_test 'volatile = yes: /usr is read-only' says \
	"$(sh_config 'touch /usr/x 2>&1; true' '{"volatile":"yes","user":"0","user_namespacing":false}')" 'Read-only'
run_test 'volatile = state' says "$(sh_config 'touch /var/x && { touch /x 2>/dev/null || echo ro; }' \
	'{"volatile":"state"}')" '^ro$'
run_test 'volatile = overlay' says "$(sh_config 'touch /x && echo rw' '{"volatile":"overlay"}')" '^rw$'
run_test 'volatile = no' says "$(sh_config 'touch /x && echo rw' '{"volatile":"no"}')" '^rw$'
run_test 'volatile: wrong' fails "$(sh_config true '{"volatile":"maybe"}')" "invalid parameter for volatile: 'maybe'"
t_writable() {
	cp -a "$ROOT" "$T/tree" && says "$(sh_config 'echo kept >/kept; echo done' \
		"{\"image\":\"$T/tree\",\"writable_image\":true}")" done &&
		is "$(cat "$T/tree/kept")" kept && is "$(stat -c %u "$T/tree/kept")" 0
}
run_test 'writable_image' t_writable
t_pivot() {
	mkdir -p "$T/pivot/usr" "$T/pivot/new" && cp -a "$ROOT/." "$T/pivot/new/" && mkdir -p "$T/pivot/new/old" &&
		says "$(sh_config 'ls -d /old/new /etc/passwd' \
		"{\"image\":\"$T/pivot\",\"pivot_root\":\"/new:/old\"}")" '^/old/new$'
}
run_test 'pivot_root' t_pivot
t_bind() {
	mkdir -p "$T/host:dir" && echo hello >"$T/host:dir/file" &&
		says "$(sh_config 'cat /in/side/file && echo back >/in/side/back' \
		"{\"bind\":[{\"$T/host:dir\":\"/in/side\"}]}")" hello &&
		is "$(cat "$T/host:dir/back")" back && is "$(stat -c %u "$T/host:dir/back")" 0
}
run_test 'bind' t_bind
run_test 'bind_read_only' says "$(sh_config 'cat /in/file; touch /in/x 2>&1' \
	"{\"bind_read_only\":[{\"$T/host:dir\":\"/in\"}]}; true" 2>/dev/null ||
	sh_config 'cat /in/file; touch /in/x 2>&1; true' "{\"bind_read_only\":[{\"$T/host:dir\":\"/in\"}]}")" \
	'Read-only file system'
run_test 'bind: a file' says "$(sh_config 'cat /etc/motto' "{\"bind\":[{\"$T/host:dir/file\":\"/etc/motto\"}]}")" hello
run_test 'bind: with read_only' says "$(sh_config 'cat /deep/in/file' \
	"{\"read_only\":true,\"bind\":[{\"$T/host:dir\":\"/deep/in\"}]}")" hello
run_test 'bind: missing' fails "$(sh_config true '{"bind":[{"/no/such":"/x"}]}')" "bind '/no/such'"
run_test 'tmpfs' says "$(sh_config 'df -k /cache | grep tmpfs' '{"tmpfs":["/cache:size=1M"]}')" ' 1024 '
t_overlay() {
	mkdir -p "$T/low" "$T/up" && echo low >"$T/low/f" &&
		says "$(sh_config 'cat /both/f && echo new >/both/g' \
		"{\"user_namespacing\":false,\"overlay\":[\"$T/low:$T/up:/both\"]}")" '^low$' &&
		is "$(cat "$T/up/g")" new
}
run_test 'overlay' t_overlay
run_test 'overlay_read_only' says "$(sh_config 'cat /both/f; touch /both/x 2>&1; true' \
	"{\"overlay_read_only\":[\"$T/low:$T/up:/both\"]}")" 'Read-only'
run_test 'devices' says "$(sh_config 'ls -l /dev/loop-control /dev/other' \
	'{"devices":["/dev/loop-control","/dev/loop-control:/dev/other"]}')" '^c.*10, *237.*/dev/other'
run_test 'resolv_conf = off' says "$(sh_config 'cat /etc/resolv.conf 2>&1; true' '{"resolv_conf":"off"}')" \
	'No such file'
run_test 'resolv_conf = copy-host' says "$(sh_config 'cat /etc/resolv.conf' '{"resolv_conf":"copy-host"}')" \
	"$(grep -m1 nameserver /etc/resolv.conf)"
run_test 'resolv_conf = bind-host' says "$(sh_config 'cat /etc/resolv.conf; grep -c resolv.conf /proc/self/mounts' \
	'{"resolv_conf":"bind-host"}')" '^1$'
run_test 'resolv_conf = bind-static' says "$(sh_config 'cat /etc/resolv.conf' '{"resolv_conf":"bind-static"}')" \
	'127.0.0.53'
run_test 'resolv_conf: wrong' fails "$(sh_config true '{"resolv_conf":"x"}')" 'invalid parameter for resolv_conf'
run_test 'timezone = off' says "$(sh_config 'ls /etc/localtime 2>&1; true' '{"timezone":"off"}')" 'No such file'
run_test 'console = read-only: a terminal' says "$(sh_config 'test -t 1 && echo tty' '{"console":"read-only"}')" \
	'^tty.$'
run_test 'console = pipe' says "$(sh_config 'test -t 1 || echo no tty' '{"console":"pipe"}')" '^no tty$'
run_test 'console: wrong' fails "$(sh_config true '{"console":"autopipe"}')" 'invalid parameter for console'

# ---- Rights
run_test 'user_namespacing' says "$(sh_config 'cat /proc/self/uid_map')" '^ *0 +[1-9][0-9]+ +65536$'
run_test 'user_namespacing: owners in the image are right' says "$(sh_config 'stat -c %u /etc/passwd')" '^0$'
run_test 'user_namespacing = false' says "$(sh_config 'cat /proc/self/uid_map' '{"user_namespacing":false}')" \
	'^ *0 +0 +4294967295$'
run_test 'private_users = NUMBER' says "$(sh_config 'cat /proc/self/uid_map; stat -c %u /etc/passwd; touch /x' \
	'{"private_users":"655360"}')" '^ *0 +655360 +65536$'
run_test 'private_users = NUMBER:COUNT' says "$(sh_config 'cat /proc/self/uid_map' '{"private_users":"655360:2000"}')" \
	'^ *0 +655360 +2000$'
run_test 'private_users = identity' says "$(sh_config 'cat /proc/self/uid_map; stat -c %u /etc/passwd' \
	'{"private_users":"identity"}')" '^ *0 +0 +65536$'
run_test 'private_users = no' says "$(sh_config 'cat /proc/self/uid_map' '{"private_users":"no"}')" \
	'^ *0 +0 +4294967295$'
run_test 'private_users: wrong' fails "$(sh_config true '{"private_users":"x"}')" 'invalid parameter for private_users'
run_test 'private_users = managed: not in this systemd' fails "$(sh_config true '{"private_users":"managed"}')" \
	'needs systemd 258 or newer, this host has'
run_test 'private_users_ownership = map' says \
	"$(sh_config 'touch /x && stat -c %u /x /etc/passwd | sort -u' '{"private_users_ownership":"map"}')" '^0$'
run_test 'private_users_ownership = chown' says \
	"$(sh_config 'touch /x && stat -c %u /x /etc/passwd | sort -u' '{"private_users_ownership":"chown"}')" '^0$'
run_test 'private_users_ownership: wrong' fails "$(sh_config true '{"private_users_ownership":"off"}')" \
	'invalid parameter for private_users_ownership'
capbit() { printf '%d' $(( (0x$(sed -n 's/^CapBnd:.//p' "$T/out") >> $1) & 1 )); }
t_capability() {
	says "$(sh_config 'grep CapBnd /proc/self/status')" CapBnd && is "$(capbit 16)" 0 &&
		says "$(sh_config 'grep CapBnd /proc/self/status' '{"capability":["CAP_SYS_MODULE"]}')" CapBnd &&
		is "$(capbit 16)" 1
}
t_drop() {
	says "$(sh_config 'grep CapBnd /proc/self/status')" CapBnd && is "$(capbit 13)" 1 &&
		says "$(sh_config 'grep CapBnd /proc/self/status' '{"drop_capability":["CAP_NET_RAW"]}')" CapBnd &&
		is "$(capbit 13)" 0
}
run_test 'capability' t_capability
run_test 'drop_capability' t_drop
run_test 'capability: wrong' fails "$(sh_config true '{"capability":["CAP_NO_SUCH"]}')" 'Failed to parse capability'
run_test 'system_call_filter' says "$(sh_config 'mount -t tmpfs x /mnt 2>&1 || echo refused' \
	'{"user_namespacing":false,"system_call_filter":["~@mount"]}')" '^refused$'
run_test 'no_new_privileges' says "$(sh_config 'grep NoNewPrivs /proc/self/status' '{"no_new_privileges":true}')" \
	'NoNewPrivs:.1'
run_test 'rlimits' says "$(sh_config 'ulimit -n; ulimit -Hn' '{"rlimits":[{"NOFILE":"100:200"}]}')" '^200$'
t_pids() {
	task "$(sh_config 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 5 & done' \
		'{"pids_limit":15}')" &&
		file_has "$T/err" "can.t fork"
}
run_test 'pids_limit' t_pids

# ---- The plugin block
t_disabled() { echo '{ "enabled": false }' >"$T/off.json" && ! "$DRIVER" doctor --config "$T/off.json" >"$T/doctor" &&
	file_has "$T/doctor" disabled; }
run_test 'plugin option enabled = false' t_disabled
t_bad_pool() { echo '{ "network_pool": "10.0.0.0/30" }' >"$T/off.json" &&
	! "$DRIVER" doctor --config "$T/off.json" 2>"$T/doctor" && file_has "$T/doctor" network_pool; }
run_test 'plugin option network_pool: no network' t_bad_pool

# ---- And nothing of all this stays
t_image() { is "$(tree_state "$ROOT")" "$before"; }
t_gone() {
	is "$(cat /proc/self/mounts | grep -c "$T/state")" 0 && is "$(ls "$T/state/tasks")" '' &&
		is "$(losetup -a | grep -c "$T")" 0 && unlike "$(pgrep -a systemd-nspawn)" .
}
run_test 'the image is what it was' t_image
run_test 'no mounts, loop devices, processes or files are left' t_gone
run_test 'nothing is left' nothing_left
done_testing
