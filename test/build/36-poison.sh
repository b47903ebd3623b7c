#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A cache that several builds share: a hostile one changes neither what is in it nor what another build gets.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build
use_host_network
start_registry || skip_all 'no docker-registry'
cat >"$T/registries.conf" <<CONF
unqualified-search-registries = ["docker.io"]
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "$REGISTRY/hub"
insecure = true
CONF
plugin_config "{ registries_conf: \"$T/registries.conf\" }"
CACHE=$T/state/builds/cache/default~shared
ISOLATIONS="chroot$(command -v crun >/dev/null && echo ' oci')"
containerfile base <<'C'
FROM scratch
ADD rootfs.tar /
RUN echo good >/name
C
builds "{ \"context\": \"alloc/base\", \"push\": [{ \"reference\": \"$REGISTRY/hub/library/alpine:3\",
	\"tls_verify\": false }], \"output\": [{ \"path\": \"alloc/base.tar\" }] }" || diag 'no image for the tests'
containerfile victim <<'C'
FROM alpine:3
RUN echo "made of $(cat /name)" >/made
RUN echo "name $(cat /name), $(cat /made)"; sleep 0.2
C
# The victim's image, with and without what is cached, is what it was before.
victim() {
	builds '{ "context": "alloc/victim", "cache": "shared", "output": [{ "path": "alloc/victim.tar" }] }' &&
		unpack "$A/victim.tar" "$T/image" && is "$(cat "$T/image/rootfs/name" "$T/image/rootfs/made")" 'good
made of good'
}
# All files of the cache: names, contents, modes.
state_of() { (cd "$CACHE"/root-* && find . -type f ! -name '*.lock' -exec sha256sum {} + | sort -k 2; find . | sort); }
same() { state_of >"$T/after"; cmp -s "$T/before" "$T/after" || { diff "$T/before" "$T/after" | head; return 1; }; }
hostile() { containerfile hostile && build "{ \"context\": \"alloc/hostile\", \"cache\": \"shared\"${1:+, $1} }"; }

t_fill() { victim && victim && is "$(grep -c 'Using cache' "$T/out")" 2 && state_of >"$T/before"; }
t_again() { victim && same; }
# What the cache adds is there: a new step only.
t_grows() {
	containerfile more <<-'C' && builds '{ "context": "alloc/more", "cache": "shared" }' || return 1
	FROM alpine:3
	RUN echo "made of $(cat /name)" >/made
	RUN echo more >/more; echo 'really run'; sleep 0.2
	C
	is "$(grep -c 'Using cache' "$T/out")" 1 && builds '{ "context": "alloc/more", "cache": "shared" }' &&
		is "$(grep -c 'Using cache' "$T/out")" 2 && ! grep -q '^really run' "$T/out" && state_of >"$T/before"
}
# A failed build leaves nothing in it.
t_failed() {
	hostile <<-'C' && [ "$CODE" -ne 0 ] && same
	FROM alpine:3
	RUN echo new >/new
	RUN false
	C
}
# A name of another's base image: given to a result, or by an archive.
t_tag() {
	hostile '"tags": ["docker.io/library/alpine:3", "alpine:3"]' <<-'C' && is "$CODE" 0 && victim || return 1
	FROM scratch
	ADD rootfs.tar /
	RUN echo PWNED >/name
	C
	builds '{ "context": "alloc/hostile", "tags": ["docker.io/library/alpine:3"], "output": [
		{ "type": "docker-archive", "path": "alloc/evil.tar" }, { "path": "alloc/evil-oci.tar" }] }' || return 1
	for from in docker-archive:/alloc/evil.tar oci-archive:/alloc/evil-oci.tar; do
		hostile <<-C && victim || return 1
		FROM $from
		RUN cat /name
		C
	done
}
# The whole jail, by a link of a stage, with all that a step can do there.
t_link() {
	state_of >"$T/before"
	for isolation in $ISOLATIONS; do
		hostile "\"isolation\": \"$isolation\"" <<-'C' && file_has "$T/out" '^tried' && victim || return 1
		FROM alpine:3 AS a
		RUN ln -s / /link; ln -s /cache /cached
		FROM alpine:3
		RUN --mount=type=bind,from=a,source=/link,target=/m,rw \
		--mount=type=bind,from=a,source=/cached,target=/c,rw \
		for d in /c /m/cache /m/build/root; do \
		for f in $(find $d -name name -o -name made -o -name '*.json'); do \
		echo PWNED >$f; rm -f $f; done; mkdir $d/new; chmod 777 $d; done 2>/dev/null; \
		for f in $(find /m/build/root -name images.json); do echo '[]' >$f; done; echo tried; sleep 0.2
		C
	done
	same
}
# By instructions that another image brings along.
t_trigger() {
	builds "{ \"context\": \"alloc/trigger\", \"format\": \"docker\", \"push\": [{
		\"reference\": \"$REGISTRY/hub/library/trigger:1\", \"tls_verify\": false }] }" || return 1
	images=$(jq -S . "$CACHE"/root-*/*-images/images.json)
	hostile <<-'C' && is "$CODE" 0 && file_has "$T/out" '^triggered' && victim || return 1
	FROM trigger:1
	RUN echo after >/after
	C
	# Nothing of this build is an image in the cache.
	is "$(jq -S . "$CACHE"/root-*/*-images/images.json)" "$images"
}
containerfile trigger <<'C'
FROM alpine:3
RUN ln -s /build/root /link
ONBUILD RUN --mount=type=bind,from=alpine:3,source=/,target=/m echo triggered; sleep 0.2
C
# What another task of the group writes to the Containerfile while the build waits does not count.
t_swap() {
	plugin_config "{ registries_conf: \"$T/registries.conf\", concurrency: 1 }"
	containerfile hang <<-'C' && spawn_build '{ "context": "alloc/hang" }' first && first=$TASK_PID &&
	FROM scratch
	ADD rootfs.tar /
	RUN echo working; sleep 1000
	C
		wait_for 60 'the first build' has_said '^working' first &&
		spawn_build '{ "context": "alloc/swap", "cache": "shared" }' second && second=$TASK_PID &&
		wait_for 60 'the second to wait' grep -q 'Waiting for other builds' "$T/err-second" || return 1
	printf 'FROM alpine:3\nRUN --mount=type=bind,target=/m echo swapped; sleep 0.2\n' >"$A/swap/Containerfile"
	kill -TERM "$first"; wait "$first"; wait "$second" && file_has "$T/out-second" '^as planned' &&
		unlike "$(cat "$T/out-second")" '^swapped'
	_r=$?; plugin_config "{ registries_conf: \"$T/registries.conf\" }"; return $_r
}
containerfile swap <<'C'
FROM alpine:3
RUN echo 'as planned'; sleep 0.2
C
# Random ones, of these parts.
t_random() {
	state_of >"$T/before"
	count=${NOMAD_TEST_LONG:+100}; seed=${POISON_SEED:-$$}; diag "POISON_SEED=$seed"
	awk -v seed="$seed" -v n="${count:-6}" 'BEGIN { srand(seed)
		split("/cache /build/root / /build /build/runroot /proc/1/root /build/tmp /var/cache/containers", \
			at, " ")
		split("rw,type=bind type=bind,rw type=cache", kind, " ")
		k = split("echo PWNED >$f|rm -rf $f|chmod 000 $f|ln -sf /etc/passwd $f|cp /bin/busybox $f|" \
			"touch $f.new|echo [] >$f|mknod $f.dev b 8 0|rm -f $f; ln -s /cache $f|" \
			"chroot $f /bin/sh -c id|mount -o remount,rw $f", act, "|")
		split("chroot oci", isolation, " ")
		for (i = 0; i < n; i++) printf "%s;%s;%s;%s;%d\n", at[1 + int(rand() * 8)], kind[1 + int(rand() * 3)],
			act[1 + int(rand() * k)], isolation[1 + int(rand() * 2)], rand() * 2 }' >"$T/attacks"
	while IFS=';' read -r at kind act isolation ends; do
		[ "$isolation" = chroot ] || command -v crun >/dev/null || continue
		hostile "\"isolation\": \"$isolation\"" <<-C || return 1
		FROM alpine:3 AS a
		RUN ln -s $at /link
		FROM alpine:3
		RUN --mount=$kind,from=a,source=/link,target=/m \
		for f in /m \$(find /m -xdev ! -path '*/proc/*' 2>/dev/null | grep -v '^/m/usr' | head -n 4000); do \
		$act; done 2>/dev/null; [ $ends = 0 ]
		C
		same || { echo "at $at, $kind, $act, $isolation"; return 1; }
	done <"$T/attacks"
	victim
}
t_concurrently() {
	pids=
	for i in 1 2 3 4; do
		spawn_build '{ "context": "alloc/victim", "cache": "other" }' "v$i" && pids="$pids $TASK_PID"
	done
	for p in $pids; do wait "$p" || { tail "$T"/err-v*; return 1; }; done
	builds '{ "context": "alloc/victim", "cache": "other" }' && is "$(grep -c 'Using cache' "$T/out")" 2
}
run_test 'a cache is filled, and used' t_fill
run_test 'a build that finds everything changes nothing' t_again
run_test 'a step more adds a layer' t_grows
run_test 'a build that fails adds nothing' t_failed
run_test "another image under the name of a base image" t_tag
run_test 'the jail and the stores, by links of a stage' t_link
run_test 'ONBUILD of an image' t_trigger
run_test 'a Containerfile that changes while the build waits' t_swap
run_test 'random attempts' t_random
run_test 'four builds fill one cache' t_concurrently
run_test 'nothing is left' nothing_left
done_testing
