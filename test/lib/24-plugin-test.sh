#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# nomad-plugin-test: good drivers pass, and each kind of defect is found.
. test/lib.sh
requires jq
isolate "$@"
judge=$BUILD/libnomadplugin/plugin-test/nomad-plugin-test
driver=$BUILD/test/nomad-driver-test
for f in "$judge" "$driver"; do [ -x "$f" ] || skip_all "$f is not built"; done

cat >"$T/job.json" <<'EOF'
{ "Job": { "ID": "j", "TaskGroups": [ { "Name": "g", "Tasks": [ { "Name": "t", "Driver": "testdriver",
  "Config": { "command": "while :; do sleep 1; done" }, "Resources": { "CPU": 50, "MemoryMB": 32 } } ] } ] } }
EOF
# judged PLUGIN: what it says, in $T/out.
judged() { "$judge" "$1" "${2:-$T/job.json}" >"$T/out" 2>"$T/err"; }
t_good() {
	judged "$driver" || { grep -v '^ok' "$T/out"; return 1; }
	file_has "$T/out" '^1\.\.5[0-9]$' && ! grep -E '^not|SKIP' "$T/out"
}
# A plugin that replaces or wraps the real one: script $1, with "$DRIVER" for the real one.
bad() {
	printf '#!/bin/sh\nDRIVER=%s\n%s\n' "$PWD/$driver" "$1" >"$T/bad" && chmod +x "$T/bad" || return 1
	judged "$T/bad" && { cat "$T/out"; return 1; }
	file_has "$T/out" "$2"
}
t_silent() { bad 'exit 0' '^Bail out! the plugin prints no handshake'; }
t_cookie() { bad 'NOMAD_PLUGIN_MAGIC_COOKIE=e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255 exec "$DRIVER"' \
	"^not ok 1 - without Nomad's cookie"; }
t_chatty() { bad '[ -z "$NOMAD_PLUGIN_MAGIC_COOKIE" ] || { sleep 0.5; echo more; } & exec "$DRIVER"' '^not ok .* - stdout has'; }
t_version() { bad '[ -z "$NOMAD_PLUGIN_MAGIC_COOKIE" ] || echo "1|1|unix|/x|grpc|"' '^Bail out! the plugin prints'; }
# Ends its tasks when it dies: what the driver starts is in its process group, and a parent kills it.
t_dies() {
	bad '[ -n "$NOMAD_PLUGIN_MAGIC_COOKIE" ] || exit 1
me=$$
(while kill -0 $me 2>/dev/null; do sleep 0.1; done; for e in /proc/[0-9]*/environ; do tr "\\0" "\\n" <$e 2>/dev/null |
grep -q "^NOMAD_ALLOC_ID=" && kill -9 "$(echo $e | cut -d/ -f3)"; done) >/dev/null 2>&1 &
exec "$DRIVER"' "^not ok .* - (the task outlives the plugin's death|WaitTask waits for the recovered)"
}
t_config() {
	jq '.Job.TaskGroups[0].Tasks[0].Config = {}' "$T/job.json" >"$T/none.json"
	judged "$driver" "$T/none.json" && return 1
	file_has "$T/out" '^Bail out!' && [ -z "$(ls -d "${TMPDIR:-/tmp}"/nomad-plugin-test-* 2>/dev/null)" ]
}
t_usage() { "$judge" >/dev/null 2>"$T/err"; is $? 2 && file_has "$T/err" '^usage: .* PLUGIN JOB'; }

census_before
run_test 'the test driver passes all checks' t_good
run_test 'no handshake' t_silent
run_test 'a handshake without the cookie' t_cookie
run_test 'a plugin that prints to stdout' t_chatty
run_test 'another protocol' t_version
run_test 'tasks that die with the plugin' t_dies
run_test 'a job without a task that starts' t_config
run_test 'wrong arguments' t_usage
run_test 'nothing is left behind' census_after
done_testing
