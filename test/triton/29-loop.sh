#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Jobs in a random loop on several nodes, with deaths, lost states and answers, throttling, other keys and clocks:
# never two instances of an allocation, nothing left.  test/triton/loop.py says what happens.
# LOOP_SEEDS ("1 2 3") and LOOP_JOBS (6) of each; test/soak/50-triton.sh runs many.
. test/lib.sh
. test/triton/lib-triton.sh
require_standin
require_steps
make_keys
shards "${LOOP_SHARDS:-3}"
start_site
cloud_config '.fwenabled = true | .fwrules = {web: "FROM any TO tag role = web ALLOW tcp PORT 80"} |
	.tags = {role: "web"} | .deletion_protection = true' >"$T/config.json"

loop() {
	control POST /reset '{}' >/dev/null
	mkdir "$T/loop-$1" && cp "$T/plugin.json" "$T/config.json" "$T/loop-$1/" &&
		"$STANDIN_PYTHON" test/triton/loop.py "$T/loop-$1" "$STEPS" "$CONTROL_URL" "$KEYS" "$1" \
			"${LOOP_JOBS:-6}" >"$T/said-$1" 2>&1 || { tail -n 40 "$T/said-$1"; return 1; }
	nothing_left && rm -rf "$T/loop-$1" && tail -n 1 "$T/said-$1" >"$T/sum" && sed 's/^/# /' "$T/sum" >&2
}
for seed in ${LOOP_SEEDS:-1 2 3}; do
	deal "jobs in a random loop, seed $seed: one instance each, nothing left" loop "$seed"
done
all_dealt
