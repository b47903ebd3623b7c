#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# log_collection = "driver" under a real agent, and why it is not the default: Nomad does not tell a driver the sizes
# that the job's logs block allows.
. test/lib.sh
isolate "$@"
require_nomad
mkdir "$T/plugins" && cp "$BUILD/test/nomad-driver-test" "$T/plugins/" || skip_all 'no test driver'
printf 'plugin "nomad-driver-test" {\n  config {\n    state_dir = "%s/state"\n    log_collection = "driver"\n' "$T" \
	>"$T/plugin.hcl"
printf '    log_max_files = 4\n    log_max_file_size = 1\n  }\n}\n' >>"$T/plugin.hcl"
t_start() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver testdriver; }
run_test 'the agent starts' t_start
logged() { alloc_logs "$ALLOC_ID" task "$1" 2>/dev/null | grep -q "$2"; }
# 3 MB, then a last line; the job allows one file of 1 MiB.
job() {	# NAME FILTER
	job_json "$1" testdriver '{"command":"yes 0123456789abcdef | head -c 3000000; echo last; echo error >&2; sleep 1000"}' |
		jq ".Job.TaskGroups[0].Tasks[0].LogConfig = { MaxFiles: 1, MaxFileSizeMB: 1 } | ${2:-.}" >"$T/$1.json" &&
		run_job "$T/$1.json" && wait_alloc "$ALLOC_ID" running
}
files() { find "$AGENT_DIR/data/alloc/$ALLOC_ID/alloc/logs" -name 'task.*' -type f -printf '%f %s\n' | sort; }
t_logs() {
	job logs && wait_for 30 'the last line' logged stdout 'last$' && wait_for 30 'stderr' logged stderr '^error$' &&
		is "$(pgrep -f '^[^ ]*nomad logmon' | wc -l)" 0
}
run_test 'nomad alloc logs shows both streams, and no logmon runs' t_logs
t_block() { files; is "$(files | grep -c stdout)" 3; }
run_test "the sizes of the job's logs block are not told: it allows one file, there are three" t_block
purge_job logs >/dev/null
t_disabled() {
	job quiet '.Job.TaskGroups[0].Tasks[0].LogConfig.Disabled = true' && sleep 2 && files && is "$(files)" ''
}
run_test 'logs { disabled = true }' t_disabled
purge_job quiet >/dev/null
t_end() { stop_agent && is "$(ls "$T/state/tasks")" ''; }
run_test 'nothing is left' t_end
done_testing
