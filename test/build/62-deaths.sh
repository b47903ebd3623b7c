#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Agent, plugin and both are killed at random moments of starts of builds: test/lib-deaths.sh.  The base image is in a
# registry on loopback.
: "${TASKS:=6}" "${SPREAD:=4000}"
# shellcheck disable=SC2016
TASK_FILTER='.Resources = { CPU: 10, MemoryMB: 100 } | .Templates = [{ DestPath: "local/Containerfile",
	EmbeddedTmpl: "FROM \(env.REGISTRY)/base:1\nARG MARK\nRUN while :; do sleep 5; done\n" }]'
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build
require_nomad
. test/lib-deaths.sh
use_host_network
start_registry || skip_all 'no docker-registry, or it does not start'
export REGISTRY
containerfile base <<'C'
FROM scratch
ADD rootfs.tar /
C
plugin_config "{ insecure_registries: [\"$REGISTRY\"] }"
builds "{ context: \"alloc/base\", push: [{ reference: \"$REGISTRY/base:1\", tls_verify: false }] }" ||
	skip_all 'no base image'
mkdir "$T/plugins" && cp "$DRIVER" "$T/plugins/"
cat >"$T/plugin.hcl" <<CONFIG
plugin "nomad-driver-build" {
  config {
    state_dir = "$T/state"
    insecure_registries = ["$REGISTRY"]
    policy {
      allow_network = ["host"]
    }
  }
}
CONFIG
instances() { marked '^[^ ]*buildah '; }
# shellcheck disable=SC2016
deaths nomad-driver-build build '{ "network": "host", "args": { "MARK": "mark=${NOMAD_ALLOC_ID}" } }' "$T/state"
run_test 'no storage, mount or process of a build is left' nothing_left
done_testing
