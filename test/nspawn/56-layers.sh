#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Layers of container images: what they show, that they are shared, and the bound of their cache.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
requires skopeo umoci python3 tar gzip
case $(uname -m) in x86_64) ARCH=amd64 ;; aarch64) ARCH=arm64 ;; *) ARCH=$(uname -m) ;; esac
export ARCH
layers=$T/state/images/.layers
image() {	# TAG CONFIG TAR...
	tag=$1; shift
	test/nspawn/oci-layout "$T/oci" "$tag" "$@" >"$T/digest"
}
pack() { tar -C "$1" --numeric-owner --owner=0 --group=0 -cf "$T/$2.tar" "${3:-.}"; }
container() {	# TAG MORE_JSON
	jq -cn --arg url "oci:$T/oci:$1" --arg name "$1" --argjson more "${2:-{\}}" '{ image: $name, boot: false,
		network_veth: false, image_download: { type: "docker", url: $url } } + $more'
}
sh_in() {	# TAG SCRIPT MORE_JSON
	container "$1" "$(jq -cn --arg s "$2" --argjson more "${3:-{\}}" \
		'{ entrypoint: ["/bin/sh", "-c"], args: [$s] } + $more')"
}

# The base: busybox, a directory for all, one to be hidden, one to be replaced, 8 MB of weight.
cp -a "$ROOT" "$T/base" && mkdir -p "$T/base/shared" "$T/base/old" "$T/base/swapped" && chmod 1777 "$T/base/shared" &&
	touch "$T/base/gone" "$T/base/old/file" "$T/base/swapped/below" &&
	dd if=/dev/urandom of="$T/base/weight" bs=1M count=8 2>/dev/null && pack "$T/base" base
# Above it: marks of what is gone, files in directories that the layer itself has not.
top=$T/top
mkdir -p "$top/old" "$top/swapped" "$top/shared" "$top/made/deep" &&
	touch "$top/.wh.gone" "$top/old/.wh..wh..opq" "$top/.wh.swapped" "$top/swapped/new" "$top/shared/in" \
	"$top/made/deep/file" "$top/old/new" && mknod "$top/null" c 1 3 && mkfifo -m 640 "$top/pipe" &&
	cp "$T/base/bin/busybox" "$top/suid" && chmod 4711 "$top/suid" &&
	tar -C "$top" --numeric-owner --owner=0 --group=0 -cf "$T/top.tar" .wh.gone old/.wh..wh..opq old/new \
	.wh.swapped swapped shared/in made/deep/file null pipe suid || skip_all 'no layers'
config='{"Entrypoint":["/bin/echo","ENTRY"],"Cmd":["CMD"],"Env":["A=b","ODD"],"WorkingDir":"/shared","User":"web"}'
image one "$config" "$T/base.tar" "$T/top.tar"

run_test 'the image says entrypoint and command' says "$(container one)" '^ENTRY CMD$'
run_test 'environment, directory and user, by its name and with its groups' says "$(sh_in one 'echo $A $(pwd); id')" \
	'uid=1000\(web\) gid=1000\(web\) groups=.*77\(extra\)'
t_env() { file_has "$T/out" '^b /shared$'; }
run_test 'environment and directory' t_env
run_test 'a file that an upper layer removes is gone' says "$(sh_in one 'ls /gone 2>&1; true')" 'No such file'
run_test 'a directory that an upper layer replaces shows nothing of below' says \
	"$(sh_in one 'echo $(ls /old /swapped)')" '^/old: new /swapped: new$'
run_test 'a directory that the upper layer does not name looks as below' says \
	"$(sh_in one 'stat -c %a:%u /shared /made /made/deep | tr "\n" " "')" '^1777:0 755:0 755:0 '
run_test 'modes and kinds of files' says "$(sh_in one 'stat -c "%a %F" /suid /pipe /null | tr "\n" ";"')" \
	'^4711 regular file;640 fifo;[0-9]* character special file;'
run_test 'without users of its own' says "$(sh_in one 'stat -c %u /shared' '{"user_namespacing":false}')" '^0$'
run_test 'root = image: layers are shared' fails "$(container one '{"root":"image"}')" "image 'one' is made of layers"
run_test 'root = sticky' says "$(sh_in one 'echo x >/tmp/x && cat /tmp/x' '{"root":"sticky"}')" '^x$'

# ---- Shared
mkdir "$T/second" && echo two >"$T/second/two" && pack "$T/second" second two
image two '{}' "$T/base.tar" "$T/second.tar"
t_shared() {
	says "$(sh_in two 'cat /two')" '^two$' && is "$(ls "$layers" | wc -l)" 3 &&
		is "$(find "$T/state/images/one" "$T/state/images/two" | wc -l)" 2
}
run_test 'two images with a base share it' t_shared
t_many() {
	size=$(du -skc "$T/base" "$top" | tail -n 1 | cut -f1) pids=
	task_json "$(sh_in one 'echo mine >/tmp/mine; sync; echo up; sleep 1000' \
		'{"user":"root","storage_mb":10240}')" >"$T/many.json"
	n=0; while [ $((n += 1)) -le "${MANY:-16}" ]; do
		"$DRIVER" run --config "$T/plugin.json" "$T/many.json" >"$T/many-$n.out" 2>"$T/many-$n.err" </dev/null &
		pids="$pids $!"
	done
	wait_for 120 'all of them' sh -c "[ \$(cat $T/many-*.out | grep -c up) -eq ${MANY:-16} ]"
	r=$? used=$(du -sk "$T/state/images" | cut -f1) written=$(du -sk "$T/state/layers" | cut -f1)
	figures="image $size kB, kept $used kB, written by ${MANY:-16} containers $written kB"
	echo "$figures"
	[ -z "${MEASURE:-}" ] || diag "$figures" >"$MEASURE"
	# shellcheck disable=SC2086
	kill $pids; wait
	[ $r -eq 0 ] && [ $((used * 10)) -le $((size * 11)) ] && [ "$written" -lt $((${MANY:-16} * 512)) ]
}
run_test 'many containers of an image: less than 1.1 times its size, and what they write' t_many

# ---- The health check: well while /tmp/well is there
check='"Healthcheck":{"Test":["CMD-SHELL","echo looks; echo not $WHAT >&2; test -e /tmp/well"],"Interval":200000000,"Retries":2}'
image well "{\"Env\":[\"WHAT=well\"],$check}" "$T/base.tar"
image slow '{"Healthcheck":{"Test":["CMD","sleep","9"],"Interval":200000000,"Timeout":300000000,"Retries":1}}' "$T/base.tar"
said() { grep -q "health: $1" "$T/err"; }
t_health() {
	spawn_task "$(sh_in well 'touch /tmp/well; echo up; sleep 3; rm /tmp/well; sleep 1000')" && wait_for 60 up has_said up &&
		wait_for 30 'it is well' said healthy && wait_for 30 'it is not' said 'unhealthy: exit code 1: not well'
	r=$?
	end_task TERM
	[ $r -eq 0 ] && unlike "$(cat "$T/out")" looks
}
run_test 'HEALTHCHECK: its result is told when it changes, and what it said' t_health
t_slow() {
	spawn_task "$(sh_in slow 'echo up; sleep 1000')" && wait_for 60 up has_said up &&
		wait_for 30 'it is not well' said 'unhealthy: no answer within 300 ms'
	r=$?
	end_task TERM
	return $r
}
run_test 'HEALTHCHECK: one that takes too long' t_slow
t_off() { says "$(sh_in well 'sleep 2; echo end' '{"healthchecks":{"disable":true}}')" '^end$' && ! said .; }
run_test 'healthchecks: disable' t_off

# ---- What has to be one tree
ln -s usr/share "$T/base/linked" && mkdir -p "$T/behind/linked" && echo behind >"$T/behind/linked/tool" &&
	pack "$T/base" linked && pack "$T/behind" behind linked/tool && image link '{}' "$T/linked.tar" "$T/behind.tar"
run_test 'a file behind a link of a lower layer' says "$(sh_in link 'cat /usr/share/tool')" '^behind$'
python3 - "$T/hard.tar" <<'PY'
import sys, tarfile
with tarfile.open(sys.argv[1], 'w') as t:
    i = tarfile.TarInfo('hard'); i.type, i.linkname = tarfile.LNKTYPE, 'etc/passwd'; t.addfile(i)
PY
image hard '{}' "$T/base.tar" "$T/hard.tar"
run_test 'a hard link to a file of a lower layer' says "$(sh_in hard 'grep -c web /hard')" '^1$'
# Layers that would leave their directory
python3 - "$T/evil.tar" "$T/target" <<'PY'
import io, sys, tarfile
def f(t, name, **more):
    i = tarfile.TarInfo(name)
    for k, v in more.items(): setattr(i, k, v)
    t.addfile(i, io.BytesIO(b'') if i.isreg() else None)
with tarfile.open(sys.argv[1], 'w') as t:
    f(t, 'up', type=tarfile.SYMTYPE, linkname=sys.argv[2]); f(t, 'up/evil')
    f(t, '../' * 20 + sys.argv[2][1:] + '/evil'); f(t, sys.argv[2] + '/evil')
    f(t, '.wh...'); f(t, 'etc/.wh.'); f(t, '.wh..')
PY
mkdir "$T/target" && image evil '{}' "$T/base.tar" "$T/evil.tar"
t_evil() { task "$(sh_in evil 'echo runs')" || true; is "$(ls "$T/target")" ''; }
run_test 'a layer cannot leave its directory' t_evil
# Hard links to a file of the host: by its path, from the top of the layer, and behind links.
echo 'of the host' >"$T/secret" && chmod 600 "$T/secret"
for way in absolute upwards behind through; do
	python3 - "$T/$way.tar" "$T/secret" $way <<'PY'
import sys, tarfile
path, secret, way = sys.argv[1:]
def f(t, name, kind, target):
    i = tarfile.TarInfo(name)
    i.type, i.linkname = kind, target
    t.addfile(i)
with tarfile.open(path, 'w') as t:
    up = '../' * 20
    if way == 'behind': f(t, 'dir', tarfile.SYMTYPE, secret.rsplit('/', 1)[0])
    if way == 'through': f(t, 'dir', tarfile.SYMTYPE, up + secret.rsplit('/', 1)[0][1:])
    f(t, 'got', tarfile.LNKTYPE, {'absolute': secret, 'upwards': up + secret[1:]}.get(way, 'dir/secret'))
PY
	image "hard-$way" '{}' "$T/base.tar" "$T/$way.tar"
done
t_hard() {
	for way in absolute upwards behind through; do
		task "$(sh_in "hard-$way" 'cat /got; echo end')" || return 1
		unlike "$(cat "$T/out")" 'of the host' && is "$(stat -c %h "$T/secret")" 1 || { echo "$way"; return 1; }
	done
}
run_test 'a hard link of a layer reaches no file of the host' t_hard
t_words() {
	seq -f '"A%.0f=1"' "$1" | paste -sd, | sed 's/.*/{"Env":[&]}/' >"$T/words" &&
		test/nspawn/oci-layout "$T/oci" "words-$1" - "$T/base.tar" <"$T/words" >"$T/digest" &&
		fails "$(sh_in "words-$1" true)" "$2"
}
run_test 'a million variables in the configuration of an image: skopeo refuses it' t_words 1000000 'exceeded.* 4194304 bytes'
run_test 'a hundred thousand: the driver refuses it' t_words 100000 'argument list too long'

# Disks of the host, as an image could have them. "nodes" is what can be opened.
mkdir "$T/nodes" && mknod -m 666 "$T/nodes/disk" b 7 0 && mknod -m 666 "$T/nodes/fuse" c 10 229 &&
	pack "$T/nodes" nodes && image nodes '{}' "$T/base.tar" "$T/nodes.tar"
opened='for f in /disk /fuse; do [ -e $f ] && { (exec 3<$f) 2>/dev/null && echo opened $f; }; done; echo end'
t_nodes() { says "$(sh_in nodes "$opened" "${1:-{\}}")" '^end$' && unlike "$(cat "$T/out")" opened; }
run_test 'device nodes of an image: not to be used' t_nodes

# ---- The bound
t_bound() {
	rm -rf "$T/state/images" && mkdir "$T/third" &&
		jq '. + { image_cache_mb: 20 }' "$T/plugin.json" >"$T/small.json" &&
		mv "$T/small.json" "$T/plugin.json" || return 1
	for i in second third; do
		dd if=/dev/urandom of="$T/$i/large" bs=1M count=6 2>/dev/null && pack "$T/$i" "$i" . || return 1
	done
	image two '{}' "$T/base.tar" "$T/second.tar" && image three '{}' "$T/base.tar" "$T/third.tar" &&
		says "$(sh_in two 'echo runs')" runs && is "$(ls "$layers" | wc -l)" 2 && base=$(ls "$layers") &&
		sleep 1 && says "$(sh_in three 'echo runs')" runs || return 1
	is "$(ls "$T/state/images")" three && is "$(ls "$layers" | wc -l)" 2 &&
		is "$(ls "$layers" | grep -cF "$base")" 1 && says "$(sh_in two 'cat /two')" '^two$' '' &&
		is "$(ls "$T/state/images")" two
}
run_test 'image_cache_mb: the layers of an image that was used longest ago go, not those that another has' t_bound
t_in_use() {
	spawn_task "$(sh_in two 'echo up; sleep 1000')" && wait_for 60 up has_said up && cp "$T/out" "$T/out-bg" &&
		says "$(sh_in three 'echo runs')" runs && is "$(ls "$T/state/images" | tr '\n' ' ')" 'three two ' &&
		is "$(ls "$layers" | wc -l)" 3
	r=$?
	end_task TERM
	return $r
}
run_test 'image_cache_mb: what runs stays' t_in_use

# ---- A host without cgroup v2, for all that follows
t_no_cgroup2() {
	for m in $(awk '$3 == "cgroup2" { print $2 }' /proc/self/mounts); do umount -l "$m" || return 1; done
	like "$("$DRIVER" doctor 2>&1)" '^warning devices' && t_nodes &&
		rm -rf "$T/tree" && cp -a "$T/base" "$T/tree" &&
		cp -a "$T/nodes/." "$T/tree/" && t_nodes "{\"image\":\"$T/tree\",\"image_download\":null}" &&
		t_nodes "{\"image\":\"$T/tree\",\"image_download\":null,\"writable_image\":true}" &&
		says "$(sh_in nodes "$opened" '{"device_policy":"open"}')" '^opened /fuse$'
}
run_test 'device nodes of an image: not to be used without cgroup v2 either' t_no_cgroup2
done_testing
