#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# image_download, from a web server in this test.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
requires curl tar xz busybox socat
mkdir "$T/www"
port=8099
busybox httpd -f -p 127.0.0.1:$port -h "$T/www" &
httpd=$!
cleanup "kill $httpd"
url=http://127.0.0.1:$port
tar -C "$ROOT" -cJf "$T/www/root.tar.xz" .
tar -C "$(dirname "$ROOT")" -cf "$T/www/nested.tar" busybox
mkfs.ext4 -q -d "$ROOT" "$T/root.img" 32M && gzip -c "$T/root.img" >"$T/www/root.img.gz"
(cd "$T/www" && sha256sum root.tar.xz nested.tar >SHA256SUMS)
sum=$(sha256sum "$T/www/root.tar.xz" | cut -d' ' -f1)
download() { # NAME DOWNLOAD_JSON SCRIPT
	sh_config "$3" "$(jq -cn --arg name "$1" --argjson d "$2" '{ image: $name, image_download: $d }')"
}
images=$T/state/images

run_test 'tar, compressed' says "$(download one "{\"url\":\"$url/root.tar.xz\"}" 'echo runs')" '^runs$'
t_owner() { is "$(stat -c %u "$images/one/etc/passwd")" 0 && is "$(ls -A "$images" | grep -c new)" 0; }
run_test 'tar: owners, and nothing of the work is left' t_owner
t_again() { rm "$T/www/root.tar.xz.gone" 2>/dev/null; mv "$T/www/root.tar.xz" "$T/www/away" &&
	says "$(download one "{\"url\":\"$url/root.tar.xz\"}" 'echo runs')" '^runs$'
	mv "$T/www/away" "$T/www/root.tar.xz"; }
run_test 'an image that is there is not fetched again' t_again
t_events() { task "$(download two "{\"url\":\"$url/root.tar.xz\"}" true)" && file_has "$T/err" 'Downloading image' &&
	file_has "$T/err" 'Downloaded image'; }
run_test 'events tell of it' t_events
run_test 'tar with a directory around it' says "$(download nested "{\"url\":\"$url/nested.tar\"}" 'echo runs')" '^runs$'
run_test 'raw, compressed' says "$(download raw "{\"url\":\"$url/root.img.gz\",\"type\":\"raw\"}" 'echo runs')" '^runs$'
t_force() {
	says "$(download forced "{\"url\":\"$url/root.tar.xz\"}" true)" '^$' || true
	touch "$images/forced/old" && says \
		"$(download forced "{\"url\":\"$url/root.tar.xz\",\"force\":true}" 'ls /old 2>&1; true')" 'No such file'
}
run_test 'force' t_force
run_test 'checksum: pinned' says "$(download pinned "{\"url\":\"$url/root.tar.xz\",\"checksum\":\"sha256:$sum\"}" \
	'echo runs')" '^runs$'
run_test 'checksum: another' fails "$(download bad \
	"{\"url\":\"$url/root.tar.xz\",\"checksum\":\"sha256:$(echo x | sha256sum | cut -d' ' -f1)\"}" true)" \
	'the sha256 digest of what was downloaded is'
t_bad_gone() { is "$(ls -A "$images" | grep bad)" ''; }
run_test 'checksum: and no image is left of it' t_bad_gone
run_test 'verify = checksum' says "$(download verified "{\"url\":\"$url/root.tar.xz\",\"verify\":\"checksum\"}" \
	'echo runs')" '^runs$'
t_tampered() { sed -i 's/^0/1/; t; s/^./0/' "$T/www/SHA256SUMS" && fails \
	"$(download tampered "{\"url\":\"$url/root.tar.xz\",\"verify\":\"checksum\"}" true)" \
	'digest of what was downloaded'; }
run_test 'verify = checksum: wrong' t_tampered
t_signature() {
	command -v gpg >/dev/null && command -v gpgv >/dev/null || { skip_this 'no gpg and gpgv'; return 0; }
	# The keyring of systemd's importd, in the mount namespace of this test.
	mkdir -m 700 "$T/gpg" && GNUPGHOME=$T/gpg gpg --batch --quiet --passphrase '' --quick-generate-key tester \
		default default never 2>/dev/null &&
		mount -t tmpfs keys /etc/systemd && GNUPGHOME=$T/gpg gpg --batch --quiet --export \
		>/etc/systemd/import-pubring.gpg &&
		(cd "$T/www" && sha256sum root.tar.xz >SHA256SUMS) && GNUPGHOME=$T/gpg gpg --batch --quiet --yes \
		--detach-sign -o "$T/www/SHA256SUMS.gpg" "$T/www/SHA256SUMS" &&
		says "$(download signed "{\"url\":\"$url/root.tar.xz\",\"verify\":\"signature\"}" 'echo runs')" \
		'^runs$' &&
		echo '# another' >>"$T/www/SHA256SUMS" &&
		fails "$(download forged "{\"url\":\"$url/root.tar.xz\",\"verify\":\"signature\"}" true)" \
		'verify the signature of SHA256SUMS' &&
		[ ! -e "$images/forged" ]
	r=$?
	GNUPGHOME=$T/gpg gpgconf --kill all 2>/dev/null
	umount /etc/systemd 2>/dev/null
	return $r
}
run_test 'verify = signature' t_signature
run_test 'verify: wrong word' fails "$(download x "{\"url\":\"$url/x\",\"verify\":\"some\"}" true)" \
	'invalid parameter for image_download.verify'
run_test 'type: wrong word' fails "$(download x "{\"url\":\"$url/x\",\"type\":\"zip\"}" true)" \
	'invalid parameter for image_download.type'
run_test 'not there' fails "$(download nowhere "{\"url\":\"$url/nowhere.tar\"}" true)" \
	"image 'nowhere' from '.*': download: curl.*404"
run_test 'other protocols are refused' fails "$(download local "{\"url\":\"file:///etc/passwd\"}" true)" \
	'download: curl'
run_test 'a name is a name' fails "$(download ../up "{\"url\":\"$url/root.tar.xz\"}" true)" \
	'with image_download this is the name'
t_single() {
	n=0
	for i in 1 2 3 4; do
		task_json "$(download shared "{\"url\":\"$url/root.tar.xz\"}" 'echo runs')" >"$T/s$i.json"
		"$DRIVER" run --config "$T/plugin.json" "$T/s$i.json" >"$T/s$i.out" 2>"$T/s$i.err" </dev/null & eval \
			"p$i=\$!"
	done
	for i in 1 2 3 4; do eval "wait \$p$i" && n=$((n + 1)); done
	is "$n" 4 && is "$(cat "$T"/s?.err | grep -c '^event: Downloading image')" 1
}
run_test 'four tasks at once: one download' t_single
t_cache() {
	printf '{ "policy": { "mode": "open" }, "state_dir": "%s/state", "image_cache_mb": 4 }\n' "$T" >"$T/plugin.json"
	# One that a task uses stays, however old it is.
	spawn_task "$(download pinned "{\"url\":\"$url/root.tar.xz\"}" 'echo up; sleep 600')" &&
		wait_for 60 up has_said up && touch -d '2 years ago' "$images/.use-pinned" || return 1
	cp "$T/out" "$T/out-bg"
	says "$(download last "{\"url\":\"$url/root.tar.xz\"}" 'echo runs')" '^runs$' &&
		is "$(ls "$images" | tr '\n' ' ')" 'last pinned '
	r=$?
	end_task TERM
	printf '{ "policy": { "mode": "open" }, "state_dir": "%s/state" }\n' "$T" >"$T/plugin.json"
	return $r
}
run_test 'image_cache_mb: what was used longest ago goes, what is in use stays' t_cache
t_force_used() {
	spawn_task "$(download forced2 "{\"url\":\"$url/root.tar.xz\"}" 'echo up; sleep 600')" &&
		wait_for 60 up has_said up || return 1
	touch "$images/forced2/mark"
	cp "$T/out" "$T/out-bg"
	says "$(download forced2 "{\"url\":\"$url/root.tar.xz\",\"force\":true}" 'ls /mark')" '^/mark$' &&
		file_has "$T/err" 'in use by another task'
	r=$?
	end_task TERM
	return $r
}
run_test 'force: an image in use stays' t_force_used
# A small file that is large when it is unpacked; many empty files.
t_max() {
	mkdir "$T/bomb" "$T/many" && head -c 60M /dev/zero >"$T/bomb/zeros" &&
		seq -f "$T/many/%.0f" 30000 | xargs touch &&
		tar -C "$T/bomb" -cJf "$T/www/bomb.tar.xz" . && tar -C "$T/many" -cJf "$T/www/many.tar.xz" . &&
		gzip -c "$T/bomb/zeros" >"$T/www/bomb.gz" || return 1
	printf '{ "policy": { "mode": "open" }, "state_dir": "%s/state", "download_max_mb": 12 }\n' "$T" >"$T/plugin.json"
	max='takes more than 12 MiB \(plugin option download_max_mb\)'
	fails "$(download bomb "{\"url\":\"$url/bomb.tar.xz\"}" true)" "image 'bomb' from .*: .*$max" &&
		fails "$(download bomb "{\"url\":\"$url/bomb.gz\",\"type\":\"raw\"}" true)" "$max" &&
		fails "$(download bomb "{\"url\":\"$url/many.tar.xz\"}" true)" "$max" &&
		is "$(ls -A "$images" | grep bomb)" ''
	r=$?
	printf '{ "policy": { "mode": "open" }, "state_dir": "%s/state" }\n' "$T" >"$T/plugin.json"
	rm -rf "$T/bomb" "$T/many"
	return $r
}
run_test 'download_max_mb: what is larger when it is unpacked fails' t_max
# A server that sends a little and then nothing.
t_idle() {
	perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Listen => 1,
		LocalAddr => "127.0.0.1:8098", ReuseAddr => 1) or die;
		while ($c = $s->accept) {
			print $c "HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\nabc"; $c->flush; push @keep, $c }' &
	server=$!
	printf '{ "policy": { "mode": "open" }, "state_dir": "%s/state", "download_idle_s": 1 }\n' "$T" >"$T/plugin.json"
	fails "$(download slow '{"url":"http://127.0.0.1:8098/x.tar"}' true)" \
		"image 'slow' from .*: download: curl.*([Oo]peration too slow|[Tt]imed* *out|[Ll]ess than)"
	r=$?
	kill $server
	printf '{ "policy": { "mode": "open" }, "state_dir": "%s/state" }\n' "$T" >"$T/plugin.json"
	[ $r -eq 0 ] && [ ! -e "$images/.new-slow" ]
}
run_test 'download_idle_s: a transfer that stalls ends' t_idle
# A registry that takes the call and says nothing.
t_idle_registry() {
	for c in skopeo umoci; do command -v $c >/dev/null || { skip_this "no $c"; return 0; }; done
	socat -u TCP-LISTEN:8097,bind=127.0.0.1,fork,reuseaddr EXEC:'sleep 600' &
	server=$!
	printf '{ "policy": { "mode": "open" }, "state_dir": "%s/state", "download_idle_s": 2 }\n' "$T" >"$T/plugin.json"
	fails "$(download silent '{"type":"docker","url":"127.0.0.1:8097/x:1"}' true)" \
		"image 'silent' from .*: download: no byte has come for 2 s"
	r=$?
	kill $server
	printf '{ "policy": { "mode": "open" }, "state_dir": "%s/state" }\n' "$T" >"$T/plugin.json"
	[ $r -eq 0 ] && [ ! -e "$images/.new-silent" ] && ! pgrep -x skopeo
}
run_test 'download_idle_s: a registry that stalls' t_idle_registry
run_test 'checksum: not for a container image' fails \
	"$(download x "{\"type\":\"docker\",\"url\":\"x:1\",\"checksum\":\"sha256:$sum\"}" true)" \
	'pin a container image by its digest'
t_qcow2() {
	command -v qemu-img >/dev/null || { skip_this 'no qemu-img'; return 0; }
	qemu-img convert -f raw -O qcow2 "$T/root.img" "$T/www/root.qcow2" &&
		says "$(download cow "{\"url\":\"$url/root.qcow2\",\"type\":\"raw\"}" 'echo runs')" '^runs$'
}
run_test 'raw: a qcow2 image' t_qcow2
t_backing() {
	command -v qemu-img >/dev/null || { skip_this 'no qemu-img'; return 0; }
	qemu-img create -q -f qcow2 -b /etc/passwd -F raw "$T/www/evil.qcow2" 1M &&
		fails "$(download evil "{\"url\":\"$url/evil.qcow2\",\"type\":\"raw\"}" true)" 'names other files'
}
run_test 'raw: a qcow2 image that names a file of the host is refused' t_backing
container() {	# NAME CONFIG_JSON [JQ_FILTER]
	says "$(jq -cn --arg name "$1" --arg url "oci:$T/oci:v1" --argjson more "$2" \
		'{ image: $name, boot: false, network_veth: false, image_download: { type: "docker",
		url: $url } } + $more')" "$3" "${4:-.}"
}
t_docker() {
	for c in skopeo umoci; do command -v $c >/dev/null || { skip_tests "no $c"; skip_this "no $c"; return 0; }; done
	umoci init --layout "$T/oci" && umoci new --image "$T/oci:v1" && umoci unpack --image "$T/oci:v1" "$T/bundle" &&
		cp -a "$ROOT/." "$T/bundle/rootfs/" &&
		umoci repack --image "$T/oci:v1" "$T/bundle" >/dev/null &&
		umoci config --image "$T/oci:v1" --config.entrypoint /bin/sh --config.entrypoint -c \
			--config.cmd 'echo "runs as $(id -u):$(id -g) in $PWD with $MINE"' --config.env MINE=of-image \
			--config.workingdir /usr/share --config.user 1000:77 &&
		container fromoci '{}' '^runs as 1000:77 in /usr/share with of-image$'
}
run_test 'type = docker: entrypoint, command, environment, directory and user of the image' t_docker
run_test 'type = docker: what the job says wins' container fromoci \
	'{"entrypoint":[],"command":["/bin/sh","-c","echo $(id -un) in $PWD with $MINE"],"user":"nobody","working_directory":"/etc","environment":[{"MINE":"of-job"}]}' '^nobody in /etc with of-job$'
run_test 'type = docker: what the task says wins' container fromoci '{}' \
	'^runs as 1000:77 in /usr/share with of-task$' '.Env = {MINE: "of-task"}'
t_by_name() { says "$(jq -cn '{ image: "fromoci", boot: false, network_veth: false, entrypoint: [],
	command: ["/bin/sh", "-c", "echo $MINE"] }')" '^of-image$'; }
run_test 'type = docker: a URL is no option of the tool' fails \
	"$(download dashed '{"url":"--help://x","type":"docker"}' true)" 'does not name a container image'
run_test 'type = docker: the image by its name alone' t_by_name
done_testing
