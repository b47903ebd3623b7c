#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# One task after the other with the driver's own `run`, against the stand-in for pot.
. test/lib.sh
. test/pot/lib-pot.sh
isolate "$@"
requires jq python3

t_doctor() {
	"$BUILD/plugins/nomad-driver-pot" doctor --config "$T/config.json" >"$T/out" || { cat "$T/out"; return 1; }
}
in_parallel 'doctor finds the host healthy' t_doctor

doctor_says() {		# STATUS PATTERN
	STATUS=0
	"$BUILD/plugins/nomad-driver-pot" doctor --config "$T/config.json" >"$T/out" 2>&1 || STATUS=$?
	is $STATUS "$1" && file_has "$T/out" "$2"
}
t_no_racct() { : >"$POT_DIR/state/no-racct"; doctor_says 0 'kern.racct.enable=1 in /boot/loader.conf'
	rm "$POT_DIR/state/no-racct"; }
t_no_vimage() { : >"$POT_DIR/state/no-vimage"; doctor_says 0 'no VIMAGE'; rm "$POT_DIR/state/no-vimage"; }
t_bad_pool() { echo FAULTED >"$POT_DIR/state/zpool-health"; doctor_says 1 'zpool status'; _r=$?
	rm "$POT_DIR/state/zpool-health"; return $_r; }
t_no_pot() { pot_config '{ "pot_path": "/nonexistent/pot" }'; doctor_says 1 'pkg install pot'; _r=$?; pot_config
	return $_r; }
t_broken_pot() { order version fail; doctor_says 1 'pot version'; _r=$?; order version; return $_r; }
t_hung_pot() { order version hang; doctor_says 1 'did not end within'; _r=$?; order version; return $_r; }
in_parallel 'doctor prints how to enable limits' t_no_racct
in_parallel 'doctor reports a kernel without VIMAGE' t_no_vimage
in_parallel 'doctor reports a bad pool' t_bad_pool
in_parallel 'doctor prints how to install pot' t_no_pot
in_parallel 'doctor reports a pot that fails' t_broken_pot
in_parallel 'doctor does not wait for a hanging pot' t_hung_pot

ends_with() {		# STATUS SCRIPT
	run_task "$(task_config "$2")"
	is $STATUS "$1" && left_nothing
}
in_parallel 'exit code 0' ends_with 0 'exit 0'
in_parallel 'exit code 7' ends_with 7 'exit 7'
in_parallel 'exit code 125, which pot itself also uses' ends_with 125 'exit 125'
in_parallel 'exit code 255' ends_with 255 'sleep 0.5; exit 255'
in_parallel 'a task killed by a signal' ends_with 137 'kill -9 $$'
in_parallel 'a command that does not exist' ends_with 127 'exec /nonexistent'

t_output() {
	run_task "$(task_config 'echo to out; echo to err >&2')"
	file_has "$T/out" '^to out$' && file_has "$T/err" '^to err$' && left_nothing
}
in_parallel 'stdout and stderr are delivered' t_output
t_output_alone() {
	NOMAD_DRIVER_LOG_LEVEL=info run_task "$(task_config 'echo one; exit 3' '{ "network_mode": "public-bridge" }')"
	is $STATUS 3 && is "$(cat "$T/out")" one && file_has "$T/err" 'Internal network not found' &&
		file_has "$T/err" 'reported application error' && left_nothing
}
in_parallel 'stdout has only the task'"'"'s output; pot'"'"'s messages are in the log' t_output_alone

t_progress() {
	rm -rf "$POT_DIR/state/jails"
	order prepare.import slow 17
	run_task "$(task_config 'exit 0')"
	order prepare.import
	is $STATUS 0 && file_has "$T/err" '^event: Pot is importing img @ 1.0' &&
		file_has "$T/err" '^event: Still preparing the pot after [0-9]+ s: ' &&
		file_has "$T/err" '^event: Prepared the pot in' && left_nothing
}
in_parallel 'a long import sends events' t_progress

t_image_command() {
	run_task "$(task_config '' '{ "command": null, "args": null, "pot": "withcmd" }' | jq 'del(.command, .args)')"
	is $STATUS 3 && file_has "$T/out" '^from the image$' && left_nothing
}
in_parallel 'the command of the image' t_image_command

t_args() {
	run_task "$(jq -n --arg image "file://$POT_DIR/images" -f test/pot/args.jq)"
	file_has "$T/out" '^<two  words><\$HOME `id` "q" \\><it'"'"'s><as is><>' && left_nothing
}
in_parallel 'arguments arrive unchanged' t_args

t_directories() {
	run_task "$(task_config \
		'echo a >/alloc/data/f && echo b >/local/f && echo c >/secrets/f && cat "$NOMAD_ALLOC_DIR"/data/f "$NOMAD_TASK_DIR"/f "$NOMAD_SECRETS_DIR"/f; touch /alloc/logs/x || echo read-only')"
	is "$(grep -E '^(a|b|c|read-only)$' "$T/out" | tr '\n' ' ')" 'a b c read-only ' && left_nothing
}
in_parallel 'alloc, local and secrets are mounted, logs read-only' t_directories

t_env() {
	export AGENT_SECRET=agent-canary
	run_task "$(task_config 'printf "<%s>" "$ODD" "$LINES3" "$PASSWORD"; echo; env; cat /proc/1/cmdline')" \
		'.Job.TaskGroups[0].Tasks[0].Env = { ODD:
		"$(id) `id` \"q\" \\ '"'"'s'"'"'", LINES3: "a\nb\nc", PASSWORD: "pw-canary", "not-a-name": "x" }'
	unset AGENT_SECRET
	is $STATUS 0 && file_has "$T/out" '^<\$\(id\) `id` "q" \\ '"'"'s'"'"'><a$' &&
		file_has "$T/out" '^c><pw-canary>$' &&
		unlike "$(cat "$T/out")" 'agent-canary|not-a-name' &&
		unlike "$(cat "$POT_DIR/state/calls")" 'agent-canary|pw-canary' && left_nothing
}
in_parallel 'variables arrive unchanged; no secret on a command line, nothing of the agent'"'"'s' t_env

t_env_plain() {
	pot_config '{ "env_files": false }'
	run_task "$(task_config 'printf "<%s>" "$ODD" "$LINES3"')" \
		'.Job.TaskGroups[0].Tasks[0].Env = { ODD: "$(id) `id` \"q\" \\ '"'"'s'"'"'", LINES3: "a\nb\nc" }'
	pot_config
	is $STATUS 0 && file_has "$T/out" '<\$\(id\) `id` "q" \\ '"'"'s'"'"'><a$' && file_has "$T/out" '^c>' &&
		file_has "$POT_DIR/state/calls" 'LINES3=\$\(printf' && left_nothing
}
in_parallel 'variables on the command line, if so configured' t_env_plain

t_resources() {
	run_task "$(task_config 'exit 0' '{ "cpus": 2 }')" '.Job.TaskGroups[0].Tasks[0].Resources.MemoryMaxMB = 96'
	is $STATUS 0 && like "$(calls set-rss | sed 's/-p|.*/-p/')" 'set-rss\|-M\|96M\|-p' &&
		like "$(calls set-rss)" 'set-rss\|-C\|2\|-p' &&
		like "$(calls rctl)" "^rctl\|-r\|jail:nomad_" && left_nothing
}
in_parallel 'memory_max and cpus apply; the rctl rules are removed with the jail' t_resources

t_order() {
	is "$(calls | sed 's/^pot|//; s/|.*//' | grep -v '^info$' | uniq | tr '\n' ' ')" \
		'prepare set-attribute copy-in mount-in set-env set-hosts set-rss start last-run-stats destroy rctl '
}
t_options() {
	mkdir -p "$T/data" "$T/ro" "$T/tree/sub"
	echo content >"$T/file"; echo deep >"$T/tree/sub/f"; echo shown >"$T/ro/f"
	run_task "$(task_config 'cat /copied /copied-tree/sub/f /ro/f; echo new >/data/f; touch /ro/x || echo cannot; cat /tmp/hosts' \
		"$(jq -n --arg t "$T" -f test/pot/files.jq)")"
	is $STATUS 0 && is "$(grep -E '^(content|deep|shown|cannot)$' "$T/out" | tr '\n' ' ')" \
		'content deep shown cannot ' &&
		is "$(cat "$T/data/f")" new && file_has "$T/out" '^192.0.2.7 db$' &&
		file_has "$T/out" '^2001:db8::1 six$' &&
		like "$(calls set-attribute)" '\|-A\|mlock\|-V\|yes$' &&
		like "$(calls set-attribute)" '\|-A\|exec_stop\|-V\|/bin/true a:b$' &&
		like "$(calls mount-in)" "\|-d\|$T/ro\|-m\|/ro\|-r$" &&
		like "$(calls copy-in)" "\|-s\|$T/file\|-d\|/copied$" && left_nothing
}
t_all_options() { t_options && t_order; }
in_parallel 'copy, mount, mount_read_only, extra_hosts, attributes, in the order that pot needs' t_all_options


t_network() {
	run_task "$(task_config 'exit 0' '{ "network_mode": "host" }')"
	is $STATUS 0 && like "$(calls prepare)" '\|-N\|host\|-a\|' && left_nothing || return 1
	run_task "$(task_config 'exit 0' '{ "network_mode": "private-bridge", "bridge": "back",
		"network_stack": "ipv4", "dns": "off" }')"
	is $STATUS 0 && like "$(calls prepare)" '\|-N\|private-bridge\|-B\|back\|-S\|ipv4\|-d\|off\|-a\|' &&
		left_nothing
}
in_parallel 'network modes, bridge, stack, dns' t_network

refused() {		# PATTERN CONFIG [JQ]
	run_task "$2" "${3:-.}"
	is $STATUS 1 && file_has "$T/err" "$1" && is "$(calls prepare)" '' && left_nothing
}
in_parallel 'a user with a blank is refused' refused "user 'a b'" "$(task_config true)" \
	'.Job.TaskGroups[0].Tasks[0].User = "a b"'
in_parallel 'a mount without a colon is refused' refused "option 'mount.0.'" "$(task_config true '{ "mount": ["/a"] }')"
in_parallel 'persistent pots are refused' refused 'outlive' "$(task_config true '{ "attributes": ["persistent:yes"] }')"
in_parallel 'args without command are refused' refused "'args'" "$(task_config true | jq 'del(.command)')"
in_parallel 'an unknown port label is refused' refused "'nope'" "$(task_config true '{ "ports": ["nope"] }')"

# Each of these is refused before anything is made, and runs with the line that the refusal names.
judged() {		# OPTIONS LINE
	_config=$(run_here "$1")
	pot_config '{ "policy": { "allow_image": ["file://*"] } }'
	refused "write into the plugin block, in policy: $2\$" "$_config" || return 1
	_line=$(sed -n 's/.*in policy: \(.*\)$/\1/p' "$T/err" | tail -n 1)
	pot_config "$(jq -n --arg key "${_line%% =*}" --argjson value "${_line#*= }" \
		'{ policy: { allow_image: ["file://*"], ($key): $value } }')"
	run_task "$_config"
	is $STATUS 0 && left_nothing || { cat "$T/err"; return 1; }
}
run_here() { task_config 'exit 0' "$1"; }
mkdir -p "$T/data" && ln -s "$T/data" "$T/link"
d=$T/data
in_parallel 'mount of a host path' judged "{ \"mount\": [\"$d:/x\"] }" "allow_mount = .\"$d\"."
in_parallel 'mount through a link' judged "{ \"mount_read_only\": [\"$T/link:/x\"] }" \
	"allow_mount_read_only = .\"$d\"."
in_parallel 'copy of a host path' judged "{ \"copy\": [\"$PWD/LICENSE:/tmp/x\"] }" \
	"allow_copy = .\"$PWD/LICENSE\"."
in_parallel 'dns from a file' judged '{ "dns": "custom:/etc/hosts" }' 'allow_copy = ."/etc/hosts".'
in_parallel 'an attribute' judged '{ "attributes": ["mlock:YES", "no-tmpfs:no"] }' \
	'allow_attributes = ."mlock:YES".'
in_parallel 'an address' judged '{ "network_mode": "alias", "ip": ["em0|192.0.2.9"] }' \
	'allow_ip = ."em0.192.0.2.9".'
t_up() {
	pot_config '{ "policy": { "allow_image": ["file://*"] } }'
	refused 'allow_mount = ."/etc".' "$(run_here '{ "mount": ["local/../../../../../../../etc:/x"] }')" &&
		refused 'allow_mount = .".*/alloc/data".' "$(run_here '{ "mount": ["../alloc/data:/x"] }')"
}
in_parallel 'paths cannot leave the task'"'"'s directories' t_up
t_image() {
	pot_config '{ "policy": {} }'
	refused 'allow_image = ."http:...", "https:...", "file:' "$(run_here '{}')"
}
in_parallel 'an image from the host' t_image
t_host_network() {
	pot_config '{ "policy": { "allow_image": ["file://*"], "allow_host_network": false } }'
	refused 'allow_host_network = true' "$(run_here '{ "network_mode": "host" }')" &&
		refused 'allow_host_network = true' "$(run_here '{}')"
	run_task "$(run_here '{ "network_mode": "public-bridge" }')"
	is $STATUS 0 && left_nothing
}
in_parallel 'the network of the host can be refused' t_host_network

t_hard_limit() {
	run_task "$(task_config 'exit 0' '{ "cpu_hard_limit": true }')"
	if [ $STATUS -eq 0 ]; then like "$(calls rctl)" '^rctl\|-a\|jail:nomad_[^:]*:pcpu:deny=[0-9]+$'
	else file_has "$T/err" 'cpu_hard_limit'; fi && left_nothing
}
in_parallel 'a hard CPU limit is a rule of rctl' t_hard_limit

# A user of the jail, whose passwd is the host's here.
t_user() {
	run_task "$(task_config 'id -un; id -Gn; echo "$HOME $USER"; cat /secrets/.nomad-env/exports 2>/dev/null || echo closed')" \
		'.Job.TaskGroups[0].Tasks[0] |= (.User = "nobody" | .Env = { A: "secret" })'
	is $STATUS 0 && is "$(cat "$T/out")" "nobody
nogroup
/nonexistent nobody
closed" && left_nothing || return 1
	run_task "$(task_config 'id -u; id -g')" '.Job.TaskGroups[0].Tasks[0].User = "1234:5678"'
	is $STATUS 0 && is "$(tr '\n' ' ' <"$T/out")" '1234 5678 ' && left_nothing
}
in_parallel 'the user of the job, by name and number, with its groups and home' t_user
t_no_user() {
	run_task "$(task_config true)" '.Job.TaskGroups[0].Tasks[0].User = "no-such-user"'
	is $STATUS 126 && file_has "$T/err" "user 'no-such-user'" && left_nothing
}
in_parallel 'a user that the image does not have: the task fails with an error' t_no_user
t_image_gc() {
	pot_config '{ "image_gc_hours": 1 }'
	run_task "$(task_config 'exit 0')" && is $STATUS 0 && [ -d "$POT_DIR/state/jails/img_1_0" ] ||
		{ echo 'no image'; return 1; }
	touch -t 202001010000 "$T/s/images/img_1_0"
	# Its own clone is gone by then, and it was used just now.
	run_task "$(task_config 'exit 0')" && [ -d "$POT_DIR/state/jails/img_1_0" ] ||
		{ echo 'gone too early'; return 1; }
	touch -t 202001010000 "$T/s/images/img_1_0"
	# A pot that somebody else made of it.
	printf img_1_0 >"$POT_DIR/state/origin/other"
	run_task "$(task_config 'exit 0' '{ "pot": "withcmd" }')" && [ -d "$POT_DIR/state/jails/img_1_0" ] ||
		{ echo 'gone under a clone'; return 1; }
	rm "$POT_DIR/state/origin/other"
	run_task "$(task_config 'exit 0' '{ "pot": "withcmd" }')"
	[ ! -e "$POT_DIR/state/jails/img_1_0" ] && [ ! -e "$T/s/images/img_1_0" ] &&
		[ -d "$POT_DIR/state/jails/withcmd_1_0" ] &&
		like "$(calls destroy)" '^pot\|destroy\|-p\|img_1_0$' && left_nothing || return 1
	# The driver does not own an image that was imported by hand.
	rm "$T/s/images/withcmd_1_0"
	run_task "$(task_config 'exit 0' '{ "pot": "withcmd" }')"
	is "$(ls "$T/s/images")" '' && left_nothing
}
in_parallel 'unused images are removed, if so configured' t_image_gc

# ---- Stopping ----

# Start `run` in the background, wait until the task says "ready", then stop it.
stop_task() {		# SCRIPT [JQ]
	stop_config "$(task_config "$1")" "${2:-.}"
}
stop_config() {		# CONFIG JQ
	job "$1" "$2"
	rm -f "$POT_DIR/state/calls"
	"$BUILD/plugins/nomad-driver-pot" run --config "$T/config.json" "$T/job.json" >"$T/out" 2>"$T/err" </dev/null &
	_pid=$!
	wait_for 60 'the task is ready' grep -q '^ready$' "$T/out" || { kill -9 $_pid; cat "$T/err"; return 1; }
	kill -TERM $_pid
	STATUS=0
	wait $_pid || STATUS=$?
}
t_stop() {
	stop_task 'trap "echo told; exit 9" TERM; echo ready; while :; do sleep 0.1; done'
	is $STATUS 9 && file_has "$T/out" '^told$' && like "$(calls signal)" \
		'^pot\|signal\|-s\|SIG(TERM|INT)\|-p\|nomad_' && is "$(calls stop)" '' && left_nothing
}
in_parallel 'a stop sends the signal and reports the task'"'"'s exit code' t_stop
t_stop_signal() {
	stop_task 'trap "echo got usr1; exit 4" USR1; echo ready; while :; do sleep 0.1; done' \
		'.Job.TaskGroups[0].Tasks[0].KillSignal = "SIGUSR1"'
	is $STATUS 4 && file_has "$T/out" '^got usr1$' && left_nothing
}
in_parallel 'a stop sends the signal that the job names' t_stop_signal
# Without a handler of its own it dies of the signal at once, long before kill_timeout.
t_stop_default() {	# SIGNAL STATUS [IMAGE]
	if [ -z "${3:-}" ]; then _config=$(task_config 'echo ready; exec sleep 1000')
	else
		echo "sh -c 'echo ready; exec sleep 1000'" >"$POT_DIR/images/own_1.0.xz"
		_config=$(task_config '' '{ "pot": "own" }' | jq 'del(.command, .args)')
	fi
	stop_config "$_config" ".Job.TaskGroups[0].Tasks[0] |= (.KillSignal = \"$1\" | .KillTimeout = 60000000000)"
	is $STATUS "$2" && is "$(calls stop)" '' && left_nothing
}
in_parallel 'SIGINT ends a program that has no handler' t_stop_default SIGINT 130
in_parallel 'SIGQUIT ends a program that has no handler' t_stop_default SIGQUIT 131
in_parallel 'SIGINT ends the command of the image' t_stop_default SIGINT 130 image
t_stop_hard() {
	stop_task 'trap "" TERM INT; echo ready; while :; do sleep 0.1; done' \
		'.Job.TaskGroups[0].Tasks[0].KillTimeout = 1000000000'
	is $STATUS 137 && like "$(calls set-attribute)" '\|-A\|stop_timeout\|-V\|1$' &&
		like "$(calls stop)" '^pot\|stop\|-p\|nomad_' && left_nothing
}
in_parallel 'a task that ignores the signal is killed by pot stop' t_stop_hard
wait_parallel
done_testing
