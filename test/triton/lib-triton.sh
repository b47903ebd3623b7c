# shellcheck shell=sh
# SPDX-License-Identifier: MPL-2.0
#
# test/triton/lib-triton.sh: what the tests of the Triton driver share.  To be
# sourced behind test/lib.sh, once the test's directory is there.
#
#   require_standin            python3 with cryptography, openssl, curl; or skip the file
#   make_keys                  key.pem (RSA) and key.pub, TLS authority and certificates in $T/keys
#   start_standin              the data centre in $T/standin; sets CLOUD_URL, CONTROL_URL, DOCKER_URL
#   start_engine               a real Docker Engine on $T/engine/sock with the image busybox:test;
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

require_standin() {
	requires openssl curl jq ssh-keygen
	[ -x "$STANDIN_PYTHON" ] || skip_all "no $STANDIN_PYTHON"
	"$STANDIN_PYTHON" -c 'import cryptography' 2>/dev/null || skip_all 'no cryptography for python3'
	unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy SSH_AUTH_SOCK
	export no_proxy='*' NO_PROXY='*'
	for _v in $(env | sed -n 's/^\(\(SDC\|TRITON\|DOCKER\)_[A-Z_]*\)=.*/\1/p'); do unset "$_v"; done

}

make_keys() {
	mkdir -p "$T/keys" && (
		cd "$T/keys" || exit 1
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
			openssl x509 -req -in $_c.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $_c.pem -days 30 -extfile ext
		done
		mkdir docker && cp ca.pem docker/ && cp client.pem docker/cert.pem && cp client.key docker/key.pem
	) >"$T/keys.log" 2>&1
}

start_standin() {
	_docker=null
	[ -z "${ENGINE_SOCK:-}" ] || _docker=$(jq -n --arg k "$T/keys" --arg s "$ENGINE_SOCK" \
		'{socket: $s, cert: "\($k)/server.pem", key: "\($k)/server.key", ca: "\($k)/ca.pem"}')
	mkdir -p "$T/standin"
	jq -n --arg k "$T/keys" --argjson docker "$_docker" '{ account: "acme",
		keys: ["rsa", "ed25519", "p256", "p384", "p521"] | map("\($k)/\(.).pub"),
		users: { deployer: ["\($k)/sub.pub"] },
		tls: { cert: "\($k)/server.pem", key: "\($k)/server.key" }, docker: $docker }' >"$T/standin/config.json"
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
	control GET /state | jq -e '([.machines[] | select(.state != "deleted")] | length == 0) and (.volumes | length == 0) and
		([.rules[] | select(.description | contains("[nomad-driver-triton"))] | length == 0)' >/dev/null
}
nothing_left() {
	wait_for "${1:-30}" 'nothing is left in the data centre' _clean || {
		control GET /state | jq -c '{machines: [.machines[] | select(.state != "deleted") | {name, state, deletion_protection}], rules, volumes}'
		[ ! -s "$T/err" ] || tail -n 5 "$T/err"
		return 1
	}
}

driver_config() {
	cat >"$T/plugin.json" <<-CONFIG
	{ "url": "$CLOUD_URL", "account": "acme", "ca_file": "$T/keys/ca.pem", "key_file": "$T/keys/rsa",
	  "docker_url": "$DOCKER_URL", "docker_cert_path": "$T/keys/docker", "poll_interval": 1,
	  "requests_per_second": 100, "request_timeout": 10, "state_dir": "$T/state" }
	CONFIG
	jq -r 'to_entries[] | "    \(.key) = \(.value | tojson)"' "$T/plugin.json" |
		{ printf 'plugin "nomad-driver-triton" {\n  config {\n'; cat; printf '  }\n}\n'; } >"$T/plugin.hcl"
}
cloud_config() {
	jq -n '{ api_type: "cloud_api", package: { name: "sample-128M" }, cloud_api: { image: { name: "one" } } }' | jq -c "${1:-.}"
}
docker_config() {
	jq -n '{ api_type: "docker_api", package: { name: "sample-128M" },
		docker_api: { image: { name: "busybox", tag: "test" }, cmd: ["sleep", "600"] } }' | jq -c "${1:-.}"
}

start_engine() {
	ENGINE_SOCK='' ENGINE_WHY=
	command -v dockerd >/dev/null || { ENGINE_WHY='no dockerd'; return 1; }
	command -v busybox >/dev/null || { ENGINE_WHY='no busybox'; return 1; }
	mkdir -p "$T/engine/data" "$T/engine/exec" "$T/engine/image/bin" "$T/engine/image/tmp"
	dockerd --data-root "$T/engine/data" --exec-root "$T/engine/exec" --pidfile "$T/engine/pid" \
		-H "unix://$T/engine/sock" --bridge=none --iptables=false --ip6tables=false --storage-driver=vfs \
		>"$T/engine/log" 2>&1 </dev/null &
	ENGINE_PID=$!
	cleanup "kill $ENGINE_PID; wait $ENGINE_PID"
	wait_for 60 'the engine is up' _engine_up >/dev/null || { ENGINE_WHY="dockerd does not start here: $(tail -n 1 "$T/engine/log")"; return 1; }
	cp "$(command -v busybox)" "$T/engine/image/bin/busybox"
	for _a in sh sleep echo cat env ls seq head tail stty wc true false id kill printf yes test; do ln -sf busybox "$T/engine/image/bin/$_a"; done
	tar -C "$T/engine/image" -c . | _engine -X POST --data-binary @- -H 'Content-Type: application/x-tar' \
		'http://d/v1.24/images/create?fromSrc=-&repo=busybox&tag=test' >/dev/null || { ENGINE_WHY='cannot import an image'; return 1; }
	ENGINE_SOCK=$T/engine/sock
}
_engine() { curl -sS -f -m 60 --unix-socket "$T/engine/sock" "$@"; }
_engine_up() { _engine http://d/_ping 2>/dev/null | grep -q OK; }
# All containers, running or not.
containers() { _engine 'http://d/v1.24/containers/json?all=1' | jq -c "${1:-.}"; }
