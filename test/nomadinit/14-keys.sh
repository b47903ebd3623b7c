#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# nomadinit-keys under PID 1 in namespaces: the keys of a cluster from the secret in the configuration.
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

check "no process is left" fails pgrep -f "$root"
check "the sanitizers have nothing to say" fails grep -h -A 20 -E 'ERROR: AddressSanitizer|runtime error' \
	"$T"/console.*
done_testing
