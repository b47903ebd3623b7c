#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# examples/nspawn/container.nomad.hcl under an agent: a server from a container image, with docker's options.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
isolate "$@"
need_root_tree
requires skopeo umoci curl
require_nomad
mkdir "$T/plugins" && cp "$DRIVER" "$T/plugins/"
printf 'plugin "nomad-driver-nspawn" {\n  config {\n    state_dir = "%s/state"\n    policy {\n      allow_image = ["%s"]
    }\n  }\n}\n' "$T" "$T" >"$T/plugin.hcl"

# The image is a layout here; all else is the example's.
t_image() {
	umoci init --layout "$T/oci" && umoci new --image "$T/oci:v1" && umoci unpack --image "$T/oci:v1" "$T/bundle" &&
		cp -a "$ROOT/." "$T/bundle/rootfs/" && umoci repack --image "$T/oci:v1" "$T/bundle" >/dev/null &&
		umoci config --image "$T/oci:v1" --config.entrypoint httpd --config.entrypoint -f \
		--config.stopsignal SIGINT && rm -rf "$T/bundle" &&
		sed "s|registry.example.org/httpd:1.4|oci:$T/oci:v1|" examples/nspawn/container.nomad.hcl >"$T/job.hcl"
}
run_test 'an image' t_image
t_start() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver nspawn; }
run_test 'the driver is healthy' t_start
address() { api GET /v1/service/container 2>/dev/null | jq -r '.[0] | "\(.Address):\(.Port)"'; }
served() { curl -s -m 5 "http://$(address)/" | grep -q '^served by container.web\[0\]'; }
t_job() { run_job "$T/job.hcl" && wait_alloc "$ALLOC_ID" running 120 && wait_for 60 'the page' served; }
run_test 'the server of the image has its arguments, its directory and its port' t_job
ex() { "$NOMAD" alloc exec -i=false -t=false "$ALLOC_ID" "$@"; }
t_options() {
	like "$(ex cat /etc/hosts)" '^10.0.0.5 db$' && is "$(ex cat /proc/sys/net/core/somaxconn)" 1024 &&
		like "$(ex df -k /var/cache)" ' 16384 ' &&
		like "$(ex cat /proc/self/limits)" 'open files +1024 +4096' &&
		like "$(ex df -m / | tail -n 1)" '^overlay +(4[89]|5[01])[0-9] ' &&
		like "$(ex touch /srv/www/x 2>&1)" 'Read-only'
}
run_test 'its options' t_options
t_end() { purge_job container && is "$(ls "$T/state/tasks")" '' && is "$(ls "$T/state/layers")" '' && stop_agent; }
run_test 'it ends, and nothing of it is left' t_end
done_testing
