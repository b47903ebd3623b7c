#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# nomadinit-keys under PID 1 in namespaces: the keys of a cluster from the secret in the configuration, and a sealed
# image that takes signed configurations only.
. test/nomadinit/lib.sh
requires openssl jq
. test/nomadinit/pid1.sh
[ -x "$keys_program" ] || skip_all "no nomadinit-keys (package libmbedtls-dev)"

# ---- Keys of a cluster ---------------------------------------------------------------------
secret=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY
node="{\"nomadinit\": {$quick, \"cluster\": {\"secret\": \"$secret\"}}, \"region\": \"eu\""
in_root() { inside /bin/cat "$1"; }
mode_of() { inside /bin/busybox stat -c %a "$1"; }
echo '{"server": {"ok": true}}' >"$root/state/answer.json"
start "$node, \"server\": {\"enabled\": true}}" NOMADINIT_CMDLINE=nomadinit.set.nomadinit.cluster.secret=other
check "the agent starts" ready
check "a secret in the kernel's arguments does not count" console_has 'a secret is not taken from there'
for name in ca cert key; do in_root "/run/nomad/tls/$name.pem" >"$T/$name.pem"; done
check "the CA signed the node's certificate" openssl verify -CAfile "$T/ca.pem" "$T/cert.pem"
check "which is a server's, in this region" prints 'DNS:server.eu.nomad' openssl x509 -in "$T/cert.pem" -noout -ext \
	subjectAltName
check "and belongs to the key" is "$(openssl pkey -in "$T/key.pem" -pubout)" "$(openssl x509 -in "$T/cert.pem" \
	-pubkey -noout)"
for file in key.pem acl-token; do check "only root reads $file" prints '^600$' mode_of "/run/nomad/tls/$file"; done
check "the file of the secret is gone" fails inside /bin/busybox test -e /run/nomad/cluster-secret
in_root /run/nomad/agent.json >"$T/agent.json"
check "the agent uses them" jq -e '.acl.enabled and .tls.http and .tls.rpc and .tls.verify_https_client and
	.tls.cert_file == "/run/nomad/tls/cert.pem"' "$T/agent.json"
check "the gossip key is where Nomad keeps it" jq -e '.[0] | length == 44' "$root/state/nomad/server/serf.keyring"
check "the first ACL token is asked for" says 'bootstrap the ACLs: {}'
token=$(in_root /run/nomad/tls/acl-token)
check "with the token that derives from the secret" grep -qF "/v1/acl/bootstrap  {\"BootstrapSecret\":\"$token\"}" \
	"$root/state/put"
check "not healthy before it is made" console_lacks 'the agent is healthy'
printf 'ACL bootstrap already done (reset index: 8)' >"$root/state/put-answer"
check "healthy when another server made it" says 'the agent is healthy'
gossip=$(jq -r '.[0]' "$root/state/nomad/server/serf.keyring")
check "no secret is in a log" fails grep -F -e "$secret" -e "$token" -e "$gossip" "$console" "$root/state/log/log"
kill -HUP "$inner"
is_renewed() { [ "$(in_root /run/nomad/tls/cert.pem)" != "$(cat "$T/cert.pem")" ]; }
check "SIGHUP makes a new certificate" soon 20 is_renewed
check "of the same CA" is "$(in_root /run/nomad/tls/ca.pem)" "$(cat "$T/ca.pem")"
stop
echo '["of an operator"]' >"$root/state/nomad/server/serf.keyring"
start "$node, \"client\": {\"enabled\": true}, \"tls\": {\"verify_https_client\": false}}"
check "a client starts" ready
check "its CA is the same" is "$(in_root /run/nomad/tls/ca.pem)" "$(cat "$T/ca.pem")"
in_root /run/nomad/tls/cert.pem >"$T/cert.pem"
check "its certificate is a client's" prints 'DNS:client.eu.nomad' openssl x509 -in "$T/cert.pem" -noout -ext \
	subjectAltName
check "it has no management token" fails inside /bin/busybox test -e /run/nomad/tls/acl-token
in_root /run/nomad/agent.json >"$T/agent.json"
check "what the user sets stays" jq -e '.tls.verify_https_client == false and .tls.rpc' "$T/agent.json"
stop
start "$node, \"server\": {\"enabled\": true}}"
ready
check "gossip keys that are there stay" grep -q 'of an operator' "$root/state/nomad/server/serf.keyring"
stop
mv "$root/sbin/nomadinit-keys" "$T/"
start "$node, \"server\": {\"enabled\": true}}"
check "without the program it says so" says 'not in the image, which was built without mbed TLS; trying again'
check "and the agent does not start" console_lacks 'starting the agent'
mv "$T/nomadinit-keys" "$root/sbin/"
check "until it can" ready 30
stop
start '{"nomadinit": {"cluster": {"secret": "too short"}}}'
check "a short secret is refused" says 'cluster.secret has less than 32 characters'
check "without being shown" console_lacks 'too short'
stop
start '{"nomadinit": {"cluster": {"secret" "a secret of 32 characters or more"}}}'
check "a mistake beside it is named" says "init.json' line 1 column"
check "without the secret" console_lacks 'a secret of'
stop

# ---- Signed configurations --------------------------------------------------------------------
printf '{"region": "mars"}\n' >"$T/body"
openssl ecparam -name prime256v1 -genkey -noout -out "$T/config.key"
openssl genrsa -out "$T/rsa.key" 2048 2>/dev/null
# signed KEY: the user-data that its owner makes, as the manual says
signed() {
	printf '#nomadinit signature=%s\n' "$(openssl dgst -sha256 -sign "$1" "$T/body" | base64 -w 0)"
	cat "$T/body"
}
# sealed USER_DATA_FILE: a sealed image at a cloud that is silent; what it said at an earlier boot is outside, too
sealed() {
	mkdir -p "$root/state/nomadinit"
	jq -n --rawfile text "$1" '{provider: "triton", instance_id: "i-1", user_data: $text}' \
		>"$root/state/nomadinit/cloud.json"
	start "{\"nomadinit\": {$quick, \"cloud\": {\"provider\": \"triton\", \"wait_seconds\": 1}}}" \
		NOMADINIT_CMDLINE=nomadinit.sealed
	check "$2: the agent starts" ready 60
	in_root /run/nomad/agent.json >"$T/agent.json"
	stop
}
# refused WHAT WHY
refused() {
	sealed "$T/user-data" "$1"
	check "$1: it is refused, and why" console_has "user-data of 'triton': refused: $2"
	check "$1: nothing of it counts" jq -e '.region == null' "$T/agent.json"
}
taken() {
	sealed "$T/user-data" "$1"
	check "$1: it is taken" console_has "user-data of 'triton', signature verified"
	check "$1: it counts" jq -e '.region == "mars"' "$T/agent.json"
}
signed "$T/config.key" >"$T/user-data"
refused "an image without a key" 'the image has no key for configurations'
{
	openssl pkey -in "$T/rsa.key" -pubout
	openssl pkey -in "$T/config.key" -pubout
} >"$root/etc/nomadinit/config.pub"
taken "signed by an EC key"
signed "$T/rsa.key" >"$T/user-data"
taken "signed by an RSA key"
sed -i 's/mars/venus/' "$T/user-data"
refused "changed after it was signed" "none of the image's keys made its signature, or it was changed"
cp "$T/body" "$T/user-data"
refused "not signed" 'it is not signed; its first line must be #nomadinit signature=BASE64'
signed "$T/config.key" >"$T/user-data"
check "check: a signed one is read on a workstation" prints 'init.json' "$init" check "$T/user-data"
printf '#nomadinit\n' | cat - "$T/body" >"$T/with-line"
check "check: as one without a signature is" prints 'init.json' "$init" check "$T/with-line"

check "no process is left" fails pgrep -f "$root"
check "the sanitizers have nothing to say" fails grep -h -A 20 -E 'ERROR: AddressSanitizer|runtime error' \
	"$T"/console.*
done_testing
