#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Jobs of the shapes that the examples of the Go driver of this name have, under an agent: a booted
# Debian by a relative path, a web server with port_map behind a DHCP client, downloads, zones, a system job,
# a unit from a template in a raw image.  Those that need power over the node run with the lines of the message, all
# others with the default policy.  Its bridge mode is in 35-group.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
if [ -z "${NOMAD_TEST_DIR:-}" ] && command -v debootstrap >/dev/null; then make_tree debian || true; fi
isolate "$@"
need_root_tree
require_nomad
requires curl busybox tar
DEBIAN=$NSPAWN_CACHE/debian
mkdir "$T/plugins" "$T/www" && cp "$DRIVER" "$T/plugins/"
# The default policy, and what the messages say that jobs need.
: >"$T/policy"
configure() {
	{ printf 'plugin "nomad-driver-nspawn" {\n  config {\n    state_dir = "%s/state"\n    policy {\n' "$T"
	cat "$T/policy"; printf '    }\n  }\n}\n'; } >"$T/plugin.hcl"
}
configure
cp -a "$ROOT" "$T/web"
# What another image's dhclient does: it asks, and fails without an answer.
printf '#!/bin/sh\nexec busybox udhcpc -f -q -n -i host0 -s /bin/true\n' >"$T/web/usr/sbin/dhclient" &&
	chmod +x "$T/web/usr/sbin/dhclient"
ln -s ../bin/busybox "$T/web/usr/sbin/init" && printf '::sysinit:/bin/touch /booted\n::respawn:/bin/sleep 1000\n' \
	>"$T/web/etc/inittab"
tar -C "$T/web" -czf "$T/www/image.tar.gz" .
port=$(_free_ports 1)
busybox httpd -f -p "127.0.0.1:$port" -h "$T/www" &
cleanup "kill $!"
job() {	# NAME TYPE [GROUP_HCL]; the task's config in $T/task; $NEEDS are the rules that its message has to name
	{
		printf 'job "%s" {\n  datacenters = ["dc1"]\n  type = "%s"\n  group "linux" {\n    count = 1\n    ephemeral_disk { size = 20 }\n%s\n' "$1" "$2" "${3:-}"
		for name in ${TASKS:-main}; do
			printf '    task "%s" {\n      driver = "nspawn"\n      kill_timeout = "%s"\n      resources { memory = 200 }\n      logs {\n        max_files = 1\n        max_file_size = 1\n      }\n' "$name" "${KILL:-2s}"
			cat "$T/task"
			echo '    }'
		done
		printf '  }\n}\n'
	} >"$T/$1.hcl"
	# shellcheck disable=SC2086
	run_by_message "$T/$1.hcl" main nspawn ${NEEDS:-} && wait_alloc "$ALLOC_ID" running 120 ||
		{ cat "$T/$1.hcl"; "$NOMAD" alloc status "$ALLOC_ID"; return 1; }
}
ex() { "$NOMAD" alloc exec -i=false -t=false -task "${1%%:*}" "${ALLOC_ID}" /bin/sh -c "${1#*:}"; }
up() { ex 'main:systemctl is-system-running' 2>&1 | grep -Eq '^(running|degraded)'; }
stop() { "$NOMAD" job stop -detach "$1" >/dev/null && wait_for 90 "$1 ends" over; }
over() { alloc_status "$ALLOC_ID" | grep -Eqx 'complete|failed'; }
debian() { [ -e "$DEBIAN/.complete" ] || { skip_this 'no Debian tree: debootstrap is missing or has failed'
	return 1; }; }
download="image_download {
          url = \"http://127.0.0.1:$port/image.tar.gz\"
        }"

t_start() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver nspawn; }
t_minimal() {
	debian || return 0
	printf '      config {\n        image = "%s"\n        resolv_conf = "copy-host"\n      }\n' "$DEBIAN" >"$T/task"
	NEEDS=allow_image KILL=60s job debian service && wait_for 120 'systemd is up' up &&
		is "$(ex 'main:cat /etc/resolv.conf')" "$(cat /etc/resolv.conf)" && stop debian
}
web() { [ "$(curl -s -m 5 http://127.0.0.1:18080/)" = 'a page' ]; }
t_web() {
	cat >"$T/task" <<-HCL
	      config {
	        image = "$T/web"
	        resolv_conf = "copy-host"
	        command = ["/bin/sh", "-c", "mkdir /w; echo 'a page' >/w/index.html; dhclient && httpd -p 80 -h /w && tail -f /w/index.html"]
	        boot = false
	        process_two = true
	        user_namespacing = false
	        port_map {
	          http = 80
	        }
	      }
	HCL
	NEEDS='allow_host_users allow_image' job nginx service '    network {
      port "http" { static = 18080 }
    }' && wait_for 60 'the page' web && stop nginx
}
t_download() {
	printf '      config {\n        image = "debian-buster"\n        resolv_conf = "copy-host"\n        %s\n      }\n' "$download" >"$T/task"
	job image-download service && wait_for 30 'it is booted' ex 'main:test -e /booted' &&
		is "$(ex 'main:cat /proc/1/comm')" init &&
		is "$(task_state "$ALLOC_ID" main |
		jq -r '.Events[] | select(.DisplayMessage == "Downloaded image").Details.bytes')" \
		"$(stat -c %s "$T/www/image.tar.gz")" && stop image-download
}
address() { ex "$1:httpd -p 8000 -h /etc; ip -o -4 addr show host0" | sed -n 's|.* inet \([0-9.]*\)/24.*|\1|p'; }
t_zones() {
	printf '      config {\n        image = "debian-buster"\n        resolv_conf = "copy-host"\n        %s\n        network_zone = "test"\n        ephemeral = true\n      }\n' "$download" >"$T/task"
	TASKS='main second' job zones-1 service && first=$ALLOC_ID && TASKS='main second' job zones-2 service &&
		second=$ALLOC_ID || return 1
	seen=$(for ALLOC_ID in $first $second; do address main; address second; done) &&
		is "$(echo "$seen" | sort -u | wc -l)" 4 || { echo "$seen"; return 1; }
	# From one of the second job to all of the zone, itself included.
	for a in $seen; do ex "main:ping -c1 -w5 $a" >/dev/null && ex "main:wget -q -O - http://$a:8000/inittab" |
		grep -q booted || { echo "$a is not reached"; return 1; }; done
	ALLOC_ID=$first && stop zones-1 && ALLOC_ID=$second && stop zones-2
}
t_system() {
	printf '      config {\n        image = "debian-buster"\n        %s\n        network_veth = false\n        user_namespacing = false\n      }\n' "$download" >"$T/task"
	job system-job system && is "$(ex 'main:cat /proc/self/uid_map' | tr -s ' ')" ' 0 0 4294967295' &&
		stop system-job
}
unit() { ex 'main:cat /run/from-unit' 2>/dev/null | grep -qx 'by a unit of a template'; }
t_unit() {
	debian || return 0
	mkfs.ext4 -q -d "$DEBIAN" "$T/www/disk.raw" 500M || return 1
	cat >"$T/task" <<-HCL
	      config {
	        image = "consul"
	        image_download {
	          url = "http://127.0.0.1:$port/disk.raw"
	          force = true
	          type = "raw"
	        }
	        environment = {
	          SYSTEMD_UNIT_PATH = "\${NOMAD_TASK_DIR}/systemd:"
	        }
	      }
	      template {
	        data = <<EOH
	[Service]
	Type=oneshot
	RemainAfterExit=yes
	ExecStart=/bin/sh -c 'echo "by a unit of a template" >/run/from-unit'
	EOH
	        destination = "local/systemd/consul.service"
	      }
	      template {
	        data = <<EOH
	[Unit]
	Wants=consul.service
	EOH
	        destination = "local/systemd/multi-user.target.d/wants.conf"
	      }
	HCL
	KILL=60s job consul system && wait_for 120 'the unit' unit && stop consul
}
t_connect() { skip_this 'Consul and Envoy are needed'; }
t_end() { stop_agent && is "$(ls "$T/state/tasks")" '' && unlike "$(ip -o link)" ' (vn|nz-)'; }
run_test 'the driver is healthy' t_start
run_test 'the smallest job: a Debian that boots' t_minimal
run_test 'process_two, port_map and a DHCP client' t_web
run_test 'image_download' t_download
run_test 'two jobs of two tasks in a zone' t_zones
run_test 'a system job on the network of the host' t_system
run_test 'a raw image and a unit from a template' t_unit
run_test 'Consul Connect' t_connect
run_test 'nothing is left' t_end
done_testing
