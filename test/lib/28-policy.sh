#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The policy block of each driver, and the command that prints it.
. test/lib.sh
requires jq
found=
for plugin in "$BUILD"/plugins/nomad-driver-*; do
	[ ! -x "$plugin" ] || found="$found ${plugin##*/nomad-driver-}"
done
[ -n "$found" ] || skip_all "no driver in $BUILD/plugins"

t_declared() {
	for driver in $found; do
		"$BUILD/plugins/nomad-driver-$driver" policy >"$T/said" || return 1
		file_has "$T/said" '^policy {$' && file_has "$T/said" '^  mode = "default" # default$' || return 1
	done
}
t_in_force() {
	driver=$BUILD/plugins/nomad-driver-nspawn
	[ -x "$driver" ] || { skip_this 'no nspawn driver'; return 0; }
	echo '{ "policy": { "allow_bind": ["/srv"], "namespace": [{ "name": "ops-*", "allow_host_users": true },
		{ "name": "root", "mode": "open" }] } }' >"$T/plugin.json"
	"$driver" policy --config "$T/plugin.json" --namespace ops-1 >"$T/said" &&
		file_has "$T/said" '^  allow_bind = ."/srv".  *# policy; for bind' &&
		file_has "$T/said" '^  allow_host_users = true  *# namespace;' &&
		file_has "$T/said" '^  max_pids_limit = 4096  *# default;' || return 1
	"$driver" policy --config "$T/plugin.json" --namespace root >"$T/said" &&
		is "$(cat "$T/said")" "$(printf 'policy {\n  mode = "open" # namespace\n}')"
}
t_schema() {
	driver=$BUILD/plugins/nomad-driver-nspawn
	[ -x "$driver" ] || { skip_this 'no nspawn driver'; return 0; }
	"$driver" schema --json --plugin | jq -e '."$defs".policy.properties.allow_bind.type == "array" and
		."$defs"."policy.namespace".required == ["name"]' >/dev/null &&
		"$driver" schema --plugin | grep -q '^    allow_bind  *list of strings'
}
t_typo() {
	driver=$BUILD/plugins/nomad-driver-nspawn
	[ -x "$driver" ] || { skip_this 'no nspawn driver'; return 0; }
	echo '{ "policy": { "alow_bind": ["/srv"] } }' >"$T/plugin.json"
	! "$driver" policy --config "$T/plugin.json" 2>"$T/said" && file_has "$T/said" 'alow_bind'
}
run_test 'each driver has a policy' t_declared
run_test 'policy prints the rules and their sources' t_in_force
run_test 'the rules are options of the plugin block' t_schema
run_test 'a misspelt rule is named' t_typo
done_testing
