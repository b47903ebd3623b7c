#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The page for users of docker build, BuildKit and kaniko names each of their flags, and only options that exist here.
. test/lib.sh
. test/build/lib-build.sh
requires jq
[ -x "$DRIVER" ] || skip_all "no $DRIVER"
page=nomad-driver-build/MOVING.md
docker='add-host allow annotation attest build-arg build-context builder cache-from cache-to call cgroup-parent check
	compress cpu-period cpu-quota cpu-shares cpuset-cpus cpuset-mems debug disable-content-trust file force-rm
	iidfile isolation label load memory memory-swap metadata-file network no-cache no-cache-filter output platform
	policy progress provenance pull push quiet rm sbom secret security-opt shm-size squash ssh tag target ulimit'
buildctl='allow debug-json-cache-metrics export-cache frontend import-cache local metadata-file no-cache oci-layout opt
	output progress ref-file registry-auth-tlscontext secret source-policy-file ssh trace'
kaniko='build-arg cache cache-copy-layers cache-dir cache-repo cache-run-layers cache-ttl cleanup compressed-caching
	compression compression-level context context-sub-path credential-helpers custom-platform destination
	digest-file dockerfile force force-build-metadata git ignore-path ignore-var-run
	image-download-retry image-fs-extract-retry
	image-name-tag-with-digest-file image-name-with-digest-file insecure insecure-pull insecure-registry kaniko-dir
	label log-format log-timestamp no-push no-push-cache oci-layout-path push-ignore-immutable-tag-errors push-retry
	registry-certificate registry-client-cert registry-map registry-mirror reproducible single-snapshot
	skip-default-registry-fallback skip-push-permission-check skip-tls-verify skip-tls-verify-pull
	skip-tls-verify-registry skip-unused-stages snapshot-mode tar-path target use-new-run verbosity'
table() { awk -v want="## $1" '/^## / { on = ($0 == want) } on && /^\| `/' "$page"; }
for _of in --task --plugin; do
	"$DRIVER" schema --json $_of | jq -r '(.properties | keys[]), ((."$defs" // {}) |
		to_entries[] | .key as $block | .value.properties | keys[] | "\($block).\(.)")'
done >"$T/options"

# t_all HEADING FLAG...
t_all() {
	heading=$1; shift
	for flag; do
		[ "$(table "$heading" | cut -d'|' -f2 | grep -cF "\`--$flag\`")" -eq 1 ] ||
			{ echo "--$flag: not in one row"; return 1; }
	done
	is "$(table "$heading" | cut -d'|' -f2 | grep -o '`--[^`]*`' | wc -l)" $#
}
t_ours() {
	[ "$(wc -l <"$T/options")" -gt 30 ] && grep '^| `--' "$page" | cut -d'|' -f3 | grep -o '`[^`]*`' | tr -d '`' |
		while read -r o; do grep -qxF "$o" "$T/options" || { echo "$o is no option"; exit 1; }; done
}
# shellcheck disable=SC2086
{
	run_test 'each flag of docker build has a row' t_all 'docker build' $docker
	run_test 'each flag of buildctl build has a row' t_all 'buildctl build' $buildctl
	run_test 'each flag of kaniko has a row' t_all kaniko $kaniko
}
run_test 'what a row names here is an option' t_ours
done_testing
