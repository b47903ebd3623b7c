#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A machine's life against the stand-in, by the driver's own command line: keys,
# the requests that options make, ends, rules, volumes, and what is left.
. test/lib.sh
. test/triton/lib-triton.sh
require_standin
make_keys
shards 8
start_site

id_of() { machines '.[0].id' | tr -d '"'; }
whole() { run "$1" && up && machines '.[0]' >"$T/machine" && stop && nothing_left; }
has() { jq -e "$1" "$T/machine" >/dev/null || { echo "no $1 in:"; cat "$T/machine"; return 1; }; }
body() { control GET /requests | jq -r '[.[] | select(.method == "POST" and (.path | endswith("/machines")))] | last |
	.body'; }
refused() { run "$1"; finish && [ $STATUS -ne 0 ] && file_has "$T/err" "$2" && nothing_left; }

# ---- Keys ----

health() { "$DRIVER" doctor --config "$1" >"$T/doctor" 2>&1; }
with_config() { jq "$1" "$T/plugin.json" >"$T/other.json"; }
t_key() { with_config ".key_file = \"$KEYS/$1\"" && health "$T/other.json" || { cat "$T/doctor"; return 1; }; }
t_key_forms() {
	openssl pkcs8 -topk8 -nocrypt -in "$KEYS/rsa" -out "$KEYS/rsa8" && t_key rsa8 &&
	ssh-keygen -q -p -N '' -P '' -f "$KEYS/rsa8" >/dev/null && t_key rsa8 &&
	head -n 1 "$KEYS/rsa8" | grep -q OPENSSH &&
	cp "$KEYS/p256" "$KEYS/p256pem" && ssh-keygen -q -p -m PEM -N '' -P '' -f "$KEYS/p256pem" >/dev/null &&
	t_key p256pem
}
t_key_text() {
	jq --rawfile k "$KEYS/rsa" 'del(.key_file) | .key_material = $k' "$T/plugin.json" >"$T/other.json" &&
		health "$T/other.json" &&
	with_config 'del(.key_file)' && SDC_KEY_MATERIAL=$(cat "$KEYS/rsa") health "$T/other.json" ||
	{ cat "$T/doctor"; return 1; }
}
t_key_encrypted() {
	echo 'open sesame' >"$KEYS/passphrase" &&
	openssl pkcs8 -topk8 -v2 aes-256-cbc -passout "file:$KEYS/passphrase" -in "$KEYS/rsa" -out "$KEYS/encrypted" &&
	with_config ".key_file = \"$KEYS/encrypted\" | .key_passphrase_file = \"$KEYS/passphrase\"" &&
		health "$T/other.json" || { cat "$T/doctor"; return 1; }
	with_config ".key_file = \"$KEYS/encrypted\"" && ! health "$T/other.json" &&
		file_has "$T/doctor" 'it is encrypted; set key_passphrase_file'
}
t_fingerprints() {
	for _kind in md5 sha256; do
		_fp=$(ssh-keygen -l -E $_kind -f "$KEYS/rsa.pub" | cut -d' ' -f2)
		with_config ".key_id = \"$_fp\"" && health "$T/other.json" || { cat "$T/doctor"; return 1; }
	done
	case $_fp in *A) _fp=${_fp%?}E ;; *) _fp=${_fp%?}A ;; esac
	with_config ".key_id = \"$_fp\"" && ! health "$T/other.json" && file_has "$T/doctor" 'not the key of key_id'
}
t_agent() {
	eval "$(ssh-agent -s -a "$T/agent")" >/dev/null
	cleanup "kill $SSH_AGENT_PID"
	ssh-add -q "$KEYS/rsa" "$KEYS/ed25519" "$KEYS/p256" "$KEYS/p384" "$KEYS/p521" 2>/dev/null
	unset SSH_AUTH_SOCK
	for _key in rsa ed25519 p256 p521; do
		_fp=$(ssh-keygen -l -f "$KEYS/$_key.pub" | cut -d' ' -f2)
		with_config "del(.key_file) | .key_id = \"$_fp\" | .ssh_auth_sock = \"$T/agent\"" &&
			health "$T/other.json" ||
			{ echo $_key; cat "$T/doctor"; return 1; }
	done
	_fp=$(ssh-keygen -l -f "$KEYS/p384.pub" | cut -d' ' -f2)
	with_config "del(.key_file) | .key_id = \"$_fp\" | .ssh_auth_sock = \"$T/agent\"" && ! health "$T/other.json" &&
		file_has "$T/doctor" 'P-384' || return 1
	_fp=$(ssh-keygen -l -f "$KEYS/stranger.pub" | cut -d' ' -f2)
	with_config "del(.key_file) | .key_id = \"$_fp\" | .ssh_auth_sock = \"$T/agent\"" && ! health "$T/other.json" &&
		file_has "$T/doctor" 'ssh-add'
}
keys_are() { control POST /keys "$(printf '%s\n' "$@" | jq -R "\"$KEYS/\(.).pub\"" | jq -s .)" >/dev/null; }
t_new_key() { # a plugin that runs signs with the new one
	cp "$KEYS/ed25519" "$T/key" && jq ".key_file = \"$T/key\"" "$T/plugin.json" >"$T/p.json" &&
		cp "$T/plugin.json" "$T/rsa.json" && mv "$T/p.json" "$T/plugin.json"
	run "$(cloud_config)" && up && cp "$KEYS/stranger" "$T/key" && keys_are stranger &&
		sleep 2 && stop && is "$STATUS" 0; _r=$?
	mv "$T/rsa.json" "$T/plugin.json"; keys_are rsa ed25519 p256 p384 p521
	[ $_r -eq 0 ] && nothing_left
}
t_env() {
	with_config 'del(.url, .account, .key_file, .ca_file)'
	! health "$T/other.json" && file_has "$T/doctor" 'TRITON_URL' &&
	SDC_URL=$CLOUD_URL SDC_ACCOUNT=acme SDC_KEY_MATERIAL=$KEYS/ed25519 SDC_TESTING=true health "$T/other.json" ||
	{ cat "$T/doctor"; return 1; }
	# A variable of the other prefix wins, and 0 is no yes.
	! TRITON_INSECURE=0 SDC_URL=$CLOUD_URL SDC_ACCOUNT=acme SDC_KEY_MATERIAL=$KEYS/ed25519 health "$T/other.json" &&
		file_has "$T/doctor" 'set ca_file if the certificate'
}
t_subuser() { with_config ".user = \"deployer\" | .key_file = \"$KEYS/sub\"" && health "$T/other.json" ||
	{ cat "$T/doctor"; return 1; }; }
t_roles() {
	with_config '.as_roles = ["deploy", "read"] | .role_tags = ["read", "ops"] | .act_as = "customer"' &&
		health "$T/other.json" && control POST /forget '{}' >/dev/null &&
			run "$(cloud_config)" "$T/other.json" && up &&
		stop && control GET /requests >"$T/requests" &&
		jq -e '[.[] | select(.api == "cloudapi") | .path | test("^/customer[/?].*as-role=deploy%2Cread$")] | all' \
			"$T/requests" >/dev/null &&
		jq -e '[.[] | select(.method == "POST" and .auth == "read,ops")] | length == 1' "$T/requests" >/dev/null &&
		with_config '.as_roles = ["other"]' && ! health "$T/other.json"
}
t_profile() {
	mkdir -p "$T/home/.triton/profiles.d" &&
		jq -n --arg u "$CLOUD_URL" --arg k "$(ssh-keygen -lf "$KEYS/rsa.pub" | cut -d' ' -f2)" \
			'{url: $u, account: "acme",
			keyId: $k, insecure: true}' >"$T/home/.triton/profiles.d/dc.json" &&
		with_config 'del(.url, .account, .ca_file) | .profile = "dc"' &&
		HOME=$T/home SDC_ACCOUNT=other health "$T/other.json" &&
		with_config "del(.url, .account, .ca_file) | .profile = \"$T/home/.triton/profiles.d/dc.json\"" &&
		health "$T/other.json" || { cat "$T/doctor"; return 1; }
	with_config 'del(.url, .account) | .profile = "none"' && ! HOME=$T/home health "$T/other.json" &&
		file_has "$T/doctor" "read the profile '.*none.json'" &&
	echo '{"url": "https://x"}' >"$T/home/.triton/profiles.d/half.json" && with_config '.profile = "half"' &&
		! HOME=$T/home health "$T/other.json" && file_has "$T/doctor" 'account or keyId is missing'
}
t_unhealthy() {
	with_config ".key_file = \"$KEYS/stranger\"" && ! health "$T/other.json" &&
		file_has "$T/doctor" 'InvalidCredentials' &&
	with_config '.url = "https://127.0.0.1:1"' && ! health "$T/other.json" && file_has "$T/doctor" 'unhealthy' &&
	with_config '.key_file = "/nonexistent"' && ! health "$T/other.json" && file_has "$T/doctor" 'no such file' &&
	openssl genrsa -aes128 -passout pass:secret -out "$KEYS/locked" 2>/dev/null &&
	with_config ".key_file = \"$KEYS/locked\"" && ! health "$T/other.json" && file_has "$T/doctor" 'encrypted' &&
	with_config 'del(.key_file)' && ! health "$T/other.json" && file_has "$T/doctor" 'no key to sign with'
}
t_skew() {
	control POST /set '{"skew": 1000}' >/dev/null
	! health "$T/plugin.json"; _r=$?
	control POST /set '{"skew": 0}' >/dev/null
	[ $_r -eq 0 ] && file_has "$T/doctor" 'clock of this host is (99[0-9]|100[0-9]) s behind'
}

deal 'an RSA key signs' t_key rsa
deal 'an Ed25519 key signs' t_key ed25519
deal 'keys of P-256, P-384 and P-521 sign' eval 't_key p256 && t_key p384 && t_key p521'
deal 'PKCS#8, SEC 1 and OpenSSH forms are read' t_key_forms
deal 'the text of a key in place of its file' t_key_text
deal 'an encrypted key and the file of its passphrase' t_key_encrypted
deal 'MD5 and SHA256 fingerprints name a key' t_fingerprints
deal 'an ssh-agent signs; what it cannot is explained' t_agent
deal 'a key that was replaced is read again when it is refused' t_new_key
deal 'the environment configures: SDC_, TRITON_, booleans as booleans' t_env
deal 'a sub-user signs' t_subuser
deal 'act_as, as_roles and role_tags are in the requests' t_roles
deal 'a profile of the triton command configures' t_profile
deal 'what makes it unhealthy is said' t_unhealthy
deal 'a clock that is off is explained' t_skew

# ---- A life, and what options ask for ----

t_life() {
	whole "$(cloud_config)" && like "$(cat "$T/err")" 'address: 10\.88\.' &&
		has '.name | test("^web-group-task-[0-9a-f]{8}-[0-9a-f]{8}$")' &&
	has '.tags.nomad_driver == "triton" and (.tags.nomad_task | test("/task/")) and (.tags | has("nomad_alloc"))' &&
	has '.firewall_enabled == false and .deletion_protection == false' &&
	has '.metadata["env-vars"] | fromjson | .NOMAD_TASK_NAME == "task"'
}
t_options() {
	whole "$(cloud_config '.tags = {role: "web", "triton.cns.disable": "false"} | .metadata = {colour: "a%sb"} |
		.affinity = ["instance!=foo*"] |
		.cns = ["web:80", "api"] | .fwenabled = true | .cloud_api.user_data = "ud" |
		.cloud_api.user_script = "us" |
		.cloud_api.cloud_config = "#cloud-config" | .package = {name: "two", version: "2.0.0"} |
		.cloud_api.image = {name: "base-64", most_recent: true} | .deletion_protection = true |
		.cloud_api.networks = [{name: "My-Fabric-Network"}, {name: "external"}]')" &&
	has '.tags.role == "web" and .tags["triton.cns.disable"] == false and .tags["triton.cns.services"] == "web:80,api"' &&
	has '.metadata.colour == "a%sb" and .metadata["user-data"] == "ud" and .metadata["user-script"] == "us"' &&
	has '.metadata["cloud-init:user-data"] == "#cloud-config" and (.metadata | has("cloud-config") | not)' &&
	has '.affinity == ["instance!=foo*"] and .firewall_enabled and .deletion_protection and .package == "two"' &&
	[ "$(body | jq -c '.networks | length')" = 2 ] &&
	is "$(body | jq -r .image)" "$(python_uuid image-base-2)" &&
	is "$(body | jq -r .package)" "$(python_uuid package-two-2)" &&
	is "$(body | jq -r '.networks[0].ipv4_uuid')" "$(python_uuid network-fabric)" &&
	is "$(body | jq -r '.networks[1].ipv4_uuid')" "$(python_uuid network-public)"
}
python_uuid() { "$STANDIN_PYTHON" -c 'import sys, uuid; print(uuid.uuid5(uuid.NAMESPACE_DNS, sys.argv[1]))' "$1"; }
t_uuids() {
	whole "$(cloud_config ".package = {uuid: \"$(python_uuid package-sample-1G)\"} |
		.cloud_api.image = {uuid: \"$(python_uuid image-one)\"} |
		.cloud_api.networks = [{uuid: \"$(python_uuid network-fabric)\"}]")" && has '.package == "sample-1G"'
}
t_odd_names() {
	JOB_NAME='batch/dispatch-1234%n a-very-long-name-indeed-that-does-not-fit-in-a-host-name-at-all'
	whole "$(cloud_config)"; _r=$?; JOB_NAME=
	[ $_r -eq 0 ] && has '(.name | length) <= 63 and (.name | test("^batch-dispatch-1234-n-a-very-long.*-[0-9a-f]{8}-[0-9a-f]{8}$"))'
}
t_refused_early() {
	_before=$(control GET /requests | jq 'length')
	for _case in '.api_type = "other"|api_type' '.api_type = "docker_api"|docker_api' \
		'.cloud_api.image = {}|image' \
		'.tags = {"triton.foo": "x"}|triton.foo' '.tags = {uuid: "x"}|uuid' \
		'.fwrules = {a: "FROM here"}|fwrules' \
		'.exit_strategy = "never"|exit_strategy' '.cns = ["web:99999"]|cns' '.package = {uuid: "X"}|UUID' \
		'.cloud_api.disks = [{size: "1"}, {}]|only the first' '.cloud_api.brand = "lx"|brand' \
		'.cloud_api.networks = [{name: "n", ip: "host"}]|IPv4' \
			'.cloud_api.user_data_file = "/etc/passwd"|local/' \
		'.cloud_api.user_data_file = "local/../../x"|without ..' \
			'.metadata_files = {"user-data": "local/x"}|user_data' \
		'.cloud_api.user_data_file = "local/x" | .cloud_api.user_data = "x"|use one of them' \
		'.metadata = {root_authorized_keys: "k"}|root_authorized_keys' '.nonsense = 1|nonsense'; do
		run "$(cloud_config "${_case%|*}")"; finish || return 1
		[ $STATUS -ne 0 ] && file_has "$T/err" "${_case#*|}" || { echo "case $_case"; return 1; }
	done
	is "$(control GET /requests | jq "length")" "$_before"
}
t_unknown_names() {
	refused "$(cloud_config '.package.name = "none"')" "no active package 'none'" &&
	refused "$(cloud_config '.package.name = "two"')" '2 packages' &&
	refused "$(cloud_config '.cloud_api.image.name = "none"')" "no active image 'none'" &&
	refused "$(cloud_config '.cloud_api.image.name = "base-64"')" 'most_recent' &&
	refused "$(cloud_config '.cloud_api.networks = [{name: "external"}, {name: "none"}]')" "no network 'none'" &&
	refused "$(cloud_config '.cloud_api.networks = [{name: "twin"}]')" "2 networks 'twin'" &&
	is "$(machines length)" 0
}
t_large_body() { refused "$(cloud_config '.cloud_api.user_data = ("x" * 100001)')" '100000'; }

deal 'a machine is made, addressed, stopped and removed' t_life
deal 'each option is in the request' t_options
deal 'ids are used as they are' t_uuids
deal 'names with slashes and of any length are made safe' t_odd_names
deal 'what is known to be wrong costs no request' t_refused_early
deal 'a name that is not there is an error that says so' t_unknown_names
deal 'a request that is too large is explained' t_large_body

# ---- Ends ----

# slow_stop STATUS: a machine takes 8 s to stop, under Nomad's kill_timeout of 5 s
slow_stop() {
	control POST /set '{"delays": {"stop": 8}}' >/dev/null
	run "$(cloud_config "${2:-.}")" && up && stop; _r=$?
	control POST /set '{"delays": {"stop": 0.2}}' >/dev/null
	[ $_r -eq 0 ] && is "$STATUS" "$1" && nothing_left
}
deal 'a stop that takes longer than the default kill_timeout is waited for' slow_stop 0
deal 'a stop that takes longer than stop_timeout ends in a deletion' slow_stop 137 '.stop_timeout = 2'
t_end_inside() { run "$(cloud_config)" && up && control POST "/machine/$(id_of)/stopped" >/dev/null && finish &&
	is $STATUS 0 && nothing_left; }
t_end_outside() {
	run "$(cloud_config)" && up && control POST "/machine/$(id_of)/stop" >/dev/null && finish &&
		[ $STATUS -ne 0 ] &&
	file_has "$T/err" 'stopped, not by Nomad' && nothing_left
}
t_deleted_outside() {
	run "$(cloud_config)" && up && control POST "/machine/$(id_of)/delete" >/dev/null && finish &&
		[ $STATUS -ne 0 ] &&
	file_has "$T/err" 'deleted, not by Nomad' && nothing_left
}
t_purged_outside() {
	run "$(cloud_config)" && up && control POST "/machine/$(id_of)/purge" >/dev/null && finish &&
		[ $STATUS -ne 0 ] && nothing_left
}
t_failed_later() { run "$(cloud_config)" && up && control POST "/machine/$(id_of)/failed" >/dev/null && finish &&
	[ $STATUS -ne 0 ] &&
	file_has "$T/err" 'the instance failed' && nothing_left; }
t_reboot() {
	run "$(cloud_config)" && up && control POST "/machine/$(id_of)/reboot" >/dev/null && sleep 4 &&
		! pid_gone $RUN_PID && stop && nothing_left
}
t_offline() {
	run "$(cloud_config)" && up && _id=$(id_of) && control POST "/machine/$_id/offline" >/dev/null && sleep 3 &&
		! pid_gone $RUN_PID &&
	control POST "/machine/$_id/running" >/dev/null && stop && nothing_left
}
t_strategy_deleted() {
	run "$(cloud_config '.exit_strategy = "deleted"')" && up && _id=$(id_of) &&
		control POST "/machine/$_id/stopped" >/dev/null && sleep 4 &&
	! pid_gone $RUN_PID && control POST "/machine/$_id/running" >/dev/null && stop && nothing_left &&
	run "$(cloud_config '.exit_strategy = "deleted"')" && up && control POST "/machine/$(id_of)/delete" \
	>/dev/null &&
	finish && is $STATUS 0
}
t_protected_by_others() {
	run "$(cloud_config)" && up && _id=$(id_of) && control POST "/machine/$_id/enable_deletion_protection" \
		>/dev/null && sleep 1 &&
	kill -TERM $RUN_PID && finish 120 && [ $STATUS -ne 0 ] && file_has "$T/err" \
	'protected from deletion, not by this driver' &&
	is "$(machines length)" 1 && control POST "/machine/$_id/delete" >/dev/null && nothing_left
}
t_provision_fails() {
	control POST /set '{"fail_provision": 1}' >/dev/null
	run "$(cloud_config '.fwenabled = true |
		.fwrules = {a: "FROM any TO tag role = web ALLOW tcp PORT 80"}')"; finish && [ $STATUS -ne 0 ] &&
		file_has "$T/err" 'its state is failed' && nothing_left
}
t_provision_timeout() {
	control POST /set '{"delays": {"provision": 8}}' >/dev/null
	run "$(cloud_config '.provision_timeout = 2')"; finish 120; _r=$?
	control POST /set '{"delays": {"provision": 0.3}}' >/dev/null
	[ $_r -eq 0 ] && [ $STATUS -ne 0 ] && file_has "$T/err" 'within provision_timeout' && nothing_left 60
}

deal 'a machine that shuts down has ended well' t_end_inside
deal 'one that was stopped from outside has failed' t_end_outside
deal 'one that was deleted from outside has failed' t_deleted_outside
deal 'one that was deleted and forgotten has failed' t_purged_outside
deal 'one that failed has failed' t_failed_later
deal 'a reboot is no end' t_reboot
deal 'an unreachable server is no end' t_offline
deal 'exit_strategy deleted: stopped is no end, deleted is a good one' t_strategy_deleted
deal 'a protection that others turned on is honoured, and said' t_protected_by_others
deal 'provisioning that fails leaves nothing' t_provision_fails
deal 'provisioning that takes too long leaves nothing' t_provision_timeout

# ---- Rules and volumes ----

RULE='from any to (tag role = web or tag "role" = "db") allow TCP ports 8080, 80 - 90'
# Another node's plugin: what is noted in one's state directory is not the other's to remove.
run_elsewhere() {
	jq '.state_dir += "-elsewhere"' "$T/plugin.json" >"$T/elsewhere.json" && run "$1" "$T/elsewhere.json"
}
t_rules() {
	control POST /rule '{"rule": "FROM any TO tag \"role\" = \"web\" ALLOW tcp PORT 22", "enabled": false,
		"description": "by hand"}' >/dev/null
	_cfg=$(cloud_config ".fwenabled = true | .fwrules = {web: $(printf %s "$RULE" |
		jq -Rs .), ssh: \"FROM any TO tag role = web ALLOW tcp PORT 22\"}")
	run "$_cfg" && up && mv "$T/err" "$T/err1" && _first=$RUN_PID && is "$(rules length)" 3 &&
	rules '[.[] | select(.description | contains("service: web "))][0] | .rule' |
	grep -q 'FROM any TO (tag \\"role\\" = \\"db\\" OR tag \\"role\\" = \\"web\\") ALLOW tcp PORTS 80 - 90, 8080' &&
	is "$(rules '[.[] | select(.description | contains("nomad")) | .enabled] | all')" true &&
	run_elsewhere "$_cfg" && up && is "$(rules length)" 3 && is "$(machines length)" 2 &&
	kill -TERM "$_first" && wait_for 30 'the first has ended' pid_gone "$_first" && is "$(rules length)" 3 &&
	stop &&
	nothing_left &&
	is "$(rules '[.[] | .description] | join(",")')" '"by hand"' && is "$(rules '.[0].enabled')" false
}
t_rules_error_is_not_unused() {
	_cfg=$(cloud_config ".fwenabled = true | .fwrules = {web: $(printf %s "$RULE" | jq -Rs .)}")
	run "$_cfg" && up && _first=$RUN_PID && run_elsewhere "$_cfg" && up &&
	fault '{"method": "GET", "path": "tag.nomad_fw_", "count": 2, "kind": "status", "status": 503}' &&
	kill -TERM "$_first" && wait_for 60 'the first has ended' pid_gone "$_first" &&
	is "$(rules '[.[] | select(.description | contains("nomad"))] | length')" 1 && no_faults && stop && nothing_left
}
t_rules_provisioning() {
	_cfg=$(cloud_config ".fwenabled = true | .fwrules = {web: $(printf %s "$RULE" | jq -Rs .)}")
	run "$_cfg" && up && _first=$RUN_PID && control POST /set '{"delays": {"provision": 15}}' >/dev/null &&
	run_elsewhere "$_cfg" &&
	wait_for 30 'the second is being made' _two && kill -TERM "$_first" &&
	wait_for 60 'the first has ended' pid_gone "$_first" &&
	is "$(rules '[.[] | select(.description | contains("nomad"))] | length')" 1; _r=$?
	control POST /set '{"delays": {"provision": 0.3}}' >/dev/null
	[ $_r -eq 0 ] && up && is "$(rules '[.[] | select(.description | contains("nomad"))] | length')" 1 && stop &&
		nothing_left
}
_two() { [ "$(machines length)" = 2 ]; }
t_volumes() {
	run "$(cloud_config '.volumes = [{name: "data", mountpoint: "/data", size: 1024}, {name: "keepme",
		mountpoint: "/k", size: 1024, keep: true}]')" &&
	up && is "$(control GET /state | jq '.volumes | length')" 2 && is "$(machines '.[0].mounts | length')" 2 &&
	stop &&
	is "$(machines length)" 0 && is "$(control GET /state | jq -r '[.volumes[].name] | join(",")')" keepme &&
	whole_again "$(cloud_config '.volumes = [{name: "keepme", mountpoint: "/k", size: 1024}]')" &&
	is "$(control GET /state | jq -r '[.volumes[].name] | join(",")')" keepme &&
	refused_volume "$(cloud_config '.volumes = [{name: "nowhere", mountpoint: "/k"}]')"
}
whole_again() { run "$1" && up && stop && is "$(machines length)" 0; }
refused_volume() { run "$1"; finish && [ $STATUS -ne 0 ] && file_has "$T/err" "no volume 'nowhere'"; }

deal 'rules: canonical, shared, counted, removed by the last; others are not touched' t_rules
deal 'an error while counting keeps a rule' t_rules_error_is_not_unused
deal 'a rule stays for a machine that is being made' t_rules_provisioning
deal 'volumes that were made are removed, others stay' t_volumes
deal 'no secret in the output' eval '! grep -rl "BEGIN.*PRIVATE" "$T/err" "$T/out" "$T/state"'

all_dealt
