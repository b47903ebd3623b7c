#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Rules of FreeBSD's kernel and base system, as the stand-in keeps them: what the driver makes of them.
. test/lib.sh
. test/pot/lib-pot.sh
isolate "$@"
requires jq python3

# ---- rctl ----

t_oom() {
	run_task "$(task_config '' '{ "memory_kill": true, "command": "/usr/bin/python3",
		"args": ["-c", "x = bytearray(200 << 20); import time; time.sleep(60)"] }')"
	is $STATUS 137 && file_has "$T/err" 'killed: out of memory' && is "$(calls set-rss)" '' &&
		like "$(calls rctl)" 'jail:nomad_[^:]*:memoryuse:sigkill=64M' && left_nothing
}
in_parallel 'memory_kill: a task above its limit is killed, and OOM is reported' t_oom
t_no_oom() {
	run_task "$(task_config 'kill -9 $$' '{ "memory_kill": true }')"
	is $STATUS 137 && unlike "$(cat "$T/err")" 'out of memory' && left_nothing
}
in_parallel 'memory_kill: another SIGKILL is not reported as OOM' t_no_oom
t_limits() {
	run_task "$(task_config 'exit 0' '{ "limits": { "maxproc": "100", "swapuse": "1g", "writebps": "20m" } }')"
	is $STATUS 0 && like "$(calls rctl)" '^rctl\|-a\|jail:nomad_[^:]*:maxproc:deny=100$' &&
		like "$(calls rctl)" ':swapuse:deny=1g$' && like "$(calls rctl)" ':writebps:throttle=20m$' &&
		left_nothing
}
in_parallel 'limits become valid rctl rules, which are removed with the task' t_limits
t_refused() {
	run_task "$(task_config 'exit 0' '{ "limits": { "cputime": "100" } }')"
	is $STATUS 1 && file_has "$T/err" "'cputime'" && is "$(calls prepare)" '' && left_nothing
}
in_parallel 'limits: a resource that cannot be denied is refused' t_refused
t_no_racct() {
	: >"$POT_DIR/state/no-racct"
	run_task "$(task_config 'exit 0' '{ "limits": { "maxproc": "100" } }')"
	is $STATUS 1 && file_has "$T/err" 'kern.racct.enable=1' && left_nothing
}
in_parallel 'limits without racct: the error prints how to enable it' t_no_racct

# ---- Jails ----

t_dying() {
	order jail.dying slow 8
	run_task "$(task_config 'exit 5')"
	is $STATUS 5 && { [ "$(calls destroy | grep -c .)" -gt 1 ] || { calls; return 1; }; } && left_nothing
}
in_parallel 'a slowly dying jail: destroyed once its data set is free' t_dying
attribute() {		# VALUE PATTERN
	run_task "$(task_config 'exit 0' '{ "attributes": ["'"$1"'"] }')"
	is $STATUS 1 && file_has "$T/err" "$2" && is "$(calls prepare)" '' && left_nothing
}
in_parallel 'an invalid devfs ruleset is refused before anything is created' attribute devfs_ruleset:65536 65535
in_parallel 'an invalid enforce_statfs is refused before anything is created' attribute enforce_statfs:3 \
	'0, 1 or 2'

# ---- Mounts ----

t_long() {
	mkdir -p "$T/data"
	_long=$(printf '/%0200d' 1 2 3 4 5)
	run_task "$(task_config 'exit 0' "$(jq -n --arg m "$T/data:$_long" '{ mount: [$m] }')")"
	is $STATUS 1 && file_has "$T/err" 'Error mounting|File name too long' && left_nothing
}
in_parallel 'a too long mount point: the start fails with an error' t_long
t_logs() {
	mkdir -p "$T/a/b"
	run_task "$(task_config 'exit 0' "$(jq -n --arg t "$T" '{ mount: [$t + "/a:/x", $t + "/a/b:/x/b"] }')")"
	is $STATUS 1 && file_has "$T/err" 'Resource deadlock avoided|Error mounting' && left_nothing
}
in_parallel 'a directory inside a mounted one: the start fails with an error' t_logs
wait_parallel
done_testing
