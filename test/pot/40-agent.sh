#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Tasks through a real Nomad agent, in the stand-in's jails.
. test/lib.sh
. test/pot/lib-pot.sh
isolate "$@"
requires jq python3
require_nomad
make_pot
mkdir "$T/plugins"
cp "$BUILD/plugins/nomad-driver-pot" "$T/plugins/"
# The example's configuration, and what is the test's own.
agent_config
mine=$(sed -n '/^  config {/,/^  }/p' "$T/plugin.hcl" | sed '1d;$d; /policy {/,/}/d') \
	volume=$(sed -n '/host_volume/,/^  }/p' "$T/plugin.hcl")
: >"$T/policy"
configure() {
	RULES=$(cat "$T/policy") awk -v mine="$mine" -v volume="$volume" '/^plugin_dir/ { next }
		/^      [a-z_]* *=/ && index("\n" ENVIRON["RULES"], "\n" $1 " =") { next } { print }
		/^client \{/ { print volume } /^  config \{/ { print mine }
		/^    policy \{/ { print ENVIRON["RULES"] }' examples/pot/agent.hcl |
		sed "s|https://potluck.honeyguide.net/|file://$POT_DIR/images|" >"$T/plugin.hcl"
}
configure

t_healthy() { start_pot_agent; }
run_test 'the node shows the driver healthy' t_healthy

t_attributes() {
	_attrs=$(api GET "/v1/node/$NODE_ID" |
		jq -r '.Attributes | to_entries[] | select(.key | startswith("driver.pot")) | "\(.key)=\(.value)"')
	like "$_attrs" '^driver.pot=1$' && like "$_attrs" '^driver.pot.pot_version=0.16.0$' &&
		like "$_attrs" '^driver.pot.zfs_root=zroot/pot$' &&
		like "$_attrs" '^driver.pot.rctl=(1|true)$'
}
run_test 'attributes of the node' t_attributes

submit() {		# ID SCRIPT [TYPE] [JQ]
	job_json "$1" pot "$(task_config "$2")" "${3:-batch}" | jq "${4:-.}" >"$T/$1.json" && run_job "$T/$1.json"
}
# Nomad's own directories and the pots are gone.
gone() { purge_job "$1" && wait_for 60 'no pot is left' quiet pot_census; }
has_logs() { alloc_logs "$ALLOC_ID" task "${2:-stdout}" 2>/dev/null | grep -Eq "$1"; }

t_batch() {
	submit ok 'echo hello; echo oops >&2; exit 0' && wait_alloc "$ALLOC_ID" complete &&
		wait_for 20 'stdout is there' has_logs '^hello$' && wait_for 20 'stderr is there' has_logs '^oops$' \
		stderr &&
		like "$(task_events "$ALLOC_ID" task)" 'Preparing a pot from img 1.0' && gone ok
}
run_test 'a batch task, its logs and events' t_batch

t_exit_code() {
	submit seven 'exit 7' && wait_alloc "$ALLOC_ID" failed && is "$(task_exit_code "$ALLOC_ID" task)" 7 &&
		gone seven
}
run_test 'the exit code' t_exit_code

t_ports() {
	submit ports 'echo "port $NOMAD_HOST_PORT_web $NOMAD_PORT_web"; exit 0' batch \
		'.Job.TaskGroups[0].Networks = [{ DynamicPorts: [{ Label: "web", To: 8080 }, { Label: "my-port" }] }]
		| .Job.TaskGroups[0].Tasks[0].Config.ports = ["web"]
		| .Job.TaskGroups[0].Tasks[0].Config.port_map = [{ "my-port": "udp:53" }]
		| .Job.TaskGroups[0].Tasks[0].Config.cpu_hard_limit = true' && wait_alloc "$ALLOC_ID" complete ||
			return 1
	wait_for 20 'stdout is there' has_logs '^port ' || return 1
	_host=$(alloc_logs "$ALLOC_ID" task | sed -n 's/^port \([0-9]*\).*/\1/p')
	like "$(calls prepare | tail -n 1)" "\|-N\|public-bridge\|-i\|auto\|-e\|udp:53:[0-9]+\|-e\|8080:$_host\|-a\|" &&
		like "$(calls rctl)" '^rctl\|-a\|jail:nomad_[^:]*:pcpu:deny=[1-9][0-9]*$' && gone ports
}
run_test 'ports of the group, with a hyphen in a label, udp; a hard CPU limit' t_ports

t_dns() {
	submit dns 'cat /tmp/resolv.conf /vol/f; touch /vol/x || echo cannot' batch \
		'.Job.TaskGroups[0].Networks = [{ DNS: { Servers: ["192.0.2.1"], Searches: ["a.example", "b.example"],
		Options: ["ndots:2"] } }]
		| .Job.TaskGroups[0].Volumes = { v: { Name: "v", Type: "host", Source: "data", ReadOnly: true } }
		| .Job.TaskGroups[0].Tasks[0].VolumeMounts = [{ Volume: "v", Destination: "/vol", ReadOnly: true }]' &&
		wait_alloc "$ALLOC_ID" complete && wait_for 20 'stdout is there' has_logs '^cannot$' || return 1
	is "$(alloc_logs "$ALLOC_ID" task | grep -vE '^(=|$)' | tr '\n' ' ')" \
		'nameserver 192.0.2.1 search a.example b.example options ndots:2 of the host cannot ' &&
		like "$(calls prepare | tail -n 1)" '\|-d\|custom:[^|]*/resolv.conf\|-a\|' &&
		like "$(calls mount-in)" "\|-d\|$T/host-volume\|-m\|/vol\|-r\$" && gone dns
}
run_test 'the dns block and a volume of the job' t_dns

t_service() {
	submit svc 'trap "echo got it; exit 0" TERM INT; echo up; while :; do sleep 0.2; done' service &&
		wait_alloc "$ALLOC_ID" running &&
		wait_for 30 'it says so' has_logs '^up$'
}
run_test 'a service task runs' t_service
t_exec() {
	STATUS=0
	_out=$("$NOMAD" alloc exec -i=false -t=false -task task "$ALLOC_ID" /bin/sh -c \
		'echo "$NOMAD_TASK_NAME <$1>"; echo err >&2; exit 43' sh 'a  b' 2>"$T/err") || STATUS=$?
	is $STATUS 43 && is "$_out" 'task <a  b>' && file_has "$T/err" '^err'
}
run_test 'exec: output, arguments, variables, exit code' t_exec
t_exec_stdin() {
	is "$(printf 'one\ntwo\n' | "$NOMAD" alloc exec -i=true -t=false -task task "$ALLOC_ID" head -n 1)" one
}
run_test 'exec: input' t_exec_stdin
t_exec_tty() {
	command -v script >/dev/null || { skip_this 'no script on PATH'; return 0; }
	_out=$(script -qec "'$NOMAD' alloc exec -i=true -t=true -task task $ALLOC_ID /bin/sh -c 'tty >/dev/null && echo a-tty'" /dev/null </dev/null | tr -d '\r')
	like "$_out" 'a-tty'
}
run_test 'exec: with a tty' t_exec_tty
t_signal() {
	"$NOMAD" alloc signal -s SIGUSR1 "$ALLOC_ID" task >/dev/null 2>&1
	like "$(calls signal)" '\|SIGUSR1\|'
}
run_test 'a signal reaches the task' t_signal
t_stop() {
	"$NOMAD" job stop -detach svc >/dev/null
	# The signal before ended it with its default action: Nomad restarts nothing (mode fail).
	wait_for 60 'no pot is left' quiet pot_census && gone svc
}
run_test 'a stop leaves nothing behind' t_stop

# The examples run unchanged, except the image, which is made here and has no nginx.
example() {	# NAME JQ [JQ]: of the config, of the task
	: >"$POT_DIR/images/nginx-nomad-amd64-14_1_1.1.20.xz"
	"$NOMAD" job run -output "examples/pot/$1" | jq --arg image "file://$POT_DIR/images" --arg t "$T" \
		--arg script 'trap "exit 0" QUIT; cat /index.html; while :; do sleep 0.2; done' \
		".Job.TaskGroups[0].Tasks[0] |= (.Config |= (.image = \$image | $2) | ${3:-.})" >"$T/example.json" || return 1
	# shellcheck disable=SC2086
	if [ -n "${NEEDS:-}" ]; then run_by_message "$T/example.json" www1 pot $NEEDS
	else run_job "$T/example.json"; fi
}
t_hello() {
	example hello.nomad.hcl . && wait_alloc "$ALLOC_ID" failed && is "$(task_exit_code "$ALLOC_ID" hello)" 7 ||
		return 1
	wait_for 20 'its log' hello_speaks && gone "$JOB_ID"
}
hello_speaks() { alloc_logs "$ALLOC_ID" hello 2>/dev/null | grep -qx 'Hello from hello'; }
run_test 'the first job of the examples' t_hello

example_speaks() { alloc_logs "$ALLOC_ID" nginx 2>/dev/null | grep -q "^hello from $ALLOC_ID"; }
t_example() {
	example nginx.nomad.hcl '.command = "/bin/sh" | .args = ["-c", $script] | .copy[0]
		|= sub(":.*"; ":/index.html")' && wait_alloc "$ALLOC_ID" running &&
			wait_for 30 'the template is there' example_speaks || return 1
	like "$(calls prepare | tail -n 1)" \
		'\|-p\|nginx-nomad-amd64-14_1\|-t\|1.1.20\|-c\|.*\|-N\|public-bridge\|-i\|auto\|-e\|80:[0-9]+\|' &&
		like "$(calls set-attribute)" '\|-A\|devfs_ruleset\|-V\|4$' || return 1
	"$NOMAD" job stop -detach "$JOB_ID" >/dev/null
	wait_alloc "$ALLOC_ID" complete && like "$(calls signal | tail -n 1)" '\|SIGQUIT\|' && gone "$JOB_ID"
}
run_test 'the web server of the examples' t_example
# What the example's configuration does not allow is refused; with the lines of the messages the job runs.
mkdir -p "$T/ports" "$T/host/www" && echo conf >"$T/host/nginx.conf" && echo page >"$T/host/www/index.html"
t_old() {
	NEEDS='allow_attributes allow_mount allow_mount_read_only' example old-driver.nomad.hcl \
		'.mount = [($t + "/host-volume:/www")] | .mount_read_only = [($t + "/ports:/ports")]
		| .command = "/bin/sh" | .args = ["-c", "\u0027echo quotes are kept; sleep 1000\u0027"]' &&
		wait_alloc "$ALLOC_ID" running && wait_for 30 'its log' old_speaks && gone "$JOB_ID"
}
old_speaks() { alloc_logs "$ALLOC_ID" www1 2>/dev/null | grep -qx 'quotes are kept'; }
run_test 'the job of the older driver runs with the policy lines from the errors' t_old

# Ports of the task's own network block, which the older driver's documentation has: no group lists them.
t_old_network() {
	NEEDS='allow_copy allow_mount' example old-driver-network.nomad.hcl '
		.copy = [$t + "/host/nginx.conf:/nginx.conf"] | .mount = [$t + "/host/www:/mnt"] | .command = "/bin/sh"
		| .args = ["-c",
			"\u0027cat /nginx.conf /mnt/index.html; echo $NOMAD_HOST_PORT_http; sleep 1000\u0027"]' '.
		| .Services[].Provider = "nomad"
		| .Services += [.Services[0] + { Name: "in-the-pot", Checks: [], AddressMode: "driver" }]' &&
		wait_alloc "$ALLOC_ID" running && wait_for 30 'its log' old_network_speaks || return 1
	_host=$(alloc_logs "$ALLOC_ID" www1 | grep -x '[0-9][0-9]*')
	like "$(calls prepare | tail -n 1)" "\|-N\|public-bridge\|-i\|auto\|-e\|80:$_host\|" || return 1
	wait_for 30 'the service has that port' service_at nginx-minipot-service ".*:$_host" &&
		wait_for 30 'another one has that of the pot' service_at in-the-pot '10\.192\.0\.9:80' && gone "$JOB_ID"
}
old_network_speaks() { alloc_logs "$ALLOC_ID" www1 2>/dev/null | grep -Eqx '[0-9]+'; }
service_at() { api GET "/v1/service/$1" | jq -r '.[0] | "\(.Address):\(.Port)"' | grep -qx "$2"; }
run_test "the job of the older driver's documentation, ports in its resources" t_old_network

t_graceful() {
	submit grace 'trap "echo got it; exit 0" TERM; echo up; while :; do sleep 0.2; done' service \
		'.Job.TaskGroups[0].Tasks[0].KillSignal = "SIGTERM"' &&
		wait_alloc "$ALLOC_ID" running && wait_for 30 'it says so' has_logs '^up$' || return 1
	"$NOMAD" job stop -detach grace >/dev/null
	wait_alloc "$ALLOC_ID" complete && wait_for 20 'the task got the signal' has_logs '^got it$' &&
		is "$(task_exit_code "$ALLOC_ID" task)" 0 && gone grace
}
run_test 'a graceful stop with the job'"'"'s signal' t_graceful

t_ungraceful() {
	submit deaf 'trap "" TERM INT; echo up; while :; do sleep 0.2; done' service \
		'.Job.TaskGroups[0].Tasks[0].KillTimeout = 1000000000' &&
		wait_alloc "$ALLOC_ID" running && wait_for 30 'it says so' has_logs '^up$' || return 1
	"$NOMAD" job stop -detach deaf >/dev/null
	wait_alloc "$ALLOC_ID" complete && like "$(task_events "$ALLOC_ID" task)" 'Exit Code: 137' && gone deaf
}
run_test 'a task that ignores the signal is ended' t_ungraceful

t_fail() {
	order mount-in fail
	submit bad 'exit 0' && wait_alloc "$ALLOC_ID" failed && like "$(task_events "$ALLOC_ID" task)" \
		'Driver Failure.*ordered to fail at mount-in'
	_r=$?
	order mount-in
	[ $_r -eq 0 ] && gone bad
}
run_test 'the task'"'"'s events give the reason of a failed start' t_fail

t_recover_agent() {
	submit rec 'trap "echo got it; exit 0" TERM INT; i=0; while :; do echo $i; i=$((i + 1)); sleep 0.2; done' \
		service &&
		wait_alloc "$ALLOC_ID" running && wait_for 30 'it counts' has_logs '^5$' || return 1
	_before=$(cat "$POT_DIR/state/main_pid/$(task_pot)")
	stop_agent KILL && start_pot_agent && wait_alloc "$ALLOC_ID" running || return 1
	is "$(cat "$POT_DIR/state/main_pid/$(task_pot)")" "$_before" && is "$(pgrep -cf 'pot start nomad_')" 2 ||
		{ ps axf; return 1; }
	is "$("$NOMAD" alloc exec -i=false -t=false -task task "$ALLOC_ID" echo still here)" 'still here'
}
run_test 'the agent is killed: the task continues and exec works' t_recover_agent
t_recover_plugin() {
	_plugin=$(pot_plugin)
	kill -9 "$_plugin" || return 1
	wait_for 60 'there is another plugin' new_plugin && wait_driver pot || return 1
	is "$(cat "$POT_DIR/state/main_pid/$(task_pot)")" "$_before" &&
		wait_for 30 'exec works' exec_works && "$NOMAD" job stop -detach rec >/dev/null &&
		wait_alloc "$ALLOC_ID" complete && gone rec
}
exec_works() { [ "$("$NOMAD" alloc exec -i=false -t=false -task task "$ALLOC_ID" echo here 2>/dev/null)" = here ]; }
run_test 'the plugin is killed: the task continues and exec works' t_recover_plugin

# The plugin dies while pot prepare runs.  Nomad asks the next one to start the same task.
die_in_prepare() {		# JOB ORDER...
	_id=$1; shift
	rm -rf "$POT_DIR/state/jails/img_1_0"
	order prepare.import "$@"
	rm -f "$POT_DIR/state/calls"
	submit "$_id" 'echo ran; exit 0' && wait_for 60 'pot prepare runs' in_import ||
		{ order prepare.import; return 1; }
	_orphan=$(pgrep -o -f 'pot prepare') _plugin=$(pot_plugin)
	kill -9 "$_plugin"
	wait_for 60 'there is another plugin' new_plugin && wait_alloc "$ALLOC_ID" complete
	_r=$?
	order prepare.import
	[ $_r -eq 0 ] && pid_gone "$_orphan" && is "$(calls prepare | wc -l)" 2 && gone "$_id"
}
# It has come so far; an order that counts is gone once it was taken.
in_import() {
	calls prepare 2>/dev/null | grep -q . && pgrep -f 'pot prepare' >/dev/null &&
		{ [ ! -e "$POT_DIR/state/control/prepare.import" ] || grep -q slow \
		"$POT_DIR/state/control/prepare.import"; }
}
run_test 'the plugin dies during a slow pot prepare' die_in_prepare orphan1 slow 5
run_test 'the plugin dies during a pot prepare that never ends' die_in_prepare orphan2 hang 1

t_parallel() {
	rm -f "$POT_DIR/state/calls"
	submit many 'cat /tmp/hosts; exit 0' batch \
		'.Job.TaskGroups[0].Count = 5 | .Job.TaskGroups[0].Tasks[0].Resources = { CPU: 20, MemoryMB: 20 }
		| .Job.TaskGroups[0].Tasks[0].Config.extra_hosts = ["db:192.0.2.7"]' || return 1
	wait_for 120 'all are complete' all_complete 5 || { "$NOMAD" job status many; return 1; }
	is "$(calls prepare | grep -c .)" 5 && gone many
}
all_complete() { [ "$(api GET "/v1/job/$JOB_ID/allocations" |
	jq '[.[] | select(.ClientStatus == "complete")] | length')" = "$1" ]; }
run_test 'five at once, with extra_hosts' t_parallel

t_recover_ended() {
	submit end 'echo up; while [ ! -e /local/stop ]; do sleep 0.2; done; exit 9' service &&
		wait_alloc "$ALLOC_ID" running && wait_for 30 'it says so' has_logs '^up$' || return 1
	stop_agent KILL
	_plugin=$(pot_plugin)
	[ -z "$_plugin" ] || kill -9 "$_plugin"
	: >"$AGENT_DIR/data/alloc/$ALLOC_ID/task/local/stop"
	wait_for 30 'it has ended' ended || return 1
	start_pot_agent && wait_alloc "$ALLOC_ID" failed &&
		is "$(task_exit_code "$ALLOC_ID" task)" 9 && gone end
}
ended() { [ "$(pgrep -cf 'pot start nomad_')" = 0 ]; }
run_test 'a task ends while the plugin is down: its exit code is reported later' t_recover_ended

t_supervisor_dies() {
	submit sup 'echo up; while :; do sleep 0.2; done' service && wait_alloc "$ALLOC_ID" running &&
		wait_for 30 'it says so' has_logs '^up$' || return 1
	kill -9 "$(pgrep -o -f 'nomad-driver-pot: task-')" || { ps axf; return 1; }
	wait_alloc "$ALLOC_ID" failed && wait_for 60 'no pot is left' quiet pot_census && gone sup
}
run_test 'the supervisor is killed: the task fails, the jail is removed' t_supervisor_dies

t_stop_agent() { stop_agent && pot_census && is "$(ls "$T/s/tasks" 2>/dev/null)" '' &&
	is "$(pgrep -f 'pot start|nomad-driver-pot')" ''; }
run_test 'the end: no pot, no record, no process' t_stop_agent
done_testing
