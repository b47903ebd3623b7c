#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Each option of a task's config block, by itself: the requests that it must
# produce.  The schema tells which there are; one without a case here fails.
. test/lib.sh
. test/triton/lib-triton.sh
require_standin
require_steps
make_keys
start_engine_if_root
shards 6
start_site

python_uuid() { "$STANDIN_PYTHON" -c 'import sys, uuid; print(uuid.uuid5(uuid.NAMESPACE_DNS, sys.argv[1]))' "$1"; }
image_id() { [ -z "$ENGINE_SOCK" ] || _engine http://d/v1.24/images/busybox:test/json | jq -r .Id; }
OF_REQUESTS='
def sent($method; $path): [.[] | select(.method == $method and (.path | test($path)))];
def made: sent("POST"; "/machines$") | last | .body | fromjson;
def box: sent("POST"; "/containers/create") | last | .body | fromjson;
def asked($method; $path): sent($method; $path) | length > 0;
def auth: sent("POST"; "/images/create") | last | .auth;
'
COVERED=
# option NAME API CONFIG_FILTER REQUESTS [STEP...]: REQUESTS is a jq condition on all requests that the steps (start)
# made;
# `late` is a start that must fail, of a machine that takes its time
option() {
	COVERED="$COVERED $1"
	deal "$1: $3" made_by "$@"
}
made_by() {
	_api=$2 _filter=$3 _expected=$4
	[ $# -gt 4 ] && shift 4 || { shift 4; set -- start; }
	[ "$_api" = cloud ] || [ -n "$ENGINE_SOCK" ] || { skip_this "$ENGINE_WHY"; return 0; }
	control POST /reset '{}' >/dev/null && control POST /forget '{}' >/dev/null && rm -rf "$T/state" "$T/task" &&
		mkdir -p "$T/task/alloc/task/local" && printf 'of a template\n' >"$T/task/alloc/task/local/file" &&
	"${_api}_config" "$_filter" >"$T/config.json" || return 1
	# A start that is to take too long, and one that is not.
	[ "$1" != late ] || control POST /set '{"delays": {"provision": 6}}' >/dev/null
	timeout -k 5 300 "$STEPS" "$T/plugin.json" "$T/config.json" "$T/task" "$@" >"$T/out" 2>"$T/err" </dev/null
		_r=$?
	control POST /set '{"delays": {"provision": 0.3}}' >/dev/null
	[ $_r -eq 0 ] || { cat "$T/out" "$T/err"; return 1; }
	control GET /requests >"$T/requests"
	jq -e "$OF_REQUESTS $_expected" "$T/requests" >/dev/null || {
		echo "not so: $_expected"; jq -c '.[] | select(.method != "GET") | {method, path, body}' \
			"$T/requests"; cat "$T/err"; return 1; }
}

option api_type cloud . 'asked("POST"; "/machines$")'
option api_type docker . 'asked("POST"; "/containers/create") and (asked("POST"; "/machines$") | not)'
option package.name cloud '.package = {name: "sample-1G"}' \
	"asked(\"GET\"; \"packages[?]name=sample-1G\$\") and made.package == \"$(python_uuid package-sample-1G)\""
option package.version cloud '.package = {name: "two", version: "2.0.0"}' \
	"asked(\"GET\"; \"packages[?]name=two&version=2.0.0\$\") and made.package == \"$(python_uuid package-two-2)\""
option package.uuid cloud ".package = {uuid: \"$(python_uuid package-two-1)\", name: \"ignored\"}" \
	"(asked(\"GET\"; \"packages\") | not) and made.package == \"$(python_uuid package-two-1)\""
option package.name docker '.package = {name: "sample-1G"}' \
	"box.Labels[\"com.joyent.package\"] == \"$(python_uuid package-sample-1G)\""
option tags cloud '.tags = {role: "a b"}' 'made["tag.role"] == "a b"'
option tags cloud '.tags = {"triton.cns.disable": "true"}' 'made["tag.triton.cns.disable"] == true'
option tags docker '.tags = {role: "web"}' 'sent("POST"; "/tags$") | last | .body | fromjson | .role == "web"'
option metadata cloud '.metadata = {colour: "a%sb"}' 'made["metadata.colour"] == "a%sb"'
option metadata docker '.metadata = {colour: "red"}' \
	'sent("POST"; "/metadata$") | last | .body | fromjson | .colour == "red"'
option affinity cloud '.affinity = ["instance!=foo*", "role==~/web/"]' \
	'made.affinity == ["instance!=foo*", "role==~/web/"]'
option affinity docker '.affinity = ["container!=x", "affinity:role==web"]' \
	'(box.Env | index("affinity:container!=x")) and (box.Env | index("affinity:role==web"))'
option cns cloud '.cns = ["web:80", "api"]' 'made["tag.triton.cns.services"] == "web:80,api"'
option cns docker '.cns = ["web"]' 'box.Labels["triton.cns.services"] == "web"'
option deletion_protection cloud '.deletion_protection = true' 'made.deletion_protection == true'
option deletion_protection docker '.deletion_protection = true' 'asked("POST"; "action=enable_deletion_protection")'
option fwenabled cloud '.fwenabled = true' 'made.firewall_enabled == true and (asked("POST"; "fwrules") | not)'
option fwenabled cloud '.fwenabled = false | .fwrules = {a: "FROM any TO tag x ALLOW tcp PORT 1"}' \
	'made.firewall_enabled == false and (asked("POST"; "fwrules") | not)'
option fwrules cloud '.fwenabled = true | .fwrules = {a: "from any to tag x allow TCP port 1"} | .tags = {x: "1"}' \
	'sent("POST"; "/fwrules$") | last | .body | fromjson | .enabled == true and (.description | startswith("Nomad FWRule for service: a"))'
option fwrules docker '.fwenabled = true | .fwrules = {a: "FROM any TO tag x ALLOW tcp PORT 1"} | .tags = {x: "1"}' \
	'asked("POST"; "/fwrules$")'
option exit_strategy cloud '.exit_strategy = "stopped"' \
	'asked("POST"; "action=stop") and (asked("DELETE"; "machines") | not)' start up stop
option exit_strategy cloud '.exit_strategy = "deleted"' \
	'(asked("POST"; "action=stop") | not) and asked("DELETE"; "machines")' start up stop
option exit_strategy cloud '.exit_strategy = "deleted"' 'asked("DELETE"; "machines")' start up destroy
option volumes.name cloud '.volumes = [{name: "data", mountpoint: "/d", size: 512}]' 'made.volumes[0].name == "data"'
option volumes.mountpoint cloud '.volumes = [{name: "data", mountpoint: "/d", size: 512}]' \
	'made.volumes[0].mountpoint == "/d"'
option volumes.mode cloud '.volumes = [{name: "data", mountpoint: "/d", size: 512, mode: "ro"}]' \
	'made.volumes[0].mode == "ro"'
option volumes.type cloud '.volumes = [{name: "data", mountpoint: "/d", size: 512, type: "tritonnfs"}]' \
	'made.volumes[0].type == "tritonnfs" and (sent("POST"; "/volumes$") | last | .body | fromjson | .type == "tritonnfs")'
option volumes.size cloud '.volumes = [{name: "data", mountpoint: "/d", size: 512}]' \
	'sent("POST"; "/volumes$") | last | .body | fromjson | .size == 512 and .name == "data"'
option volumes.keep cloud '.volumes = [{name: "data", mountpoint: "/d", size: 512, keep: true}]' \
	'asked("POST"; "/volumes$") and (asked("DELETE"; "/volumes") | not)' start up stop destroy
option volumes.keep cloud '.volumes = [{name: "data", mountpoint: "/d", size: 512}]' 'asked("DELETE"; "/volumes/")' \
	start up stop destroy
option volumes.name docker '.volumes = [{name: "data", mountpoint: "/d", size: 512, mode: "ro"}]' \
	'box.HostConfig.Binds == ["data:/d:ro"]'
option stop_timeout docker '.stop_timeout = 7' 'asked("POST"; "/stop[?]t=7$")' start up stop
option provision_timeout cloud '.provision_timeout = 1' 'asked("DELETE"; "/machines/")' late
option cloud_api.image.name cloud '.cloud_api.image = {name: "one"}' \
	"asked(\"GET\"; \"images[?]name=one\$\") and made.image == \"$(python_uuid image-one)\""
option cloud_api.image.version cloud '.cloud_api.image = {name: "base-64", version: "22.4.0"}' \
	"asked(\"GET\"; \"images[?]name=base-64&version=22.4.0\$\") and made.image == \"$(python_uuid image-base-1)\""
option cloud_api.image.most_recent cloud '.cloud_api.image = {name: "base-64", most_recent: true}' \
	"made.image == \"$(python_uuid image-base-2)\""
option cloud_api.image.uuid cloud ".cloud_api.image = {uuid: \"$(python_uuid image-one)\"}" \
	"(asked(\"GET\"; \"images\") | not) and made.image == \"$(python_uuid image-one)\""
option cloud_api.networks.name cloud '.cloud_api.networks = [{name: "My-Fabric-Network"}, {name: "external"}]' \
	"asked(\"GET\"; \"networks\$\") and made.networks == [{ipv4_uuid: \"$(python_uuid \
	network-fabric)\"}, {ipv4_uuid: \"$(python_uuid network-public)\"}]"
option cloud_api.networks.uuid cloud ".cloud_api.networks = [{uuid: \"$(python_uuid network-fabric)\"}]" \
	"(asked(\"GET\"; \"networks\") | not) and made.networks == [{ipv4_uuid: \"$(python_uuid network-fabric)\"}]"
option cloud_api.user_data cloud '.cloud_api.user_data = "ud\n"' 'made["metadata.user-data"] == "ud\n"'
option cloud_api.user_script cloud '.cloud_api.user_script = "#!/bin/sh"' 'made["metadata.user-script"] == "#!/bin/sh"'
option cloud_api.cloud_config cloud '.cloud_api.cloud_config = "#cloud-config"' \
	'made["metadata.cloud-init:user-data"] == "#cloud-config" and (made | has("metadata.cloud-config") | not)'
option cloud_api.user_data_file cloud '.cloud_api.user_data_file = "local/file"' \
	'made["metadata.user-data"] == "of a template\n"'
option cloud_api.user_script_file cloud '.cloud_api.user_script_file = "/local/file"' \
	'made["metadata.user-script"] == "of a template\n"'
option cloud_api.cloud_config_file cloud '.cloud_api.cloud_config_file = "local/file"' \
	'made["metadata.cloud-init:user-data"] == "of a template\n"'
option metadata_files cloud '.metadata_files = {motd: "local/file"}' 'made["metadata.motd"] == "of a template\n"'
option metadata_files docker '.metadata_files = {motd: "local/file"}' \
	'sent("POST"; "/metadata$") | last | .body | fromjson | .motd == "of a template\n"'
option cloud_api.brand cloud '.cloud_api.brand = "bhyve"' 'made.brand == "bhyve"'
FLEX='.package = {name: "flex-4G"} | .cloud_api.brand = "bhyve"'
option cloud_api.disks.size cloud "$FLEX | .cloud_api.disks = [{}, {size: \"2048\"}, {size: \"remaining\"}]" \
	'made.disks == [{}, {size: 2048}, {size: "remaining"}]'
option cloud_api.disks.block_size cloud "$FLEX | .cloud_api.disks = [{}, {size: \"2048\", block_size: 4096}]" \
	'made.disks == [{}, {size: 2048, block_size: 4096}]'
option cloud_api.delegate_dataset cloud '.cloud_api.delegate_dataset = true' 'made.delegate_dataset == true'
option cloud_api.delegate_dataset cloud . 'made | has("delegate_dataset") | not'
option cloud_api.encrypted cloud '.cloud_api.encrypted = true' 'made.encrypted == true'
option cloud_api.allow_shared_images cloud '.cloud_api.allow_shared_images = true' 'made.allow_shared_images == true'
option cloud_api.networks.ip cloud '.cloud_api.networks = [{name: "My-Fabric-Network", ip: "10.0.1.50"}]' \
	"made.networks == [{ipv4_uuid: \"$(python_uuid network-fabric)\", ipv4_ips: [\"10.0.1.50\"]}]"
MANY='.cloud_api.image = {name: "many"} | .cloud_api.image'
option cloud_api.image.owner cloud "$MANY.owner = \"$(python_uuid owner-2)\"" \
	"asked(\"GET\"; \"owner=\") and made.image == \"$(python_uuid image-many-2)\""
option cloud_api.image.os cloud "$MANY.os = \"linux\"" \
	"asked(\"GET\"; \"os=linux\") and made.image == \"$(python_uuid image-many-1)\""
option cloud_api.image.type cloud "$MANY.type = \"lx-dataset\"" \
	"asked(\"GET\"; \"type=lx-dataset\") and made.image == \"$(python_uuid image-many-1)\""
option cloud_api.image.state cloud "$MANY += {state: \"active\", version: \"1.0.0\"}" \
	"asked(\"GET\"; \"state=active\") and made.image == \"$(python_uuid image-many-1)\""
option cloud_api.image.public cloud "$MANY.public = false" \
	"asked(\"GET\"; \"public=false\") and made.image == \"$(python_uuid image-many-2)\""
option cloud_api.image.published_after cloud "$MANY.published_after = \"2023-06-01\"" \
	"made.image == \"$(python_uuid image-many-2)\""
option cloud_api.image.tags cloud "$MANY.tags = {role: \"db\", eol: \"true\"}" \
	"made.image == \"$(python_uuid image-many-2)\""
option docker_api.image.name docker . 'box.Image == "busybox:test"'
option docker_api.image.tag docker '.docker_api.image.tag = "test"' 'box.Image == "busybox:test"'
option docker_api.image.digest docker ".docker_api.image += {digest: \"$(image_id)\"}" \
	"(box.Image | test(\"^busybox@sha256:[0-9a-f]{64}\$\")) and asked(\"POST\"; \"fromImage=busybox&tag=sha256%3A\")"
option docker_api.image.auto_pull docker '.docker_api.image.auto_pull = true' \
	'asked("POST"; "/images/create[?]fromImage=busybox&tag=test$")'
option docker_api.image.auto_pull docker '.docker_api.image.auto_pull = false' 'asked("POST"; "/images/create") | not'
for key in username password email server_address; do
	option docker_api.auth.$key docker \
		".docker_api.image.auto_pull = true | .docker_api.auth = {$key: \"the value\"}" \
		"auth.$(echo $key | tr -d _) == \"the value\""
done
option docker_api.cmd docker '.docker_api.cmd = ["sleep", "611"]' 'box.Cmd == ["sleep", "611"]'
option docker_api.entrypoint docker '.docker_api += {entrypoint: ["sleep"], cmd: ["612"]}' \
	'box.Entrypoint == ["sleep"] and box.Cmd == ["612"]'
option docker_api.openstdin docker '.docker_api.openstdin = true' 'box.OpenStdin == true and box.StdinOnce == false'
option docker_api.stdinonce docker '.docker_api.stdinonce = true' 'box.StdinOnce == true and box.OpenStdin == false'
option docker_api.tty docker '.docker_api.tty = true' 'box.Tty == true'
option docker_api.workingdir docker '.docker_api.workingdir = "/tmp"' 'box.WorkingDir == "/tmp"'
option docker_api.hostname docker '.docker_api.hostname = "h1"' 'box.Hostname == "h1"'
option docker_api.domain_name docker '.docker_api.domain_name = "d1"' 'box.Domainname == "d1"'
option docker_api.user docker '.docker_api.user = "0"' 'box.User == "0"'
option docker_api.labels docker '.docker_api.labels = {colour: "red"}' 'box.Labels.colour == "red"'
option docker_api.public_network docker '.docker_api += {public_network: "external", ports: {tcp: [80]}}' \
	'box.Labels["triton.network.public"] == "external"'
option docker_api.private_network docker '.docker_api.private_network = "fab"' 'box.HostConfig.NetworkMode == "fab"'
option docker_api.dns docker '.docker_api.dns = ["1.1.1.1"]' 'box.HostConfig.Dns == ["1.1.1.1"]'
option docker_api.dns_search docker '.docker_api.dns_search = ["x.y"]' 'box.HostConfig.DnsSearch == ["x.y"]'
option docker_api.extra_hosts docker '.docker_api.extra_hosts = ["db:10.0.0.5"]' \
	'box.HostConfig.ExtraHosts == ["db:10.0.0.5"]'
option docker_api.ports.tcp docker '.docker_api.ports = {tcp: [80, 443]}' \
	'box.HostConfig.PortBindings == {"80/tcp": [{HostIp: "0.0.0.0", HostPort: "80"}], "443/tcp": [{HostIp: "0.0.0.0", HostPort: "443"}]}'
option docker_api.ports.udp docker '.docker_api.ports = {udp: [53]}' \
	'box.HostConfig.PortBindings == {"53/udp": [{HostIp: "0.0.0.0", HostPort: "53"}]}'
option docker_api.ports.publish_all docker '.docker_api.ports = {publish_all: true}' \
	'box.HostConfig.PublishAllPorts == true'
option docker_api.log_config.type docker '.docker_api.log_config = {type: "syslog"}' \
	'box.HostConfig.LogConfig.Type == "syslog"'
option docker_api.log_config.config docker '.docker_api.log_config = {type: "json-file", config: {"max-size": "1m"}}' \
	'box.HostConfig.LogConfig == {Type: "json-file", Config: {"max-size": "1m"}}'
for policy in unless-stopped:unless-stopped: no:no: Never:no: always:always: Always:always: on-failure:on-failure:100 \
	on-failure:3:on-failure:3; do
	want=${policy#*:}; word=${policy%%:*}
	case $policy in on-failure:3:*) word=on-failure:3 want=on-failure:3 ;; esac
	option docker_api.restart_policy docker ".docker_api.restart_policy = \"$word\"" \
		"box.HostConfig.RestartPolicy | .Name == \"${want%%:*}\" and (.MaximumRetryCount // 0) == ${want##*:}$([ -n "${want##*:}" ] || echo 0)"
done

t_all() {
	"$DRIVER" schema --json --task | jq -r -f test/triton/options.jq >"$T/options"
	[ "$(wc -l <"$T/options")" -gt 50 ] || { cat "$T/options"; return 1; }
	while read -r _o; do
		case " $COVERED " in *" $_o "*) ;; *) echo "no case for the option $_o"; return 1 ;; esac
	done <"$T/options"
}
deal 'each option of the schema has a case' t_all
t_plugin() {
	for _o in $("$DRIVER" schema --json --plugin | jq -r '.properties | keys[]' | grep -vxE "$LIBRARY_OPTIONS"); do
		grep -qE "[^a-z_]${_o}[^a-z_]" test/triton/1[0-4]*.sh test/triton/[2-9]*.sh \
			test/triton/lib-triton.sh test/triton/attributes.jq ||
			{ echo "no test names the plugin's option $_o"; return 1; }
	done
}
deal 'each option of the plugin block is used by a test' t_plugin
all_dealt
