#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# What a cache keeps: its limits, while builds run as well; the command that looks into it.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build
MIB=1048576
CACHES=$T/state/builds/cache
cache() { "$DRIVER" cache "$@" --config "$T/plugin.json" >"$T/cache.out" 2>"$T/cache.err"; }
# own NAME: a build whose own layer is 2 MiB; the one below is that of all
own() {
	containerfile "$1" <<-C
	FROM scratch
	ADD rootfs.tar /
	RUN dd if=/dev/urandom of=/data bs=64k count=32 2>/dev/null; echo $1 >/name
	C
}
cached() { builds "{ \"context\": \"alloc/$1\", \"cache\": \"shared\" }" &&
	is "$(grep -c 'Using cache' "$T/out")" "$2"; }
bytes() { du -sk "$CACHES" 2>/dev/null | awk '{ print $1 * 1024 }'; }

t_lru() {
	plugin_config '{ cache_mb: 9 }' && own a && own b && own c && cached a 0 && cached b 1 && cached a 2 &&
		cached c 1 || return 1
	# Now of b, a and c the last was used longest ago: room for two beside the one below.
	plugin_config '{ cache_mb: 8 }' && cached a 2 && cached c 2 && cached b 1
}
# Ten at once, of which each adds a layer, and a look at the disk meanwhile.
t_ten() {
	plugin_config '{ cache_mb: 12 }'
	for i in 1 2 3 4 5 6 7 8 9 10; do
		own "n$i" && spawn_build "{ \"context\": \"alloc/n$i\", \"cache\": \"shared\" }" "n$i" &&
			eval "p$i=\$TASK_PID" || return 1
	done
	most=0 running=10
	while [ "$running" -gt 0 ]; do
		size=$(bytes) && [ "$size" -le "$most" ] || most=$size
		running=0; for i in 1 2 3 4 5 6 7 8 9 10; do eval "! kill -0 \$p$i 2>/dev/null" ||
			running=$((running + 1))
		done
		sleep 0.1
	done
	for i in 1 2 3 4 5 6 7 8 9 10; do eval "wait \$p$i" || { cat "$T/err-n$i"; return 1; }; done
	echo "at most $((most / MIB)) MiB"
	# A layer is 2 MiB, and the lists and directories take some.
	[ "$most" -le $((15 * MIB)) ] && [ "$most" -ge $((6 * MIB)) ] || return 1
	cached n1 1 || cached n1 2
}
# What is larger than all that the caches may take is built, and not cached.
t_large() {
	plugin_config '{ cache_mb: 1 }' && own big && builds '{ "context": "alloc/big", "cache": "shared" }' &&
		file_has "$T/err" '^event: The cache has no room for all that this build adds: see cache_mb' &&
		[ "$(bytes)" -le "$MIB" ]
}
t_list() {
	plugin_config '{}' && cached a 0 && cached b 1 && cache list && file_has "$T/cache.out" '^default~shared ' &&
		cache list --json && is "$(jq -r '.[0] | "\(.name) \(.layers) \(.builds)"' "$T/cache.out")" \
		'default~shared 3 0' && cache size && file_has "$T/cache.out" '^[5-8] MiB of 20480 MiB'
}
t_verify() {
	cache verify && file_has "$T/cache.out" '^default~shared: 3 layers are what their digests say$' || return 1
	file=$(grep -lx b "$CACHES"/default~shared/root-overlay/overlay/*/diff/name) && echo x >"$file" &&
		! cache verify default~shared && file_has "$T/cache.out" \
			'layer .* is not what its digest says: removed' &&
		cache verify && file_has "$T/cache.out" ' 2 layers' && cached b 1
}
# A build's own step cannot make the cache take a layer that is not what it says: here by hand.
t_drop() {
	containerfile wait <<-'C' && spawn_build '{ "context": "alloc/wait", "cache": "shared" }' &&
	FROM scratch
	ADD rootfs.tar /
	RUN echo working; sleep 4; cat /bin/sh | wc -c
	C
		wait_for 60 'the step' has_said '^working' && cache drop default~shared &&
		file_has "$T/cache.out" 'when the builds that use it have ended' && cache list --json &&
		is "$(jq -r '.[0].layers' "$T/cache.out")" 0 && end_build && is "$CODE" 0 || return 1
	cache drop default~shared && is "$(cat "$T/cache.out")" '' &&
		is "$(find "$CACHES" -path '*/diff/*' | wc -l)" 0 &&
		! cache drop default~nosuch && file_has "$T/cache.err" 'no such cache'
}
t_usage() {
	! cache what && file_has "$T/cache.err" 'use list' && ! "$DRIVER" cache --config 2>/dev/null &&
		"$DRIVER" --help | grep -q 'nomad-driver-build cache'
}
# The directories of RUN --mount=type=cache count, and go.
t_mounts() {
	containerfile mount <<-'C' && cached mount 0 && cache list --json || return 1
	FROM scratch
	ADD rootfs.tar /
	RUN --mount=type=cache,target=/c dd if=/dev/urandom of=/c/data bs=64k count=64 2>/dev/null
	C
	is "$(jq '.[0] | .mounts, (.mounts_size / 1048576 | floor)' "$T/cache.out" | tr '\n' ' ')" '1 4 ' &&
		plugin_config '{ cache_mb: 3 }' && cached mount 2 && cache list --json &&
		is "$(jq '.[0].mounts' "$T/cache.out")" 0
}
t_age() {
	plugin_config '{ cache_max_age: 1 }' && cached a 1 && cached a 2 || return 1
	find "$CACHES" -name '*.tar-split.gz' -exec touch -d '2 hours ago' {} + &&
		builds '{ "context": "alloc/b", "cache": "other" }' && cached a 0
}
run_test 'what was not used for the longest time goes first' t_lru
run_test 'ten builds at once stay within the limit' t_ten
run_test 'what is larger than the limit is not cached' t_large
run_test 'cache list, cache size' t_list
run_test 'cache verify removes a layer that has changed' t_verify
run_test 'cache drop, while a build uses it and afterwards' t_drop
run_test 'cache: unknown words' t_usage
run_test 'cache mounts have a size, and are collected' t_mounts
run_test 'cache_max_age' t_age
run_test 'nothing is left' nothing_left
done_testing
