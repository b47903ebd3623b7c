#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Each option of a job and of the plugin, and the exact command lines that it comes to.
. test/lib.sh
. test/pot/lib-pot.sh
isolate "$@"
requires jq python3

# The calls of a job with no options but those that it must have.
plain='pot|prepare|-U|file://IMAGES|-p|img|-t|1.0|-c|"/.nomad/run /bin/sh '"'-c' 'exit 0'"'"|-a|SLUG|-n|nomad|-v
pot|info|-q|-p|POT
pot|mount-in|-p|POT|-d|STATE/run|-m|/.nomad|-r
pot|mount-in|-p|POT|-d|ALLOC/alloc/data|-m|/alloc/data
pot|mount-in|-p|POT|-d|ALLOC/alloc/tmp|-m|/alloc/tmp
pot|mount-in|-p|POT|-d|ALLOC/alloc/logs|-m|/alloc/logs|-r
pot|mount-in|-p|POT|-d|ALLOC/task/local|-m|/local
pot|mount-in|-p|POT|-d|ALLOC/task/secrets|-m|/secrets
pot|set-env|-p|POT|-E|...
pot|set-rss|-M|64M|-p|POT
pot|start|POT
pot|last-run-stats|-p|POT
pot|destroy|-p|POT|-F
rctl|-r|jail:POT'
# What varies has names; the number of checks whether the jail runs, or has run, depends on timing.
named_calls() {
	_pot=$(task_pot)
	_alloc=$(calls mount-in | sed -n 's,.*|-d|\([^|]*\)/alloc/data|-m|/alloc/data$,\1,p')
	calls | sed "s,$_alloc/,ALLOC/,; s,$POT_DIR/images,IMAGES,; s,|$_pot\$,|POT,; s,|$_pot|,|POT|,g
		s,:$_pot\\b,:POT,; s,|${_pot#nomad_}|,|SLUG|,
		s,|$T/s/[^|]*/run|,|STATE/run|,; s,$T/,T/,; s/\\(|set-env|-p|POT|-E|\\).*/\\1.../" |
		grep -vxF -e 'pot|info|-q|-r|-p|POT' -e 'pot|info|-E|-p|POT' |
		awk '/^pot[|](info|last-run-stats)[|]/ && seen[$0]++ { next } { print }'
}
# The calls are those of `plain` with the differences that are named: -LINE goes, LINE comes after the one before it.
expect() {		# CONFIG JQ [PLUGIN_CONFIG] <<differences
	mkdir -p "$T/data" "$T/ro"; echo content >"$T/file"
	pot_config "${3:-{\}}"
	run_task "$(task_config 'exit 0' "$(echo "$1" | sed "s,T/,$T/,g")")" "${2:-.}"
	is "$STATUS" "${WANT_STATUS:-0}" || { cat "$T/err"; return 1; }
	cat >"$T/differences"
	# "@LINE" names where what follows comes in, or goes out.
	echo "$plain" | awk -v file="$T/differences" '
		BEGIN { while ((getline line < file) > 0) {
			if (sub(/^-/, "", line)) gone[line] = 1
			else if (sub(/^@/, "", line)) at = line
			else after[at] = after[at] line "\n" } }
		!($0 in gone) { print }
		{ printf "%s", after[$0] }' >"$T/want"
	named_calls >"$T/got"
	diff "$T/want" "$T/got" && left_nothing
}
prepare() {		# IMAGE... options after the tag: BEFORE or instead of it
	echo "-$(echo "$plain" | head -n 1)"
	echo "@$(echo "$plain" | head -n 1)"
	echo "pot|prepare|-U|file://IMAGES|-p|${POT:-img}|-t|1.0|$1-a|SLUG|-n|nomad|-v"
}
command='-c|"/.nomad/run /bin/sh '"'-c' 'exit 0'"'"|'
after_prepare='@pot|info|-q|-p|POT'
after_mounts='@pot|mount-in|-p|POT|-d|ALLOC/task/secrets|-m|/secrets'
after_env='@pot|set-env|-p|POT|-E|...'
after_rss='@pot|set-rss|-M|64M|-p|POT'

covered=
option() {		# NAME [NAME...]: the tests that follow are for these
	covered="$covered $*"
}

option image pot tag command args
t_plain() { expect '{}' . </dev/null; }
in_parallel 'image, pot, tag, command, args' t_plain
t_image_command() {
	WANT_STATUS=3
	{ POT=withcmd prepare ''; printf '%s\n' "$after_prepare" 'pot|config|-q|-g|fs_root' \
		'pot|set-cmd|-p|POT|-c|"/.nomad/run sh -c '"'echo from the image; exit 3'"'"'; } |
		expect '{ "pot": "withcmd" }' \
		'del(.Job.TaskGroups[0].Tasks[0].Config[("command", "args")])'
}
in_parallel 'without command the image'"'"'s own runs' t_image_command
t_args() { prepare '-c|"/.nomad/run true '"'a b' 'as it is' '"'$x'"' 'it'\\''s'"'"|' |
	expect '{ "command": "true", "args": ["a b", "'"'as it is'"'", "$x", "it'"'"'s"] }' .; }
in_parallel 'each of args is one word' t_args

option network_mode ip bridge network_stack
t_mode() { prepare "${command}$1" | expect "$2" .; }
in_parallel 'network_mode host' t_mode '-N|host|' '{ "network_mode": "host" }'
in_parallel 'network_mode inherit' t_mode '-N|inherit|' '{ "network_mode": "inherit" }'
in_parallel 'network_mode public-bridge' t_mode '-N|public-bridge|' '{ "network_mode": "public-bridge" }'
in_parallel 'network_mode public-bridge, ip, network_stack' t_mode '-N|public-bridge|-i|10.192.0.7|-S|dual|' \
	'{ "network_mode": "public-bridge", "ip": ["10.192.0.7"], "network_stack": "dual" }'
in_parallel 'network_mode private-bridge, bridge, network_stack' t_mode '-N|private-bridge|-B|back|-S|ipv4|' \
	'{ "network_mode": "private-bridge", "bridge": "back", "network_stack": "ipv4" }'
in_parallel 'network_mode alias, ip' t_mode '-N|alias|-i|em0|192.0.2.1|-i|2001:db8::1|' \
	'{ "network_mode": "alias", "ip": ["em0|192.0.2.1", "2001:db8::1"] }'
option dns signature_key
in_parallel 'dns' t_mode '-d|pot|' '{ "dns": "pot" }'
in_parallel 'dns custom' t_mode '-d|custom:T/file|' '{ "dns": "custom:T/file" }'
in_parallel 'signature_key' t_mode '-C|T/file|' '{ "signature_key": "T/file" }'

option attributes
t_attributes() {
	printf '%s\n' "$after_prepare" 'pot|set-attribute|-p|POT|-A|mlock|-V|yes' \
		'pot|set-attribute|-p|POT|-A|exec_stop|-V|/bin/x a:b' |
		expect '{ "attributes": ["mlock:yes", "exec_stop:/bin/x a:b"] }' .
}
in_parallel 'attributes' t_attributes
option copy
t_copy() {
	printf '%s\n' "$after_prepare" 'pot|copy-in|-p|POT|-s|T/file|-d|/copied' \
		'pot|copy-in|-p|POT|-s|ALLOC/task/local|-d|/l:l' |
		expect '{ "copy": ["T/file:/copied", "local:/l:l"] }' .
}
in_parallel 'copy, absolute and from the task'"'"'s directory' t_copy
option mount mount_read_only
t_mount() {
	printf '%s\n' "$after_mounts" 'pot|mount-in|-p|POT|-d|T/data|-m|/data' 'pot|mount-in|-p|POT|-d|T/ro|-m|/ro|-r' |
		expect '{ "mount": ["T/data:/data"], "mount_read_only": ["T/ro:/ro"] }' .
}
in_parallel 'mount, mount_read_only' t_mount
option extra_hosts
t_hosts() {
	printf '%s\n' "$after_env" 'pot|set-hosts|-p|POT|-H|db:192.0.2.7|-H|six:2001:db8::1' |
		expect '{ "extra_hosts": ["db:192.0.2.7", "six:2001:db8::1"] }' .
}
in_parallel 'extra_hosts' t_hosts
option cpus
t_cpus() { printf '%s\n' "$after_rss" 'pot|set-rss|-C|2|-p|POT' | expect '{ "cpus": 2 }' .; }
in_parallel 'cpus' t_cpus
t_memory() { printf '%s\n' '-pot|set-rss|-M|64M|-p|POT' "$after_rss" 'pot|set-rss|-M|96M|-p|POT' |
	expect '{}' '.Job.TaskGroups[0].Tasks[0].Resources.MemoryMaxMB = 96'; }
in_parallel 'memory_max of the job' t_memory
option memory_kill limits
t_limits() {
	printf '%s\n' '-pot|set-rss|-M|64M|-p|POT' "$after_env" 'rctl|-a|jail:POT:memoryuse:log=64M' \
		'rctl|-a|jail:POT:memoryuse:sigkill=64M' 'rctl|-a|jail:POT:maxproc:deny=100' \
		'rctl|-a|jail:POT:readiops:throttle=1k' |
		expect '{ "memory_kill": true, "limits": { "maxproc": "100", "readiops": "1k" } }' .
}
in_parallel 'memory_kill, limits' t_limits

# ---- The plugin block ----

option env_files
env_calls() {		# PLUGIN_CONFIG
	pot_config "$1"
	run_task "$(task_config 'exit 0')" \
		'.Job.TaskGroups[0].Tasks[0].Env = { A: "x y", B: "a $b", NOMAD_TOKEN: "t" } |
		.Job.TaskGroups[0].Tasks[0].Env["no-name"] = "x"'
	calls set-env | tr '|' '\n' | grep -E '^(A|B|NOMAD_TOKEN|NOMAD_TASK_NAME|no-name)='
}
t_env() { is "$(env_calls '{}' | sed 's,/[0-9]*),/N),' | sort | tr '\n' ' ')" \
	'A=$(cat /secrets/.nomad-env/N) B=$(cat /secrets/.nomad-env/N) NOMAD_TASK_NAME=task NOMAD_TOKEN=$(cat /secrets/.nomad-env/N) '; }
in_parallel 'variables in files' t_env
t_env_plain() { is "$(env_calls '{ "env_files": false }' | sort | tr '\n' ' ')" \
	'A=x y B=a \$b NOMAD_TASK_NAME=task NOMAD_TOKEN=t '; }
in_parallel 'env_files = false: on the command line' t_env_plain
option pot_path path
t_path() {
	pot_config '{ "path": "'"$POT_DIR/bin"':/usr/bin:/bin" }'
	run_task "$(task_config 'echo "PATH $PATH"')"
	file_has "$T/out" "^PATH $POT_DIR/bin:/usr/bin:/bin\$" && unlike "$(cat "$POT_DIR/state/calls")" \
		"'PATH': '(.*sbin.*)'" && left_nothing
}
in_parallel 'pot_path, path: of pot and of the task' t_path
option enabled
t_disabled() {
	pot_config '{ "enabled": false }'
	run_task "$(task_config 'exit 0')"
	is $STATUS 1 && file_has "$T/err" "'enabled'" && is "$(calls prepare)" '' && left_nothing
}
in_parallel 'enabled = false: no pot command runs for a task' t_disabled
wait_parallel

# Ports and the size of the node are known to an agent only; limits of time are seen where something hangs.
elsewhere() { for _o; do grep -q "$_o" "$1" 2>/dev/null || [ "$_o" = "$1" ] ||
	{ echo "$1 has nothing of $_o"; return 1; }; done; }
option port_map ports cpu_hard_limit
t_agent() { elsewhere test/pot/40-agent.sh Config.port_map Config.ports Config.cpu_hard_limit &&
	elsewhere nomad-driver-pot/pot-cli_test.c port_map 'c.ports'; }
run_test 'ports, port_map and cpu_hard_limit have their tests' t_agent
option image_gc_hours
t_gc() { elsewhere test/pot/20-run.sh image_gc_hours; }
run_test 'image_gc_hours has its tests' t_gc
option prepare_timeout start_timeout command_timeout
t_timeouts() { elsewhere test/pot/30-faults.sh prepare_timeout start_timeout command_timeout; }
run_test 'limits of time have their tests' t_timeouts

t_all() {
	for _s in --task --plugin; do "$BUILD/plugins/nomad-driver-pot" schema --json $_s |
		jq -r '.properties | keys[]'; done |
		grep -vxE "$LIBRARY_OPTIONS" | sort >"$T/options"
	echo "$covered" | tr ' ' '\n' | grep . | sort | diff "$T/options" -
}
run_test 'every option has its test, and no other' t_all
done_testing
