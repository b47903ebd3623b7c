#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Several nodes of one account: plugins with state directories of their own, one
# data centre, one Nomad.  What a lost node left is removed by another one, and
# nothing that Nomad still wants.
. test/lib.sh
. test/triton/lib-triton.sh
require_standin
require_steps
make_keys
start_engine_if_root
shards 7
start_site

LEASE=4
# node NAME [JQ]: the plugin's block of a node, with a directory for its task
node() {
	rm -rf "${T:?}/state-$1" "$T/task-$1"
	mkdir "$T/task-$1"
	jq --arg n "$CONTROL_URL" --arg s "$T/state-$1" ".nomad_address = \$n | .state_dir = \$s |
		.lease_timeout = $LEASE | ${2:-.}" "$T/plugin.json" >"$T/$1.json"
}
begin() {
	end_nodes
	control POST /reset '{}' >/dev/null && control POST /forget '{}' >/dev/null &&
		control POST /nomad '{"status": 0, "allocs": {}}' >/dev/null && rm -f "$T/task-"*/go
	cloud_config "${1:-.}" >"$T/config.json"
}
# life NODE STEP...: in the background; `lives` waits for its end
life() {
	_node=$1; shift
	timeout -k 5 120 "$STEPS" "$T/$_node.json" "$T/config.json" "$T/task-$_node" "$@" >"$T/out-$_node" \
		2>"$T/err-$_node" </dev/null &
	NODES="${NODES:-} $!"
}
lives() {
	_m=$1
	life "$@"
	wait $! || { echo "node $_m:"; cat "$T/out-$_m"; tail -n 20 "$T/err-$_m"; return 1; }
}
signal_node() { kill "-$2" "$(cat "$T/task-$1/pid")"; }
end_nodes() {
	for _p in "$T"/task-*/pid; do
		[ ! -s "$_p" ] || { kill -CONT "$(cat "$_p")"; kill -9 "$(cat "$_p")"; }
	done 2>/dev/null
	for _p in ${NODES:-}; do wait "$_p"; done 2>/dev/null
	NODES=; rm -f "$T"/task-*/pid
}
of() { machines "[.[] | select(.tags.nomad_owner == \"$(cat "$T/state-$1/owner")\")] | ${2:-length}"; }
alloc_of() { of "$1" '.[0].tags.nomad_alloc' | tr -d '"'; }
nomad_says() { control POST /nomad "{\"allocs\": {\"$1\": [\"$2\", \"$3\"]}}" >/dev/null; }
_none_of() { [ "$(of "$1")" = 0 ]; }
_leased() { of "$1" '.[] | select(.tags | has("nomad_lease"))' | grep -q .; }
_asked_nomad() { control GET /requests | jq -e '[.[] | select(.api == "nomad")] | length > 0' >/dev/null; }
# Two nodes with a task each, and the first has died.
two() {
	node a "${2:-.}"; node b "${3:-.}"
	begin "${1:-.}" && lives a start up && is "$(of a)" 1 && ALLOC=$(alloc_of a) &&
		life b start up rest && wait_for 30 'the other node runs' _leased b && is "$(of b)" 1
}
stays() { sleep $((LEASE + 3)); is "$(of a)" 1 && is "$(of b)" 1; }
gone() { wait_for 40 'the instance of the lost node is removed' _none_of a && is "$(of b)" 1; }

_no_debts() { [ -z "$(ls "$T/state-b/debts")" ]; }
t_lost() {
	two '.fwenabled = true | .fwrules = {web: "FROM any TO tag role = web ALLOW tcp PORT 80"} |
		.tags = {role: "web"} | .deletion_protection = true' && nomad_says "$ALLOC" lost stop && gone &&
		wait_for 30 'no debt is left' _no_debts && is "$(rules length)" 1 && : >"$T/task-b/go"
}
t_wanted() {
	two && for _s in 'running run' 'unknown run' 'running stop' 'lost run'; do
		# shellcheck disable=SC2086
		nomad_says "$ALLOC" $_s && sleep 1 || return 1
	done && wait_for 30 'Nomad is asked' _asked_nomad && stays
}
t_unknown() { two && stays && control POST /nomad '{"status": 403}' >/dev/null && stays; }
t_cluster() {
	two . '.cluster = "one"' '.cluster = "two"' && nomad_says "$ALLOC" lost stop && stays &&
		! _asked_nomad
}
t_named() { two . '.cluster = "one"' '.cluster = "one"' && gone; }
t_paused() { # Nomad has not given it up, whatever its lease says
	node a; node b
	begin && life a start up rest && wait_for 30 'it runs' _leased a && ALLOC=$(alloc_of a) &&
		life b start up rest && wait_for 30 'the other runs' _leased b && signal_node a STOP &&
		nomad_says "$ALLOC" running run && stays && _asked_nomad && signal_node a CONT
}
t_alive() { # A lease that is renewed is enough, whatever Nomad says.
	node a; node b
	begin && life a start up rest && wait_for 30 'it runs' _leased a && ALLOC=$(alloc_of a) &&
		life b start up rest && wait_for 30 'the other runs' _leased b &&
		nomad_says "$ALLOC" lost stop && sleep $((LEASE + 2)) && stays && ! _asked_nomad
}
t_outage() { # What was not observed does not count.
	two && fault '{"method": "GET", "path": "tag.nomad_driver", "kind": "status", "status": 503, "count": 100000}' &&
		nomad_says "$ALLOC" lost stop && sleep $((LEASE + 3)) && no_faults && sleep 2 && is "$(of a)" 1 && gone
}
t_wiped() { # The same node with a new state: Nomad has the allocation's task start again.
	node a
	begin && lives a start up && rm -rf "$T/state-a" && lives a run=00112233 start up &&
		is "$(machines length)" 1 && is "$(machines '.[0].tags.nomad_task | split("/")[2]')" '"00112233"' &&
		is "$(control GET /state | jq '[.machines[] | select(.state == "deleted")] | length')" 1
}
t_wiped_lost() { # ... or gave it up.
	node a; node b
	begin && lives a start up && mv "$T/state-a" "$T/state-old" && ALLOC=$(machines '.[0].tags.nomad_alloc' |
		tr -d '"') && nomad_says "$ALLOC" failed run && life b start up rest &&
		wait_for 40 'only the new one is left' _only_b; _r=$?
	rm -rf "$T/state-old"; return $_r
}
_one_left() { [ "$(machines length)" = 1 ]; }
t_failed() { # Failed instances are in no list but one.
	two && control POST "/machine/$(of a '.[0].id' | tr -d '"')/failed" >/dev/null &&
		nomad_says "$ALLOC" failed run && gone
}
t_bare() { # A container that got no tags.
	[ -n "$ENGINE_SOCK" ] || { skip_this "$ENGINE_WHY"; return 0; }
	node a; node b
	begin && docker_config >"$T/config.json" &&
		fault "{\"api\": \"*\", \"method\": \"POST\", \"path\": \"/tags$\", \"kind\": \"kill\",
			\"when\": \"before\", \"pid_file\": \"$T/task-a/pid\"}"
	life a start; wait $!
	no_faults; is "$(machines '[.[] | select(.tags | has("nomad_owner") | not)] | length')" 1 &&
		ALLOC=$(machines '.[0].tags["docker:label:nomad.alloc"]' | tr -d '"') &&
			nomad_says "$ALLOC" lost stop &&
		cloud_config >"$T/config.json" && life b start up rest && wait_for 30 'the other node runs' _leased b &&
			wait_for 40 'only the machine is left' _only_b
}
# Tags can be changed by whoever may do nothing else with an instance.
t_claimed() {
	two && control POST "/machine/$(of a '.[0].id' | tr -d '"')/patch" '{"name": "database"}' >/dev/null &&
		nomad_says "$ALLOC" lost stop && stays && account &&
		file_has "$T/gc" 'keep database .*its name and tags do not say which task it is of'
}
t_control() {
	node b '.lease_timeout = 1'
	begin && control POST /populate '{"count": 1, "tags": {"nomad_driver": "triton", "nomad_task": "a/\u001b[2J/b",
		"nomad_alloc": "\u001b[2J", "nomad_node": "\u001b[31mx", "nomad_owner": "\r\u009b"}}' >/dev/null &&
		account && is "$(wc -l <"$T/gc")" 2 && ! LC_ALL=C grep -q "$(printf '[\001-\010\013-\037]')" "$T/gc"
}
_only_b() { _one_left && [ "$(of b)" = 1 ]; }
account() { "$DRIVER" gc --account "$@" --config "$T/b.json" >"$T/gc" 2>&1 || { cat "$T/gc"; return 1; }; }
t_account() {
	node a; node b '.lease_timeout = 1'
	begin && lives a start up && ALLOC=$(alloc_of a) && nomad_says "$ALLOC" running run &&
		account && file_has "$T/gc" 'keep job-group-task-.*running, desired status run' &&
		nomad_says "$ALLOC" lost stop && account --dry-run && file_has "$T/gc" 'would remove job-group-task-' &&
		file_has "$T/gc" '1 instances would be removed, 0 kept' && is "$(machines length)" 1 &&
		account && file_has "$T/gc" '^removed job-group-task-' && is "$(machines length)" 0
}
t_account_living() {
	node a; node b
	begin && life a start up rest && wait_for 30 'it runs' _leased a && nomad_says "$(alloc_of a)" lost stop &&
		account && file_has "$T/gc" 'keep .*lease renewed [0-9] s ago' && is "$(machines length)" 1
}
t_token() {
	printf 'secret-id\n' >"$T/token"
	two . . ".nomad_token_file = \"$T/token\"" && wait_for 30 'Nomad is asked' _asked_nomad &&
		is "$(control GET /requests | jq -r '[.[] | select(.api == "nomad")][0].auth')" secret-id &&
		! grep -r secret-id "$T/state-b" "$T/err-b" "$T/out-b"
}
t_tls() { # Nomad asks for a certificate
	node a; node b
	begin && lives a start up && nomad_says "$(alloc_of a)" running run &&
		jq --arg k "$KEYS" --arg n "https://127.0.0.1:$(jq -r .nomad "$T/standin/ports.json")" \
			'. + { nomad_address: $n, nomad_ca_file: "\($k)/ca.pem", nomad_cert_file: "\($k)/client.pem",
			nomad_key_file: "\($k)/client.key" }' "$T/b.json" >"$T/tls.json" &&
		mv "$T/tls.json" "$T/b.json" &&
		account && file_has "$T/gc" 'keep .*running, desired status run' &&
		jq 'del(.nomad_cert_file, .nomad_key_file)' "$T/b.json" >"$T/tls.json" &&
			mv "$T/tls.json" "$T/b.json" &&
		account && file_has "$T/gc" 'keep .*Nomad cannot be asked'
}
t_cheap() { # One request an interval renews all, and one reads the account.
	node b '.lease_timeout = 60'
	begin && life b crowd=20 start up rest && wait_for 30 'it runs' _leased b &&
		control POST /forget '{}' >/dev/null && sleep 5 &&
		[ "$(control GET /requests | jq '[.[] | select(.path | test("tags$"))] | length')" -le 1 ]
}

deal 'an instance of a lost node is removed, with its rule and its protection' t_lost
deal 'an instance that Nomad still wants stays' t_wanted
deal 'an instance stays if Nomad does not know it, or does not answer' t_unknown
deal 'an instance of another cluster stays, and Nomad is not asked' t_cluster
deal 'one that Nomad has forgotten is removed within a named cluster' t_named
deal 'the instance of a paused node stays' t_paused
deal 'the instance of a plugin that renews its lease stays' t_alive
deal 'an outage of the data centre is no silence of a node' t_outage
deal 'a start removes the earlier run of a plugin that lost its state' t_wiped
deal 'what a plugin without its state has forgotten is removed once Nomad gave it up' t_wiped_lost
deal 'a failed instance of a lost node is removed' t_failed
deal 'a container without tags of a lost node is removed' t_bare
deal 'an instance whose name and tags do not agree stays' t_claimed
deal 'gc --account shows no control characters' t_control
deal 'gc --account shows and removes what Nomad has given up' t_account
deal 'gc --account leaves alone what a living plugin has' t_account_living
deal 'the token of Nomad goes to Nomad only' t_token
deal 'a certificate opens a Nomad that asks for one' t_tls
deal 'the lease of a node costs one request an interval' t_cheap
end_nodes
all_dealt
