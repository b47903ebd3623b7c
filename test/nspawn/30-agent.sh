#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Under a real Nomad agent.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
require_nomad
mkdir "$T/plugins" && cp "$DRIVER" "$T/plugins/"
cat >"$T/plugin.hcl" <<CONFIG
plugin "nomad-driver-nspawn" {
  config {
    state_dir = "$T/state"
    policy {
      mode = "open"
    }
  }
}
client {
  host_volume "data" {
    path = "$T/volume"
  }
}
CONFIG
mkdir "$T/volume" && echo 'from the volume' >"$T/volume/file"
job() { job_json "$1" nspawn "$2" "${3:-batch}" | jq "${4:-.}" >"$T/$1.json"; }
# ends ID CONFIG FILTER STATUS: run a batch job to its end.
ends() { job "$1" "$2" batch "$3" && run_job "$T/$1.json" && wait_alloc "$ALLOC_ID" "$4" 90; }
started() { [ "$(task_state "$ALLOC_ID" task | jq -r .State)" = running ]; }
service() { job "$1" "$2" service "${3:-.}" && run_job "$T/$1.json" && wait_alloc "$ALLOC_ID" running 60; }

t_start() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver nspawn; }
t_attributes() { is "$(node_driver nspawn | jq -r '.Attributes["driver.nspawn.volumes"]')" true &&
	like "$(node_driver nspawn | jq -r '.Attributes["driver.nspawn.version"]')" '^[0-9]+$'; }
t_zero() { ends zero "$(sh_config 'echo out; echo err >&2')" . complete && is "$(task_exit_code "$ALLOC_ID" task)" 0; }
t_logs() { wait_for 20 logs sh -c "'$NOMAD' alloc logs $ALLOC_ID task | grep -qx out" &&
	is "$(alloc_logs "$ALLOC_ID" task)" out && is "$(alloc_logs "$ALLOC_ID" task stderr)" err; }
t_cores() {
	ends cores "$(sh_config 'grep Cpus_allowed_list /proc/self/status')" \
		'.Job.TaskGroups[0].Tasks[0].Resources = { Cores: 1, MemoryMB: 64 }' complete &&
		wait_for 20 logs sh -c "'$NOMAD' alloc logs $ALLOC_ID task | grep -q Cpus" &&
		like "$(alloc_logs "$ALLOC_ID" task)" '^Cpus_allowed_list:.[0-9]+$'
}
t_seven() { ends seven "$(sh_config 'exit 7')" . failed && is "$(task_exit_code "$ALLOC_ID" task)" 7; }
t_killed() { ends killed "$(sh_config 'kill -SEGV $$')" . failed && like "$(task_events "$ALLOC_ID" task)" \
	'Exit Code: 139, Signal: 11'; }
t_misspelt() {
	job bad "$(sh_config true '{"comand":["x"]}')" && run_job "$T/bad.json" && wait_alloc "$ALLOC_ID" failed &&
		like "$(task_events "$ALLOC_ID" task)" 'comand'
}
t_missing() { ends noimage "$(sh_config true '{"image":"/no/such/image"}')" . failed &&
	like "$(task_events "$ALLOC_ID" task)" "image '/no/such/image' does not exist"; }
t_choice() { ends nochoice "$(sh_config true '{"volatile":"maybe"}')" . failed &&
	like "$(task_events "$ALLOC_ID" task)" 'failed to validate task config: invalid parameter for volatile'; }
run_test 'the driver is healthy' t_start
run_test 'attributes of the node' t_attributes
run_test 'exit code 0' t_zero
run_test 'logs' t_logs
run_test 'cores = 1: one processor' t_cores
run_test 'exit code 7' t_seven
run_test 'death by a signal' t_killed
run_test 'a misspelt option is named' t_misspelt
run_test 'a missing image is named' t_missing
run_test 'a wrong value is named' t_choice

# ---- A service: exec, signals, statistics
t_service() {
	service svc "$(sh_config 'trap "echo hup" HUP; trap "echo usr1" USR1; trap "echo term; exit 0" TERM; echo up;
		while :; do sleep 0.2; done' \
			'{"user":"web","working_directory":"/usr/share","environment":[{"MINE":"yes"}]}')"
}
ex() { "$NOMAD" alloc exec -i=false -t=false -task task "$ALLOC_ID" "$@"; }
t_exec() { is "$(ex /bin/sh -c 'echo hello')" hello; }
t_exec_code() { ex /bin/sh -c 'exit 43'; is $? 43; }
t_exec_env() { is "$(ex /bin/sh -c 'echo $MINE $NOMAD_TASK_NAME; pwd; hostname' | head -n 2 | tr '\n' ' ')" \
	'yes task /usr/share '; }
t_exec_user() { is "$(ex /bin/sh -c 'id -un; id -G')" "$(printf 'web\n1000 77')" ||
	is "$(ex /bin/sh -c 'id -un')" web; }
t_exec_home() { is "$(ex /bin/sh -c 'echo $HOME $USER $LOGNAME')" '/home/web web web'; }
t_exec_ns() { like "$(ex /bin/sh -c 'ps -o pid,comm')" '^ *1 nspawn-init' &&
	is "$(ex /bin/sh -c 'cat /proc/self/uid_map | tr -s " "')" \
	"$(ex /bin/sh -c 'cat /proc/1/uid_map | tr -s " "')"; }
t_exec_stdin() { is "$(echo 'typed in' | "$NOMAD" alloc exec -i=true -t=false -task task "$ALLOC_ID" /bin/cat)" \
	'typed in'; }
t_exec_missing() { ex /no/such/program && return 1; return 0; }
logged() { alloc_logs "$ALLOC_ID" task | grep -q "$1"; }
t_signal() { "$NOMAD" alloc signal -s SIGHUP "$ALLOC_ID" task && wait_for 20 'the signal' logged hup &&
	"$NOMAD" alloc signal -s USR1 "$ALLOC_ID" task && wait_for 20 'the other signal' logged usr1; }
memory() { [ "$(api GET "/v1/client/allocation/$ALLOC_ID/stats" |
	jq '.Tasks.task.ResourceUsage.MemoryStats // {} | (.RSS + .Usage)')" -gt 0 ] 2>/dev/null; }
t_stats() { wait_for 20 'statistics' memory; }
t_stop() { "$NOMAD" job stop -detach svc >/dev/null && wait_alloc "$ALLOC_ID" complete &&
	wait_for 20 'its last word' logged term && is "$(task_exit_code "$ALLOC_ID" task)" 0; }
run_test 'a service runs' t_service
run_test 'exec' t_exec
run_test 'exec: exit code' t_exec_code
run_test 'exec: environment and directory' t_exec_env
run_test 'exec: user' t_exec_user
run_test 'exec: home and name of the user' t_exec_home
run_test 'exec: namespaces' t_exec_ns
run_test 'exec: standard input' t_exec_stdin
run_test 'exec: missing program' t_exec_missing
run_test 'signals' t_signal
run_test 'statistics' t_stats
run_test 'stop: the task ends itself' t_stop
t_stubborn() {
	service stubborn "$(sh_config 'trap "" TERM; echo up; while :; do sleep 0.2; done')" \
		'.Job.TaskGroups[0].Tasks[0].KillTimeout = 1000000000' &&
		"$NOMAD" job stop -detach stubborn >/dev/null && wait_alloc "$ALLOC_ID" complete &&
		is "$(task_exit_code "$ALLOC_ID" task)" 137
}
run_test 'stop: a task that will not is killed' t_stubborn
t_neighbour() {
	service stays "$(sh_config 'echo up; while :; do sleep 0.2; done')" && first=$ALLOC_ID &&
		service goes "$(sh_config 'echo up; while :; do sleep 0.2; done')" &&
		"$NOMAD" job stop -detach goes >/dev/null && wait_alloc "$ALLOC_ID" complete && sleep 1 &&
		is "$(task_state "$first" task | jq -r .State)" running &&
		"$NOMAD" job stop -detach stays >/dev/null && wait_alloc "$first" complete
}
run_test 'stop: the neighbour goes on' t_neighbour
t_kill_signal() {
	service ks "$(sh_config 'trap "echo usr2; exit 5" USR2; echo up; while :; do sleep 0.2; done')" \
		'.Job.TaskGroups[0].Tasks[0].KillSignal = "SIGUSR2"' &&
		"$NOMAD" job stop -detach ks >/dev/null && wait_alloc "$ALLOC_ID" failed 30 ||
		wait_alloc "$ALLOC_ID" complete 5 && is "$(task_exit_code "$ALLOC_ID" task)" 5
}
run_test 'kill_signal' t_kill_signal
t_oom() { ends oom "$(sh_config 'x=x; while :; do x=$x$x; done')" \
	'.Job.TaskGroups[0].Tasks[0].Resources.MemoryMB = 20' failed &&
	like "$(task_events "$ALLOC_ID" task)" 'out of memory'; }
run_test 'memory limit' t_oom
t_oom_child() {
	ends oom-child "$(sh_config '(x=x; while :; do x=$x$x; done); [ $? = 137 ]')" \
		'.Job.TaskGroups[0].Tasks[0].Resources.MemoryMB = 20' complete &&
		like "$(task_events "$ALLOC_ID" task)" 'Out of memory: the kernel killed 1 process of the task'
}
run_test 'memory limit: the kill of a child is an event, whatever the task ends with' t_oom_child
t_volume() {
	ends volume "$(sh_config 'cat /mnt/data/file && echo new >/mnt/data/new')" \
		'.Job.TaskGroups[0] |= (.Volumes = { d: { Name: "d", Type: "host", Source: "data" } } |
		.Tasks[0].VolumeMounts = [{ Volume: "d", Destination: "/mnt/data" }])' complete &&
		is "$(cat "$T/volume/new")" new && is "$(stat -c %u "$T/volume/new")" 0
}
run_test 'host volume' t_volume
t_bidirectional() {
	ends bidi "$(sh_config true)" '.Job.TaskGroups[0] |= (.Volumes = { d: { Name: "d", Type: "host",
		Source: "data" } } |
		.Tasks[0].VolumeMounts = [{ Volume: "d", Destination: "/mnt/data",
		PropagationMode: "bidirectional" }])' failed && like "$(task_events "$ALLOC_ID" task)" \
			"volume at '/mnt/data': systemd-nspawn cannot propagate"
}
run_test 'host volume: bidirectional propagation is refused' t_bidirectional
volume_service() {
	service "$1" "$(sh_config 'echo up; while :; do sleep 0.2; done' "$2")" \
		'.Job.TaskGroups[0] |= (.Volumes = { d: { Name: "d", Type: "host", Source: "data" } } |
		.Tasks[0].VolumeMounts = [{ Volume: "d", Destination: "/mnt/data", PropagationMode: "host-to-task" }])'
}
t_host_to_task() {
	mount --bind "$T/volume" "$T/volume" && mount --make-shared "$T/volume" && mkdir "$T/volume/sub" || return 1
	for more in '{"user_namespacing":false}' '{}'; do
		volume_service h2t "$more" && mount -t tmpfs -o mode=0755 later "$T/volume/sub" &&
			touch "$T/volume/sub/seen" && is "$(ex ls /mnt/data/sub)" seen
		r=$?
		umount "$T/volume/sub"
		[ $r -ne 0 ] || is "$(ex ls /mnt/data/sub)" '' || r=1
		"$NOMAD" job stop -detach h2t >/dev/null && wait_alloc "$ALLOC_ID" complete && [ $r -eq 0 ] ||
			{ echo "$more"; umount "$T/volume"; return 1; }
	done
	umount "$T/volume"
}
run_test 'host volume: what the host mounts later is seen' t_host_to_task
t_template() {
	ends template "$(sh_config 'cat /local/t /secrets/s')" \
		'.Job.TaskGroups[0].Tasks[0].Templates = [{ DestPath: "local/t",
		EmbeddedTmpl: "from a {{ env \"NOMAD_TASK_NAME\" }} template\n" },
		{ DestPath: "secrets/s", EmbeddedTmpl: "secret\n" }]' complete &&
			wait_for 20 'the log' logged 'from a task template'
}
run_test 'templates' t_template
t_ports() {
	service ports "$(sh_config 'mkdir /tmp/w; echo port $NOMAD_PORT_http >/tmp/w/index.html;
		httpd -f -p 80 -h /tmp/w' '{"network_veth":true,"ports":["http"]}')" \
		'.Job.TaskGroups[0].Networks = [{ DynamicPorts: [{ Label: "http", To: 80 }] }] |
		 .Job.TaskGroups[0].Tasks[0].Services = [{ Name: "web", Provider: "nomad", PortLabel: "80",
		AddressMode: "driver" }]' &&
		port=$(api GET "/v1/allocation/$ALLOC_ID" | jq '.AllocatedResources.Shared.Ports[0].Value') &&
		wait_for 20 'the page' sh -c "[ \"\$(curl -s -m 5 http://127.0.0.1:$port/)\" = 'port 80' ]" &&
		wait_for 20 'the service' sh -c \
		"curl -s '$NOMAD_ADDR/v1/service/web' | jq -e '.[0].Address | startswith(\"10.88.0.\")'" &&
		"$NOMAD" job stop -detach ports >/dev/null && wait_alloc "$ALLOC_ID" complete
}
run_test 'a dynamic port, and the address of the driver for a service' t_ports
# ---- The agent and the plugin come and go
t_plugin_killed() {
	service long "$(sh_config 'trap "exit 3" TERM; echo up; while :; do sleep 0.2; done')" &&
		kill -9 "$(plugin_pid nomad-driver-nspawn)" &&
		wait_driver nspawn && wait_for 30 'exec works again' sh -c \
		"[ \"\$('$NOMAD' alloc exec -i=false -t=false -task task $ALLOC_ID /bin/echo again)\" = again ]" &&
		is "$(task_state "$ALLOC_ID" task | jq .Restarts)" 0
}
run_test 'a killed plugin: the task goes on' t_plugin_killed
t_agent_killed() {
	stop_agent KILL && start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver nspawn &&
		wait_alloc "$ALLOC_ID" running &&
		wait_for 30 'exec works again' sh -c \
		"[ \"\$('$NOMAD' alloc exec -i=false -t=false -task task $ALLOC_ID /bin/echo again)\" = again ]" &&
		is "$(task_state "$ALLOC_ID" task | jq .Restarts)" 0
}
run_test 'a killed agent: the task goes on' t_agent_killed
t_recovered_stop() { "$NOMAD" job stop -detach long >/dev/null && wait_for 60 'the end' sh -c \
	"[ \"\$('$NOMAD' alloc status -json $ALLOC_ID | jq -r .TaskStates.task.State)\" = dead ]" &&
	is "$(task_exit_code "$ALLOC_ID" task)" 3; }
run_test 'and ends with its true code' t_recovered_stop
t_nspawn_killed() {
	service victim "$(sh_config 'echo up; sleep 1000')" && kill_all nspawn_pids && wait_alloc "$ALLOC_ID" failed &&
		wait_for 20 'the container is gone' sh -c '! pgrep -x sleep'
}
run_test 'a killed systemd-nspawn takes its container along' t_nspawn_killed
t_no_volumes() {
	stop_agent && sed -i 's/state_dir/volumes = false\n    state_dir/' "$T/plugin.hcl" &&
		start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver nspawn &&
		ends novol "$(sh_config true)" \
		'.Job.TaskGroups[0] |= (.Volumes = { d: { Name: "d", Type: "host", Source: "data" } } |
		.Tasks[0].VolumeMounts = [{ Volume: "d", Destination: "/mnt/data" }])' failed &&
		like "$(task_events "$ALLOC_ID" task)" 'volumes are not enabled; cannot mount host paths'
}
run_test 'plugin option volumes = false' t_no_volumes
t_end() { stop_agent && unlike "$(cat /proc/self/mounts)" "$T/state" && is "$(ls "$T/state/tasks")" ''; }
run_test 'the agent stops, nothing is left' t_end
done_testing
