# shellcheck shell=sh
# SPDX-License-Identifier: MPL-2.0
#
# test/triton/lib-triton.sh: what the tests of the Triton driver share.  To be
# sourced behind test/lib.sh, once the test's directory is there.
#
#   require_standin            python3 with cryptography, openssl, curl; or skip the file
#   make_keys                  keys of all kinds, TLS authority and certificates, in $KEYS
#   shards N                   deal the script's tests out to N processes that run at the same
#                              time, each with a directory and a data centre of its own; the
#                              keys and the engine, if made before, are common.  Tests are then
#                              run by `deal`.  ONLY=PATTERN runs those that match, in one process
#   deal WHAT FUNCTION...      run_test, if it is this process's turn
#   start_standin              the data centre in $T/standin; sets CLOUD_URL, CONTROL_URL, DOCKER_URL
#   start_site                 that, or the end of the script; and the plugin's block for it
#   require_steps              $STEPS, the program that dies where it is told; or skip the file
#   start_engine_if_root       start_engine where it can be; else $ENGINE_WHY says so
#   run CONFIG [PLUGIN_CONFIG] / up / stop / finish   one task by the driver's own command line: in the background
#                              ($RUN_PID, output in $T/out and $T/err), until it has an address,
#                              SIGTERM and its end, its end ($STATUS)
#   start_engine               a real Docker Engine on $ENGINE_SOCK with the image busybox:test;
#                              1 and $ENGINE_WHY if it does not start here
#   control METHOD PATH [BODY] the stand-in's control
#   fault JSON                 one fault
#   machines [JQ]              live instances, as JSON, with a filter
#   driver ARG...              the driver's command line with the account in its environment
#   cloud_config [JQ]          a task config of api_type cloud_api, changed by a jq filter
#   docker_config [JQ]         the same of docker_api
#   driver_config              writes the plugin's block (HCL) to $T/plugin.hcl

STANDIN_PYTHON=${STANDIN_PYTHON:-/usr/bin/python3}
DRIVER=${DRIVER:-$BUILD/plugins/nomad-driver-triton}
KEYS=${KEYS:-$T/keys}

require_standin() {
	requires openssl curl jq ssh-keygen
	[ -x "$STANDIN_PYTHON" ] || skip_all "no $STANDIN_PYTHON"
	"$STANDIN_PYTHON" -c 'import cryptography' 2>/dev/null || skip_all 'no cryptography for python3'
	unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy SSH_AUTH_SOCK
	export no_proxy='*' NO_PROXY='*'
	for _v in $(env | sed -n 's/^\(\(SDC\|TRITON\|DOCKER\)_[A-Z_]*\)=.*/\1/p'); do unset "$_v"; done
}

require_steps() {
	STEPS=$PWD/$BUILD/test/triton-steps
	[ -x "$STEPS" ] || skip_all "$STEPS is not built"
}
start_engine_if_root() {
	if [ "$(id -u)" -eq 0 ]; then start_engine; else ENGINE_WHY='not root'; fi
}
start_site() {
	start_standin || { cat "$T/standin/log" "$T/keys.log"; exit 1; }
	driver_config
}

make_keys() {
	[ ! -s "$KEYS/docker/key.pem" ] || return 0
	mkdir -p "$KEYS" && (
		cd "$KEYS" || exit 1
		ssh-keygen -q -t rsa -b 2048 -m PEM -N '' -C main -f rsa
		ssh-keygen -q -t ed25519 -N '' -C ed -f ed25519
		ssh-keygen -q -t ecdsa -b 256 -N '' -C p256 -f p256
		ssh-keygen -q -t ecdsa -b 384 -N '' -C p384 -f p384
		ssh-keygen -q -t ecdsa -b 521 -N '' -C p521 -f p521
		ssh-keygen -q -t ed25519 -N '' -C stranger -f stranger
		ssh-keygen -q -t ed25519 -N '' -C sub -f sub
		openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=test-ca
		printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\n' >ext
		for _c in server client; do
			openssl req -newkey rsa:2048 -nodes -keyout $_c.key -out $_c.csr -subj /CN=acme
			openssl x509 -req -in $_c.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $_c.pem -days 30 \
				-extfile ext
		done
		mkdir docker && cp ca.pem docker/ && cp client.pem docker/cert.pem && cp client.key docker/key.pem
	) >"$T/keys.log" 2>&1
}

shards() {
	[ -z "${SHARD:-}" ] && [ -z "${ONLY:-}" ] || return 0
	SHARDS=$1 _pids='' _i=0
	export SHARDS KEYS ENGINE_SOCK ENGINE_WHY
	while [ $_i -lt "$SHARDS" ]; do
		SHARD=$_i "$0" >"$T/shard-$_i" 2>&1 </dev/null &
		_pids="$_pids $!" _i=$((_i + 1))
	done
	cleanup "kill $_pids"
	# shellcheck disable=SC2086
	wait $_pids
	# Each tells how many tests there are: none may be lost with its process.
	cat "$T"/shard-* | awk '/^(not )?ok / { n++; sub(/ok [0-9]+/, "ok " n); bad += /^not/ }
		/^# of [0-9]+ tests$/ { told++; if (all && all != $3) bad++; all = $3; next } !/^1\.\./ { print }
		END { if (n != all || told != '"$SHARDS"')
			print "not ok " ++n " - each of " all + 0 \
			" tests has run, in " told + 0 " processes"
			print "1.." n; exit bad || n != all || told != '"$SHARDS"' }'
	exit
}
_dealt=0
deal() {
	_dealt=$((_dealt + 1))
	[ -z "${SHARD:-}" ] || [ $((_dealt % SHARDS)) -eq "$SHARD" ] || return 0
	case $1 in *${ONLY:-}*) run_test "$@" ;; esac
}
all_dealt() {
	[ -z "${SHARD:-}" ] || echo "# of $_dealt tests"
	done_testing
}

start_standin() {
	_docker=null
	[ -z "${ENGINE_SOCK:-}" ] || _docker=$(jq -n --arg k "$KEYS" --arg s "$ENGINE_SOCK" \
		'{socket: $s, cert: "\($k)/server.pem", key: "\($k)/server.key", ca: "\($k)/ca.pem"}')
	mkdir -p "$T/standin"
	jq -n --arg k "$KEYS" --argjson docker "$_docker" -f test/triton/standin.jq >"$T/standin/config.json"
	rm -f "$T/standin/ports.json"
	# Its input is held open by this shell: it ends with it.
	mkfifo "$T/standin/stdin" 2>/dev/null
	PYTHONDONTWRITEBYTECODE=1 "$STANDIN_PYTHON" test/triton/standin/standin.py "$T/standin" \
		<>"$T/standin/stdin" >"$T/standin/log" 2>&1 &
	STANDIN_PID=$!
	cleanup "kill $STANDIN_PID"
	wait_for 30 'the stand-in is up' test -s "$T/standin/ports.json" || { cat "$T/standin/log"; return 1; }
	CLOUD_URL=https://127.0.0.1:$(jq -r .cloudapi "$T/standin/ports.json")
	CONTROL_URL=http://127.0.0.1:$(jq -r .control "$T/standin/ports.json")
	DOCKER_URL=tcp://127.0.0.1:$(jq -r '.docker // 1' "$T/standin/ports.json")
	TASK_N=0
}

control() {
	if [ -n "${3:-}" ]; then curl -sS -m 30 -f -X "$1" --data-binary "$3" "$CONTROL_URL$2"
	else curl -sS -m 30 -f -X "$1" "$CONTROL_URL$2"; fi
}
fault() { control POST /faults "[$1]" >/dev/null; }
no_faults() { control POST /faults '[]' >/dev/null; }
machines() { control GET /state | jq -c "[.machines[] | select(.state != \"deleted\")] | ${1:-.}"; }
rules() { control GET /state | jq -c ".rules | ${1:-.}"; }
# Nothing is left in the data centre: no live instance, volume or rule of ours.
_clean() {
	control GET /state | jq -e '[.machines[] | select(.state != "deleted")] + .volumes +
		[.rules[] | select(.description | contains("[nomad-driver-triton"))] | length == 0' >/dev/null
}
nothing_left() {
	wait_for "${1:-30}" 'nothing is left in the data centre' _clean || {
		control GET /state | jq -c '{machines: [.machines[] | select(.state != "deleted") | {name, state,
			deletion_protection}], rules, volumes}'
		[ ! -s "$T/err" ] || tail -n 5 "$T/err"
		return 1
	}
}

run() {
	job_json "${JOB_NAME:-web}" triton "$1" >"$T/job.json"
	# Emptied here and not by the redirection, which happens when the new process gets to it: `up` must not see what
	# the last
	# task said.
	: >"$T/out"; : >"$T/err"
	"$DRIVER" run --config "${2:-$T/plugin.json}" "$T/job.json" >"$T/out" 2>"$T/err" </dev/null &
	RUN_PID=$!
}
finish() {
	wait_for "${1:-120}" 'the task has ended' pid_gone "$RUN_PID" || { cat "$T/err"; kill -9 "$RUN_PID"; return 1; }
	wait "$RUN_PID"
	STATUS=$?
	RUN_PID=	# the number may soon be somebody else's
}
_is_up() { grep -q '^address:' "$T/err" || pid_gone "$RUN_PID"; }
up() { wait_for 120 'the task is up' _is_up && grep -q '^address:' "$T/err" ||
	{ echo 'the task did not come up:'; cat "$T/err"; return 1; }; }
stop() { kill -TERM "$RUN_PID"; finish; }
# A task that a failed test has left.
end_last() { [ -z "${RUN_PID:-}" ] || { kill -9 "$RUN_PID"; wait "$RUN_PID"; RUN_PID=; } 2>/dev/null; }

driver_config() {
	cat >"$T/plugin.json" <<-CONFIG
	{ "url": "$CLOUD_URL", "account": "acme", "ca_file": "$KEYS/ca.pem", "key_file": "$KEYS/rsa",
	  "docker_url": "$DOCKER_URL", "docker_cert_path": "$KEYS/docker", "poll_interval": 1,
	  "requests_per_second": 100, "request_timeout": 10, "state_dir": "$T/state" }
	CONFIG
	jq -r 'to_entries[] | "    \(.key) = \(.value | tojson)"' "$T/plugin.json" |
		{ printf 'plugin "nomad-driver-triton" {\n  config {\n'; cat; printf '  }\n}\n'; } >"$T/plugin.hcl"
}
cloud_config() {
	jq -n '{ api_type: "cloud_api", package: { name: "sample-128M" }, cloud_api: { image: { name: "one" } } }' |
		jq -c "${1:-.}"
}
docker_config() {
	jq -n '{ api_type: "docker_api", package: { name: "sample-128M" },
		docker_api: { image: { name: "busybox", tag: "test" }, cmd: ["sleep", "600"] } }' | jq -c "${1:-.}"
}

start_engine() {
	[ -z "${ENGINE_SOCK:-}" ] || return 0
	_start_engine || { ENGINE_SOCK=; return 1; }
}
_start_engine() {
	ENGINE_SOCK=$T/engine/sock ENGINE_WHY=
	command -v dockerd >/dev/null || { ENGINE_WHY='no dockerd'; return 1; }
	command -v busybox >/dev/null || { ENGINE_WHY='no busybox'; return 1; }
	mkdir -p "$T/engine/data" "$T/engine/exec" "$T/engine/image/bin" "$T/engine/image/tmp"
	dockerd --data-root "$T/engine/data" --exec-root "$T/engine/exec" --pidfile "$T/engine/pid" \
		-H "unix://$ENGINE_SOCK" --bridge=none --iptables=false --ip6tables=false --storage-driver=vfs \
		>"$T/engine/log" 2>&1 </dev/null &
	ENGINE_PID=$!
	cleanup "kill $ENGINE_PID; wait $ENGINE_PID"
	wait_for 60 'the engine is up' _engine_up >/dev/null ||
		{ ENGINE_WHY="dockerd does not start here: $(tail -n 1 "$T/engine/log")"; return 1; }
	cp "$(command -v busybox)" "$T/engine/image/bin/busybox"
	for _a in sh sleep echo cat env ls seq head tail stty wc true false id kill printf yes test; do ln -sf busybox \
		"$T/engine/image/bin/$_a"; done
	tar -C "$T/engine/image" -c . | _engine -X POST --data-binary @- -H 'Content-Type: application/x-tar' \
		'http://d/v1.24/images/create?fromSrc=-&repo=busybox&tag=test' >/dev/null ||
		{ ENGINE_WHY='cannot import an image'; return 1; }
}
_engine() { curl -sS -f -m 60 --unix-socket "$ENGINE_SOCK" "$@"; }
_engine_up() { _engine http://d/_ping 2>/dev/null | grep -q OK; }
# All containers of this data centre, running or not.
containers() { _engine 'http://d/v1.24/containers/json?all=1' |
	jq -c "[.[] | select(.Labels.standin == \"$T/standin\")] | ${1:-.}"; }

# ---- Under an agent ----

# agent_setup: keys, the engine if there can be one, the data centre, the plugin in $T/plugins
agent_setup() {
	require_standin
	requires_root
	require_nomad
	[ -z "$_skip_all" ] || skip_all "$_skip_all"
	make_keys
	ENGINE=yes
	start_engine || ENGINE=
	start_site
	mkdir -p "$T/plugins" && cp "$DRIVER" "$T/plugins/"
}
needs_engine() { [ -n "$ENGINE" ] || { skip_this "$ENGINE_WHY"; return 1; }; }
# group_json ID TASK=CONFIG_JSON...: a service job with these tasks, each with a service ID-TASK at the address of its
# instance
group_json() {
	_id=$1; shift
	for _t in "$@"; do jq -n --arg name "${_t%%=*}" --argjson config "${_t#*=}" '{ $name, $config }'; done |
		jq -s --arg id "$_id" -f test/triton/group.jq
}
sh_config() { docker_config ".docker_api.cmd = [\"sh\", \"-c\", $(printf %s "$1" | jq -Rs .)] | ${2:-.}"; }
counting='i=0; while :; do echo line $i; i=$((i + 1)); sleep 0.1; done'
plugin() { plugin_pid nomad-driver-triton; }
ids() { machines '[.[].id] | sort'; }
no_gap() { # the lines of a counting task's log follow each other
	alloc_logs "$1" "$2" | awk '{ if ($1 != "line" || $2 != NR - 1) { print "line " NR " is: " $0; bad = 1;
		exit } } END { exit bad || NR < 5 }'
}
_logs_grow() { [ "$(alloc_logs "$1" "$2" | wc -l)" -gt "$3" ]; }
t_start() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver triton; }
_all_running() { [ "$(api GET "/v1/allocation/$1" | jq '[.TaskStates[] | select(.State == "running")] | length')" = \
	"$2" ]; }
_new_plugin() { _p=$(plugin); [ -n "$_p" ] && [ "$_p" != "$1" ]; }
# is_at SERVICE PATTERN: where Nomad says that a service is
is_at() { api GET "/v1/service/$1" | jq -e --arg p "$2" 'length == 1 and (.[0].Address | test($p))' >/dev/null 2>&1; }
_no_plugin() { [ -z "$(plugin)" ]; }
t_end() { stop_agent && wait_for 20 'the plugin has ended' _no_plugin; }
