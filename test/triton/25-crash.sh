#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The plugin is killed at each request of start, stop, destroy and recover,
# before the data centre acts on it and after, and at the library's crash
# points; then what Nomad does next: exactly one instance or none, no rule and
# no volume left.  The stand-in kills, and test/triton/steps.c is what dies.
. test/lib.sh
. test/triton/lib-triton.sh
require_standin
require_steps
make_keys
start_engine_if_root
shards 10
start_site

CLOUD=$(cloud_config '.fwenabled = true | .fwrules = {web: "FROM any TO tag role = web ALLOW tcp PORT 80"} |
	.tags = {role: "web"} |
	.volumes = [{name: "data", mountpoint: "/data", size: 1024}] | .cloud_api.networks = [{name: "external"}] |
	.deletion_protection = true')
DOCKER=$(docker_config '.fwenabled = true | .fwrules = {web: "FROM any TO tag role = web ALLOW tcp PORT 80"} |
	.tags = {role: "web"} |
	.metadata = {m: "1"} | .docker_api.image.auto_pull = true | .docker_api.ports = {tcp: [80]} |
	.deletion_protection = true')

# An empty data centre, and a new task of the kind.
begin() {
	control POST /reset '{}' >/dev/null || return 1
	rm -rf "$T/state" "$T/task"
	mkdir "$T/task"
	if [ "$1" = cloud ]; then printf %s "$CLOUD"; else printf %s "$DOCKER"; fi >"$T/config.json"
}
# One life of the plugin that does these steps.
life() { timeout -k 5 300 "$STEPS" "$T/plugin.json" "$T/config.json" "$T/task" "$@" >"$T/out" 2>"$T/err" </dev/null; }
lives() { life "$@" || { echo "steps $* failed:"; cat "$T/out"; tail -n 30 "$T/err"; return 1; }; }
# One that does not survive them.
dies() {
	life "$@"
	is $? 137 || { echo "steps $* were to be killed:"; cat "$T/out"; tail -n 30 "$T/err"; return 1; }
}
# kill_at WHEN "METHOD PATH"
kill_at() {
	fault "{\"api\": \"*\", \"method\": \"${2%% *}\", \"path\": \"${2#* }\", \"kind\": \"kill\", \"when\": \"$1\",
		\"pid_file\": \"$T/task/pid\"}"
}
one() { is "$(machines length)" 1 && is "$(our_rules)" 1 && is "$(machines '.[0].state' | tr -d '"')" running; }
our_rules() { rules '[.[] | select(.description | contains("[nomad-driver-triton"))] | length'; }
# No rule of published ports, and no note of what is to be removed.
none() {
	nothing_left 60 && is "$(rules '[.[] | select(.rule | contains("TO vm"))] | length')" 0 &&
		is "$(ls "$T/state/debts")" '' &&
	{ [ -z "$ENGINE_SOCK" ] || is "$(containers length)" 0; }
}

# Nomad repeats a StartTask under which the plugin died, and later ends the task.
then_replay() { no_faults; lives start up && one && lives recover stop destroy && none; }
# The agent died as well: the task is not spoken of again.
then_forgotten() { no_faults; lives settle && none; }
# It is destroyed as one that nobody remembers.
then_destroy() { no_faults; lives destroy && none; }

in_start() { begin "$1" && kill_at "$3" "$4" && dies start && "then_$2"; }
in_replay() { begin cloud && kill_at after 'POST /fwrules$' && dies start && kill_at "$1" "$2" && dies start &&
	then_replay; }
in_stop() {
	begin "$1" && lives start up && one && kill_at "$2" "$3" && dies recover stop && no_faults &&
		is "$(machines length)" 1 &&
	lives recover stop destroy && none
}
in_destroy() { begin "$1" && lives start up && lives recover stop && kill_at "$2" "$3" && dies destroy &&
	then_forgotten; }
in_destroy_twice() { begin "$1" && lives start up && lives recover stop && kill_at "$2" "$3" && dies destroy &&
	then_destroy; }
in_recover() { begin "$1" && lives start && kill_at before "$2" && dies recover up && no_faults && one &&
	lives recover up stop destroy && none; }
# The instance goes on while the host does not.
over_reboot() { begin "$1" && lives start up && lives reboot recover up && one &&
	lives reboot recover up stop destroy &&
	none; }
# A recovery asks for nothing; what it cannot know then it finds out.
over_outage() {
	begin cloud && lives start up && fault '{"path": ".", "kind": "status", "status": 503, "count": 100000}' &&
		lives recover && no_faults &&
	one && lives recover up stop destroy && none
}
ended_meanwhile() {
	begin cloud && lives start up && control POST "/machine/$(machines '.[0].id' | tr -d '"')/$1" >/dev/null &&
		lives recover wait &&
	file_has "$T/out" "$2" && lives destroy && none
}
# A start whose machine would take longer than this test: its caller leaves, and it ends.  The machine is a debt.
caller_leaves() {
	begin cloud && printf %s "$(cloud_config .)" >"$T/config.json" &&
		control POST /set '{"delays": {"provision": 3600}}' >/dev/null && lives leaves &&
		[ -n "$(ls "$T/state/debts")" ]
	_r=$?
	control POST /set '{"delays": {"provision": 0.3}}' >/dev/null
	return $_r
}
# The library's own points.
at_point() {
	_at=$1
	begin cloud && case $2 in
	start) NOMAD_DRIVER_CRASH_AT=$_at dies start && then_replay ;;
	recover) lives start && NOMAD_DRIVER_CRASH_AT=$_at dies recover && one && lives recover up stop destroy &&
		none ;;
	destroy) lives start && NOMAD_DRIVER_CRASH_AT=$_at dies recover stop destroy && lives destroy settle && none ;;
	esac
}
docker() {
	if [ -n "$ENGINE_SOCK" ]; then "$@"; else skip_this "$ENGINE_WHY"; fi
}

# What is killed before an answer comes to a GET has changed nothing after it either.
for then in replay forgotten destroy; do
	for at in 'GET packages' 'GET networks' 'GET volumes\\?' 'GET volumes/' 'GET machines\\?name' 'GET fwrules' \
		'GET machines/[-0-9a-f]+$'; do
		deal "cloud: killed at $at of a start, $then" in_start cloud $then before "$at"
	done
	for at in 'POST /volumes$' 'POST /machines$' 'POST /fwrules$'; do
		for when in before after; do deal "cloud: killed $when $at of a start, $then" in_start cloud $then \
			$when "$at"; done
	done
done
for at in 'DELETE /machines' 'DELETE /fwrules' 'DELETE /volumes' 'POST disable_deletion' 'POST /machines$'; do
	for when in before after; do deal "cloud: killed $when $at while it clears an earlier start away" in_replay \
		$when "$at"; done
done
for at in 'POST action=stop' 'GET /machines'; do
	for when in before after; do deal "cloud: killed $when $at of a stop" in_stop cloud $when "$at"; done
done
for at in 'GET /machines/[-0-9a-f]+$' 'GET machines\\?name' 'GET tag.nomad_fw' 'GET /fwrules$'; do
	deal "cloud: killed at $at of a destroy" in_destroy cloud before "$at"
done
for at in 'POST disable_deletion' 'DELETE /machines' 'DELETE /fwrules' 'DELETE /volumes'; do
	for when in before after; do deal "cloud: killed $when $at of a destroy" in_destroy cloud $when "$at"; done
done
deal 'cloud: killed at the first look after a recovery' in_recover cloud 'GET /machines'

for then in replay forgotten; do
	for at in 'POST /images/create' 'POST /containers/create' 'POST /tags' 'POST /metadata' 'POST enable_deletion' \
		'POST /start$'; do
		for when in before after; do deal "docker: killed $when $at of a start, $then" docker in_start docker \
			$then $when "$at"; done
	done
done
for when in before after; do
	deal "docker: killed $when POST stop of a stop" docker in_stop docker $when 'POST /stop'
	deal "docker: killed $when DELETE machines of a destroy" docker in_destroy docker $when 'DELETE /machines'
	deal "docker: killed $when DELETE machines of a destroy, destroyed again" docker in_destroy_twice docker $when \
		'DELETE /machines'
	deal "docker: killed $when DELETE fwrules of a destroy" docker in_destroy docker $when 'DELETE /fwrules'
done
deal 'docker: killed at the list of published rules of a destroy' docker in_destroy docker before \
	'GET /machines/.*/fwrules'
deal 'docker: killed at the first look after a recovery' docker in_recover docker 'GET /machines'

deal 'cloud: a recovery in an outage succeeds' over_outage
deal 'cloud: the caller of a start leaves while the machine is provisioned' caller_leaves
deal 'cloud: an end while the plugin was away' ended_meanwhile stopped '^end 0 '
deal 'cloud: a failure while the plugin was away' ended_meanwhile failed '^end 1 .*the instance failed'
deal 'cloud: removed and forgotten while the plugin was away' ended_meanwhile purge '^end 1 .*deleted, not by Nomad'
deal 'cloud: the task is not lost when the host is restarted' over_reboot cloud
deal 'docker: the task is not lost when the host is restarted' docker over_reboot docker
for at in core-start-intent core-start-recorded core-start-driver core-start-done; do deal "killed at $at" at_point \
	$at start; done
deal 'killed at core-recover-attached' at_point core-recover-attached recover
for at in core-tidy-begin core-tidy-killed core-tidy-destroyed core-tidy-removed; do deal "killed at $at" at_point $at \
	destroy; done
all_dealt
