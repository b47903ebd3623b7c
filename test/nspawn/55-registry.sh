#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Container images, by the rules of docker: what runs, and from a registry.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
requires skopeo umoci python3
umoci init --layout "$T/oci" && umoci new --image "$T/oci:v1" && umoci unpack --image "$T/oci:v1" "$T/bundle" &&
	cp -a "$ROOT/." "$T/bundle/rootfs/" && umoci repack --image "$T/oci:v1" "$T/bundle" >/dev/null &&
	umoci config --image "$T/oci:v1" --config.entrypoint /bin/echo --config.entrypoint ENTRY --config.cmd CMD \
	--config.user web --config.stopsignal SIGUSR1 || skip_all 'no image could be made'
rm -rf "$T/bundle"
container() {	# MORE_JSON: the config
	jq -cn --arg url "oci:$T/oci:v1" --argjson more "$1" '{ image: "img", boot: false, network_veth: false,
		image_download: { type: "docker", url: $url } } + $more'
}
shell='"entrypoint":["/bin/sh","-c"]'

run_test 'the image says entrypoint and command' says "$(container '{}')" '^ENTRY CMD$'
run_test 'command: the entrypoint stays' says "$(container '{"command":["mine"]}')" '^ENTRY mine$'
run_test 'args: the entrypoint stays' says "$(container '{"args":["one","two"]}')" '^ENTRY one two$'
run_test 'command and args' says "$(container '{"command":["mine"],"args":["one"]}')" '^ENTRY mine one$'
run_test 'entrypoint: neither of the image counts' says "$(container '{"entrypoint":["/bin/echo","own"]}')" '^own$'
run_test 'entrypoint = []' says "$(container '{"entrypoint":[],"command":["/bin/echo","alone"]}')" '^alone$'
run_test 'args: of a directory' says "$(sh_config 'echo "$0 $1"' '{"args":["a","b"]}')" '^a b$'
run_test 'user of the image, with its groups' says "$(container "{$shell,\"args\":[\"id\"]}")" \
	'uid=1000\(web\) gid=1000\(web\) groups=.*77\(extra\)'
run_test 'group_add' says "$(sh_config 'id -G' '{"user":"web","group_add":["5","extra","4711"]}')" '^1000 .*4711'
run_test 'group_add: for root' says "$(sh_config 'id -G' '{"group_add":["4711"]}')" '^0 .*4711$'
run_test 'group_add: unknown' fails "$(sh_config true '{"group_add":["nobodys"]}')" 'find the groups of user'
t_bundle_groups() {
	mkdir "$T/bundle" && jq -n --arg root "$ROOT" '{ ociVersion: "1.0.2", root: { path: $root }, process: {
		args: ["/bin/id", "-G"], user: { uid: 1000, gid: 1000, additionalGids: [4712] } } }' \
		>"$T/bundle/config.json" && says "$(jq -cn --arg i "$T/bundle" \
		'{ image: $i, oci_bundle: true, boot: false, network_veth: false }')" '^1000.* 4712'
}
run_test 'oci_bundle: its groups' t_bundle_groups
t_stop() {
	script='trap "echo usr1; exit 3" USR1; trap "exit 4" TERM; echo up; while :; do sleep 0.1; done'
	spawn_task "$(container "$(jq -n --arg s "$script" '{ entrypoint: ["/bin/sh", "-c"], args: [$s] }')")" &&
		wait_for 60 up has_said up && end_task TERM
	is "$CODE" 3 && file_has "$T/out" '^usr1$'
}
run_test 'the stop signal of the image' t_stop

# ---- A registry
test/nspawn/registry "$T/oci" 8096 me:open-sesame 2>"$T/requests" &
cleanup "kill $!"
wait_for 20 'the registry' sh -c 'curl -s -o /dev/null 127.0.0.1:8096/v2/' || skip_all 'no registry'
remote() {	# NAME AUTH_JSON MORE_JSON REFERENCE
	config=$(jq -cn --arg name "$1" --argjson auth "$2" '{ image: $name, boot: false, auth: $auth,
		network_veth: false }')
	jq -cn --argjson config "$config" --argjson more "${3:-{\}}" --arg url "127.0.0.1:8096/${4:-a/b:v1}" \
		'$config + $more + { image_download: { type: "docker", url: $url } }'
}
creds='{"username":"me","password":"open-sesame","tls_verify":false}'
t_hidden() {
	says "$(remote first "$creds")" '^ENTRY CMD$' && unlike "$(grep -rl open-sesame "$T/state" 2>/dev/null)" . &&
		unlike "$(cat "$T/err")" 'open-sesame|bWU6b3Blbi1zZXNhbWU='
}
run_test 'auth: user and password, and neither is left anywhere' t_hidden
run_test 'auth: wrong password' fails "$(remote bad '{"username":"me","password":"x","tls_verify":false}')" \
	"image 'bad' from .*: download: .*skopeo"
run_test 'auth.tls_verify: plain http only without it' fails \
	"$(remote bad '{"username":"me","password":"open-sesame"}')" "image 'bad' from .*: download"
run_test 'auth.server_address' fails \
	"$(remote bad '{"username":"me","password":"open-sesame","server_address":"x.example","tls_verify":false}')" \
	"image 'bad' from"
t_force() {
	: >"$T/requests"
	says "$(remote first "$creds")" ENTRY && is "$(grep -c blobs "$T/requests")" 0 &&
		says "$(remote first "$creds" '{"force_pull":true}')" ENTRY && file_has "$T/requests" blobs
}
run_test 'force_pull: fetched again' t_force
digest=$(jq -r '.manifests[0].digest' "$T/oci/index.json")
run_test 'a digest pins the image' says "$(remote pinned "$creds" '{}' "a/b@$digest")" '^ENTRY CMD$'
run_test 'a digest pins the image: another content is refused' fails "$(remote evil "$creds" '{}' "evil/b@$digest")" \
	"image 'evil' from .*: download: .*skopeo"
# What was downloaded under a name is not what a job gets that names another source.
t_other_source() {
	fails "$(remote pinned "$creds" '{}' "evil/b@$digest")" "image 'pinned' from .*: download: .*skopeo" || return 1
	: >"$T/requests"
	says "$(remote pinned "$creds" '{}' "a/b@$digest")" '^ENTRY CMD$' &&
		is "$(grep -c blobs "$T/requests")" 0 &&
		says "$(remote first "$creds" '{}' "a/b@$digest")" '^ENTRY CMD$' &&
		file_has "$T/requests" 'manifests/sha256'
}
run_test 'an image of another source is not used under the same name' t_other_source
t_other_in_use() {
	shell='{"entrypoint":["/bin/sh","-c"],"args":["echo up; exec sleep 100"]}'
	spawn_task "$(remote first "$creds" "$shell" "a/b@$digest")" && wait_for 60 up has_said up || return 1
	task=$TASK_PID
	fails "$(remote first "$creds")" "another task uses an image of this name"
	r=$?
	TASK_PID=$task end_task KILL
	return $r
}
run_test 'an image of another source is not replaced while a task uses it' t_other_in_use
t_timeout() {
	perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1:8095",
		ReuseAddr => 1) or die; while ($c = $s->accept) {
		print $c "HTTP/1.0 200 OK\r\nContent-Length: 1000000\r\n\r\n"; $c->flush;
		if (!fork) { for (1..600) { print $c "x"; $c->flush; select undef, undef, undef, 0.1 } exit } }' &
	server=$!
	fails "$(sh_config true '{"image":"late","image_pull_timeout":"2s",
		"image_download":{"url":"http://127.0.0.1:8095/x.tar"}}')" "image 'late' from .*: download: "
	r=$?
	kill $server
	return $r
}
run_test 'image_pull_timeout: however many bytes still come' t_timeout
run_test 'image_pull_timeout: wrong' fails "$(sh_config true '{"image_pull_timeout":"soon"}')" 'a duration such as 5m'
done_testing
