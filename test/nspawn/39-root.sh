#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A root that stays, under an agent: over restarts of the task, over a reboot inside, in the next allocation with a
# sticky disk; and not longer.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
requires mkfs.ext4
sticky='{"root":"sticky","storage_mb":16}'

# ---- By itself
run_test 'root = sticky: owners are those of the container' says \
	"$(sh_config 'touch /x && chown 7:8 /x && rm /etc/passwd && ls /etc/passwd 2>&1
	stat -c %u:%g / /x | tr "\n" " "' "$sticky")" '^0:0 7:8 '
run_test 'root = sticky: without users of its own' says \
	"$(sh_config 'touch /x && stat -c %u /x' '{"root":"sticky","storage_mb":16,"user_namespacing":false}')" '^0$'
run_test 'root = sticky: without a limit' says "$(sh_config 'touch /x && stat -c %u /x' '{"root":"sticky"}')" '^0$'
run_test 'root = sticky: nothing in the container reaches the layer' says \
	"$(sh_config 'ls -A /local/.nomad-root /in/.nomad-root; umount /local/.nomad-root 2>&1
	ls -A /local/.nomad-root
	mv /local/.nomad-root /local/moved 2>&1; ls -A /local; touch /local/.nomad-root/x 2>&1; true' \
	'{"root":"sticky","storage_mb":16,"volumes":["local:/in"]}')" '^\.nomad-root$'
t_hidden() { unlike "$(cat "$T/out")" '^(layer|upper|base)' && file_has "$T/out" 'Read-only|denied'; }
run_test 'root = sticky: and nothing of it is seen' t_hidden
run_test 'root = sticky: no bind reaches it' fails \
	"$(sh_config true '{"root":"sticky","storage_mb":16,"volumes":["local/.nomad-root:/in"]}')" \
	'it is the root of the container'
run_test 'root = ephemeral' says "$(sh_config 'touch /x && echo done; ls -A /local' '{"root":"ephemeral"}')" '^done$'
run_test 'root = image: is writable_image' fails "$(sh_config true '{"root":"sticky","writable_image":true}')" \
	'writable_image may not be combined with this root'
t_image() {
	cp -a "$ROOT" "$T/tree" && says "$(sh_config 'echo kept >/kept && echo done' \
		"{\"image\":\"$T/tree\",\"root\":\"image\"}")" done && is "$(cat "$T/tree/kept")" kept
}
run_test 'root = image' t_image
t_rule() {
	printf '{ "state_dir": "%s/state", "policy": { "allow_image": ["/"] } }\n' "$T" >"$T/plugin.json"
	fails "$(sh_config true "{\"image\":\"$T/tree\",\"root\":\"image\"}")" 'rule allow_writable_image' &&
		says "$(sh_config 'echo done' '{"root":"sticky"}')" done
}
run_test 'root = image: takes a rule of the policy' t_rule

# ---- Under an agent
require_nomad || true
mkdir "$T/plugins" && cp "$DRIVER" "$T/plugins/"
printf 'plugin "nomad-driver-nspawn" {\n  config {\n    state_dir = "%s/state"\n    policy {\n      allow_image = ["/"]\n      max_storage_mb = 0\n    }\n  }\n}\n' \
	"$T" >"$T/plugin.hcl"
again='.Job.TaskGroups[0] |= (.RestartPolicy = { Attempts: 5, Interval: 600000000000, Delay: 100000000, Mode: "fail" } |
	.EphemeralDisk = { Sticky: true, SizeMB: 20 })'
counts='n=$(cat /root/n 2>/dev/null || echo 0); echo $((n + 1)) >/root/n; sync'
job() { job_json "$1" nspawn "$2" service | jq "$again | ${3:-.}" >"$T/$1.json"; }
ex() { "$NOMAD" alloc exec -i=false -t=false -task task "$ALLOC_ID" "$@"; }
n_is() { [ "$(ex /bin/cat /root/n 2>/dev/null)" = "$1" ]; }
t_start() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver nspawn; }
t_restart() {
	job stays "$(sh_config "$counts; sleep 1000" "$sticky")" && run_job "$T/stays.json" && first=$ALLOC_ID &&
		wait_for 30 'the first run' n_is 1 && "$NOMAD" alloc restart "$ALLOC_ID" >/dev/null &&
		wait_for 30 'the second run' n_is 2 || return 1
	ex /bin/sh -c 'kill -9 $(pidof sleep)' # the command may end with the container
	wait_for 30 'the third run' n_is 3
}
t_moves() {
	jq '.Job.Meta = { again: "yes" }' "$T/stays.json" >"$T/stays-2.json" && run_job "$T/stays-2.json" &&
		wait_for 30 'the next allocation' _next && wait_for 30 'its first run' n_is 4
}
_next() { ALLOC_ID=$(api GET /v1/job/stays/allocations | jq -r '[.[] | select(.ClientStatus == "running")][0].ID') &&
	[ "$ALLOC_ID" != null ] && [ "$ALLOC_ID" != "$first" ]; }
# Else it could write to the file system that the next sticky one mounts.
t_other_root() {
	first=$ALLOC_ID
	jq '.Job.Meta = { again: "3" } | .Job.TaskGroups[0].Tasks[0].Config.root = "ephemeral"' "$T/stays.json" \
		>"$T/stays-3.json" && run_job "$T/stays-3.json" && wait_for 30 'the next allocation' _next &&
		wait_for 30 'its first run' n_is 1 && is "$(ex ls -A /local)" .nomad-root &&
		is "$(ex ls -A /local/.nomad-root)" '' &&
		is "$(find "$AGENT_DIR/data/alloc/$ALLOC_ID" -path '*/.nomad-root/layer' | wc -l)" 1
}
t_goes() {
	purge_job stays && is "$(find "$T" -name .nomad-root)" '' && is "$(losetup -a | grep -c "$T")" 0
}
t_reboot() {
	job boots "$(sh_config "$counts; [ \$n -gt 0 ] || reboot -f; echo up; sleep 1000" "$sticky")" &&
		run_job "$T/boots.json" && wait_for 60 'the run after the reboot' n_is 2 &&
		like "$(task_events "$ALLOC_ID" task)" 'Exit Code: 133' && purge_job boots
}
t_ephemeral() {
	job goes "$(sh_config "$counts; sleep 1000" '{"root":"ephemeral"}')" && run_job "$T/goes.json" &&
		wait_for 30 'the first run' n_is 1 && "$NOMAD" alloc restart "$ALLOC_ID" >/dev/null &&
		wait_for 30 'the second' ex /bin/true && wait_for 30 'a new root' n_is 1 && purge_job goes
}
# As an artifact could, too: a file system that the job brings.
t_foreign() {
	job brings "$(sh_config 'echo mounted' "$sticky")" '.Job.TaskGroups[0].Tasks[0].Templates = [{
		EmbeddedTmpl: "foreign", DestPath: "local/.nomad-root/layer" }]' && run_job "$T/brings.json" &&
		wait_alloc "$ALLOC_ID" failed &&
		like "$(task_events "$ALLOC_ID" task)" 'was not made on this node.*allow_writable_image' &&
			purge_job brings
}
# What a task has left where the next allocation puts its layer, with links to other places of the host.
t_links() {
	mkdir -m 777 "$T/victim" "$T/victim-work" &&
		job links "$(sh_config "mkdir /local/.nomad-root && ln -s $T/victim /local/.nomad-root/upper &&
			ln -s $T/victim-work /local/.nomad-root/work; echo 1 >/root/n; sleep 1000")" &&
		run_job "$T/links.json" && wait_for 30 'the links' n_is 1 && first=$ALLOC_ID &&
		jq '.Job.TaskGroups[0].Tasks[0].Config |=
		(.root = "sticky" | .command[2] = "touch /made; sleep 1000")' "$T/links.json" \
		>"$T/links-2.json" && run_job "$T/links-2.json" && wait_for 30 'the refusal' _refused &&
		is "$(ls "$T/victim" "$T/victim-work" | grep -v ':$' | grep .)" '' &&
		purge_job links
}
_refused() { ALLOC_ID=$(api GET /v1/job/links/allocations | jq -r 'max_by(.CreateIndex).ID') &&
	task_events "$ALLOC_ID" task | grep -q 'upper. is not a directory; remove it'; }
t_end() { stop_agent && is "$(ls "$T/state/tasks")" '' && unlike "$(cat /proc/self/mounts)" "$T/state"; }
run_test 'the driver is healthy' t_start
run_test 'root = sticky: a restart of the task keeps it' t_restart
run_test 'root = sticky: the next allocation with a sticky disk has it' t_moves
run_test 'root = sticky: another root does not see its layer' t_other_root
run_test 'root = sticky: it goes with the allocation' t_goes
run_test 'root = sticky: a reboot inside keeps it' t_reboot
run_test 'root = ephemeral: a restart begins with the image' t_ephemeral
run_test 'root = sticky: a layer that the job brings is not mounted' t_foreign
run_test 'root = sticky: no link leads the layer elsewhere' t_links
run_test 'the agent stops, nothing is left' t_end
done_testing
