#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# What people write: jobs and an agent's configuration, as HCL and JSON; all mistakes at once; a job under a
# node's policy.
. test/lib.sh
requires jq
driver=$BUILD/plugins/nomad-driver-nspawn
[ -x "$driver" ] || skip_all "no $driver"
hcl() { command -v nomad >/dev/null || { skip_this 'no nomad on PATH'; return 1; }; }

cat >"$T/agent.hcl" <<-'HCL'
	data_dir = "/var/lib/nomad"	# a comment
	client {
	  enabled = true
	  host_volume "data" {
	    path = "/srv/data"
	  }
	}
	plugin "nomad-driver-other" {
	  config {
	    no_option = "unknown"
	  }
	}
	plugin "nomad-driver-nspawn" {
	  config {
	    policy {
	      allow_bind = ["/etc"]
	      namespace {
	        name             = "ops"
	        allow_host_users = true
	      }
	    }
	  }
	}
HCL
echo '{ "policy": { "allow_bind": ["/etc"], "namespace": [{ "name": "ops", "allow_host_users": true }] } }' \
	>"$T/config.json"
jq '{ plugin: [{ "nomad-driver-nspawn": [{ config: [.] }] }] }' "$T/config.json" >"$T/agent.json"
cat >"$T/job.hcl" <<-'HCL'
	job "job" {
	  namespace = "ops"
	  group "group" {
	    task "task" {
	      driver = "nspawn"
	      config {
	        image            = "image"
	        boot             = true
	        bind             = { "/etc" = "/host", "/usr" = "/host-usr" }
	        bind_read_only   = { "/opt" = "/opt" }
	        capability       = ["CAP_SYS_ADMIN", "${meta.capability}"]
	        user_namespacing = false
	        devices          = ["/dev/null"]
	      }
	    }
	  }
	}
HCL
job_json bad nspawn '{ "comand": ["x"], "pids_limit": "many", "image": "a", "boot": 5,
	"image_download": [{ "force": "maybe", "type": "tar" }] }' >"$T/bad.json"

t_config() {
	"$driver" policy --config "$T/config.json" --namespace ops >"$T/want" || return 1
	file_has "$T/want" '^  allow_host_users = true' || return 1
	for file in agent.json agent.hcl; do
		case $file in *.hcl) hcl || return 0 ;; esac
		"$driver" policy --config "$T/$file" --namespace ops >"$T/got" &&
			is "$(cat "$T/got")" "$(cat "$T/want")" || return 1
	done
	"$driver" doctor --config "$T/agent.hcl" >"$T/said"
	file_has "$T/said" '^driver nspawn is '
}
t_no_block() {
	echo '{ "plugin": { "nomad-driver-other": {} } }' >"$T/other.json"
	! "$driver" policy --config "$T/other.json" 2>"$T/said" &&
		file_has "$T/said" 'no block plugin "nomad-driver-nspawn"'
}
t_mistakes() {
	! "$driver" validate "$T/bad.json" >"$T/said" || return 1
	for what in "unknown option 'comand'" "'pids_limit': 'many' is not a number" \
		"'boot': '5' is not true or false" "'image_download.force': 'maybe' is not true or false" \
		"'image_download.url' is missing"; do
		file_has "$T/said" "$what" || return 1
	done
	is "$(wc -l <"$T/said")" 5
}
t_judged() {
	hcl || return 0
	"$driver" validate "$T/job.hcl" >"$T/said" && file_has "$T/said" '^group/task: ok' || return 1
	! "$driver" validate --policy "$T/agent.hcl" "$T/job.hcl" >"$T/said" || return 1
	is "$(wc -l <"$T/said")" 1 || return 1
	for line in 'allow_bind = ."/etc", "/usr".' 'allow_bind_read_only = ."/opt".' \
		'allow_capability = ."CAP_SYS_ADMIN".'; do
		file_has "$T/said" "namespace .ops. of policy in the plugin block: $line" || return 1
	done
	# What the namespace allows, what is safe, and what only the node knows.
	! grep -Eq 'host_users|meta.capability|dev/null' "$T/said" || { cat "$T/said"; return 1; }
	# A policy alone, and one by which it runs.
	printf 'policy {\n  mode = "open"\n}\n' >"$T/open.hcl"
	"$driver" validate --policy "$T/open.hcl" "$T/job.hcl" >"$T/said" && file_has "$T/said" '^group/task: ok'
}
# Options that only a driver can judge on its node.
t_judged_pot() {
	pot=$BUILD/plugins/nomad-driver-pot
	[ -x "$pot" ] || { skip_this 'no pot driver'; return 0; }
	job_json job pot '{ "image": "https://a.example/", "pot": "a", "tag": "1",
		"mount": ["/etc:/etc", "/usr:/usr"], "copy": ["local/a:/a"] }' >"$T/pot.json"
	echo '{ "policy": { "allow_mount": ["/etc"] } }' >"$T/pot-policy.json"
	! "$pot" validate --policy "$T/pot-policy.json" "$T/pot.json" >"$T/said" &&
		file_has "$T/said" 'in policy: allow_mount = ."/etc", "/usr".$'
}
t_stdin() {
	hcl || return 0
	"$driver" validate - <"$T/job.hcl" >"$T/said" && file_has "$T/said" '^group/task: ok'
}
t_bad_hcl() {
	hcl || return 0
	echo 'job "x" {' >"$T/broken.hcl"
	! "$driver" validate "$T/broken.hcl" >"$T/said" 2>&1 && file_has "$T/said" 'broken.hcl:1' &&
		file_has "$T/said" 'nomad job run -output. failed, see its message'
}
t_no_nomad() {
	mkdir "$T/bin" && ln -s "$(command -v cat)" "$T/bin/"
	! PATH=$T/bin "$driver" validate "$T/job.hcl" 2>"$T/said" && file_has "$T/said" \
		'nomad, which converts HCL, is not on PATH; install nomad, or give JSON' &&
		! PATH=$T/bin "$driver" doctor --config "$T/agent.hcl" 2>"$T/said" &&
		file_has "$T/said" 'not on PATH' &&
		PATH=$T/bin "$driver" policy --config "$T/agent.json" >"$T/said"
}
run_test 'the plugin block of an agent, as HCL and JSON' t_config
run_test 'a configuration without this plugin' t_no_block
run_test 'validate lists all mistakes' t_mistakes
run_test 'validate --policy refuses the same as a node' t_judged
run_test 'validate --policy checks options that the driver itself checks' t_judged_pot
run_test 'a job from standard input' t_stdin
run_test 'nomad'"'"'s error for invalid HCL is shown' t_bad_hcl
run_test 'without nomad HCL is refused, JSON is read' t_no_nomad
done_testing
