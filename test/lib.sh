# shellcheck shell=sh
# SPDX-License-Identifier: MPL-2.0
#
# test/lib.sh: what whole-program tests share.  To be sourced, from the top
# of the tree, by an executable test/PART/NN-name.sh:
#
#	#!/bin/sh
#	# SPDX-License-Identifier: MPL-2.0
#	. test/lib.sh
#	isolate "$@"			# optional, must come first
#	require_nomad			# optional: without it each test is skipped
#	requires systemd-nspawn		# optional: without it the whole file is
#	t_healthy() { ... ; }		# 0: passed; what it prints is shown on failure
#	run_test 'the node shows the driver healthy' t_healthy
#	done_testing
#
# Output is TAP.  A function of run_test runs in this shell (it may set
# variables) with `set +e`: join its steps with && or return early.
#
#   isolate [--with-network]     re-execute the script in its own pid, mount,
#                                cgroup, ipc and network namespace, with a
#                                /run/netns of its own: the census is exact,
#                                ports are free, nothing survives
#   requires CMD...  requires_root  requires_linux   or skip the whole file
#   require_nomad                sets $NOMAD, or marks every test as skipped
#   require_group_network DRIVER   the same, for groups with a bridge; puts the driver into
#                                $T/plugins and the agent's part into $T/cni.hcl
#   no_group_network TASK        marks all that follows as skipped if this agent cannot make one
#   run_test WHAT FUNCTION [ARG...]
#   ok WHAT / not_ok WHAT [DETAIL] / skip WHAT WHY / skip_all WHY / diag TEXT
#   is GOT WANT / like TEXT PATTERN / file_has FILE PATTERN   0 or 1, saying why
#   wait_for SECONDS WHAT COMMAND...   until COMMAND succeeds
#   cleanup COMMAND              run at the end, last registered first
#   $T                           the test's temporary directory ($TMPDIR is in it)
#
#   start_agent NAME PLUGIN_DIR [CONFIG_FILE...]   server and client in one; again with
#                                the same NAME after stop_agent: the same agent restarted.
#                                Sets NOMAD_ADDR, AGENT_PID, AGENT_DIR (agent.log, data/)
#   stop_agent [SIGNAL [SECONDS]]   TERM and 60; fails if it had to be killed
#   node_driver NAME             its DriverInfo as JSON
#   wait_driver NAME [SECONDS]   until it is healthy
#   job_json ID DRIVER CONFIG_JSON [TYPE]    a job with one task "task", on stdout
#   run_job FILE [ARG...]        HCL or JSON; sets JOB_ID and, once there is one, ALLOC_ID
#   submit_job FILE [ARG...]     the same without waiting for an allocation
#   alloc_status ALLOC           pending, running, complete, failed, lost
#   wait_alloc ALLOC STATUS [SECONDS]
#   purge_job JOB                stop it, have Nomad collect it, wait until its directories are gone
#   task_exit_code ALLOC TASK    of its last termination
#   task_events ALLOC TASK       one line each: type: message
#   alloc_logs ALLOC TASK [stdout|stderr]
#   policy_lines ALLOC TASK      the lines that the refusal of its start tells to write into the policy
#   run_by_message FILE TASK DRIVER RULE...   run a job that the policy refuses: each time add the lines of
#                                the message to $T/policy, call `configure` and restart the agent, until it is
#                                not refused.  These RULEs it has to take, in this order
#   plugin_pid FILE_NAME         of the plugin that the agent (or its past life) runs
#   api METHOD PATH [BODY]       the agent's HTTP API
#
#   census_before [PID...]  census_after [PID...]   what there is: processes,
#                                cgroups, mounts, namespaces, links, firewall
#                                rules, sockets, files of $CENSUS_DIRS, and the
#                                descriptors of the pids.  census_after prints the
#                                differences and fails if there are any.  It looks
#                                again for up to $CENSUS_WAIT (10) seconds.

T=${NOMAD_TEST_DIR:-}
_n=0 _failed=0 _skip_all='' _cleanups=''
BUILD=${BUILD:-build}
# What the library adds to each driver's plugin options, and tests itself.
LIBRARY_OPTIONS='state_dir|gc_grace|metrics|policy|log_[a-z_]*'
: "${TEST_PATIENCE:=1}"		# multiplies every wait, for slow machines
# Where make is another one.
: "${MAKE:=$(command -v gmake || echo make)}"

# ---- TAP ---------------------------------------------------------------------

diag() { printf '%s\n' "$*" | sed 's/^/# /'; }
ok() { _n=$((_n + 1)); printf 'ok %d - %s\n' $_n "$1"; }
not_ok() {
	_n=$((_n + 1)) _failed=$((_failed + 1))
	printf 'not ok %d - %s\n' $_n "$1"
	[ -z "${2:-}" ] || diag "$2"
}
skip() { _n=$((_n + 1)); printf 'ok %d - %s # SKIP %s\n' $_n "$1" "$2"; }
skip_all() { printf '1..0 # SKIP %s\nok 1 - %s # SKIP %s\n' "$1" "${0##*/}" "$1"; exit 0; }
done_testing() {
	printf '1..%d\n' $_n
	[ $_n -gt 0 ] || { echo 'not ok 1 - no test was run'; exit 1; }
	[ $_failed -eq 0 ]
	exit
}

run_test() {
	_what=$1; shift
	if [ -n "$_skip_all" ]; then skip "$_what" "$_skip_all"; return 0; fi
	_skip_this=
	if "$@" >"$T/.run" 2>&1; then
		if [ -n "$_skip_this" ]; then skip "$_what" "$_skip_this"; else ok "$_what"; fi
	else
		not_ok "$_what" "$(tail -n 60 "$T/.run")"
		return 0
	fi
}
# In a function of run_test: `skip_this WHY; return 0`.
skip_this() { _skip_this=$1; }

is() { [ "$1" = "$2" ] || { printf 'got  "%s"\nwant "%s"\n' "$1" "$2"; return 1; }; }
like() { printf '%s\n' "$1" | grep -Eq -e "$2" || { printf 'text: %s\ndoes not match: %s\n' "$1" "$2"; return 1; }; }
unlike() { ! printf '%s\n' "$1" | grep -Eq -e "$2" || { printf 'text: %s\nmatches: %s\n' "$1" "$2"; return 1; }; }
file_has() { grep -Eq -e "$2" "$1" || { printf '%s does not contain %s; it ends:\n' "$1" "$2"; tail -n 20 "$1"
	return 1; }; }

# ---- What a test needs -------------------------------------------------------

requires() {
	for _c in "$@"; do
		command -v "$_c" >/dev/null || skip_all "no $_c on PATH"
	done
}
requires_root() { [ "$(id -u)" -eq 0 ] || skip_all 'not root'; }
requires_linux() { [ "$(uname -s)" = Linux ] || skip_all "not Linux but $(uname -s)"; }
require_nomad() {
	NOMAD=${NOMAD:-$(command -v nomad || true)}
	if [ -z "$NOMAD" ] || [ ! -x "$NOMAD" ]; then _skip_all='no nomad on PATH'
	elif [ "$(id -u)" -ne 0 ]; then _skip_all='not root'
	elif ! command -v jq >/dev/null; then _skip_all='no jq on PATH'
	fi
	[ -z "$_skip_all" ]
}
# Mark all that follows as skipped: skip_tests WHY
skip_tests() { _skip_all=$1; }
require_group_network() {
	require_nomad
	[ -x /usr/lib/cni/bridge ] || skip_all 'no CNI plugins in /usr/lib/cni'
	requires iptables perl
	mkdir "$T/plugins" && cp "$1" "$T/plugins/" && echo 'client { cni_path = "/usr/lib/cni" }' >"$T/cni.hcl"
}
no_group_network() {
	! task_events "$ALLOC_ID" "$1" | grep -q 'hook "network"' || skip_tests 'this agent cannot make networks'
}

wait_for() {
	_seconds=$(($1 * TEST_PATIENCE)) _wf_what=$2; shift 2
	_end=$(($(date +%s) + _seconds))
	until "$@"; do
		[ "$(date +%s)" -lt $_end ] || { echo "waited ${_seconds} s in vain: $_wf_what"; return 1; }
		sleep 0.1
	done
}
pid_gone() {
	if [ -d /proc/self ]; then [ ! -d "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
	else case $(ps -o stat= -p "$1") in '' | Z*) return 0 ;; *) return 1 ;; esac; fi
}

# ---- Clean-up ----------------------------------------------------------------

cleanup() {
	_cleanups="$1
$_cleanups"
}
_at_exit() {
	_status=$?
	trap - EXIT INT TERM
	set +e
	printf '%s' "$_cleanups" >"$T/.cleanups"
	while IFS= read -r _line; do
		[ -z "$_line" ] || eval "$_line" >/dev/null 2>&1 </dev/null
	done <"$T/.cleanups"
	for _f in "$T"/agent-*/pid; do
		[ ! -e "$_f" ] || kill -9 "$(cat "$_f")" 2>/dev/null
	done
	if [ -n "${KEEP:-}" ]; then
		[ -n "${NOMAD_TEST_DIR:-}" ] || diag "kept: $T"
	elif [ -z "${NOMAD_TEST_DIR:-}" ]; then
		_remove_dir "$T"
	fi
	exit $_status
}
# Unmount what is below a directory, deepest first, then remove it.
_remove_dir() {
	if [ -r /proc/self/mounts ]; then
		awk -v d="$1/" 'index($2, d) == 1 { print $2 }' /proc/self/mounts | sort -r |
			while IFS= read -r _m; do umount -l "$_m" 2>/dev/null; done
	fi
	# The same wish, as GNU and as BSD spell it.
	if rm --version >/dev/null 2>&1; then rm -rf --one-file-system "$1"; else rm -rfx "$1"; fi
}
_make_dir() {
	T=$(mktemp -d /tmp/ndt.XXXXXX) || exit 1
	mkdir "$T/tmp"
}

# ---- Isolation ---------------------------------------------------------------

# A new pid namespace needs someone who reaps: everything in it dies with him.
_reaper='$p = fork // die; if (!$p) { exec @ARGV; exit 127 } $SIG{$_} = sub { kill "TERM", $p } for qw(TERM INT HUP); \
while (1) { $w = wait; next if $w < 0 && $!{EINTR}; last if $w == $p || $w < 0 } \
$s = $?; exit($s & 127 ? 128 + ($s & 127) : $s >> 8)'
_reaper=$(printf %s "$_reaper" | tr -d '\\\n')

isolate() {
	[ -z "${NOMAD_TEST_DIR:-}" ] || { _isolated "$@"; return; }
	requires_linux; requires_root; requires unshare perl ip
	_net=--net
	for _a in "$@"; do [ "$_a" != --with-network ] || _net=; done
	_cg_make
	# shellcheck disable=SC2086
	NOMAD_TEST_DIR=$T unshare --mount --pid --fork --kill-child --ipc $_net \
		sh -c '_join() {
				for d in $1; do echo 0 >"$d/cgroup.procs" || return 1; done; }
			_join "$1" 2>/dev/null; shift; exec "$@"' sh "$_cg_dirs" \
		unshare --cgroup --mount-proc perl -e "$_reaper" sh "$0" "$@"
	_status=$?
	for _d in $_cg_dirs; do
		find "$_d" -depth -type d -exec rmdir {} + 2>/dev/null
	done
	exit $_status
}
# One cgroup in each hierarchy, that becomes the root of what the test sees.
_cg_make() {
	_cg_dirs=
	for _h in $(awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/self/mounts); do
		_own=$_h/$(basename "$T")
		mkdir "$_own" 2>/dev/null || continue
		for _f in cpuset.cpus cpuset.mems; do
			[ ! -e "$_h/$_f" ] || cat "$_h/$_f" >"$_own/$_f" 2>/dev/null
		done
		_cg_dirs="$_cg_dirs $_own"
	done
}
_isolated() {
	ip link set lo up 2>/dev/null
	# What ip and Nomad put there is seen by all who share it.
	mkdir -p /run/netns && mount -t tmpfs -o mode=755 tmpfs /run/netns
	while read -r _dev _dir _type _opts _; do
		case $_type in
		cgroup)
			_sel=$(printf '%s\n' "$_opts" | tr , '\n' | grep -vE \
				'^(rw|ro|nosuid|nodev|noexec|relatime|xattr|clone_children|release_agent=.*)$' |
				paste -sd,)
			umount "$_dir" 2>/dev/null && mount -t cgroup -o "$_sel" cgroup "$_dir" ;;
		cgroup2)
			umount "$_dir" 2>/dev/null && mount -t cgroup2 cgroup2 "$_dir"
			# Controllers cannot be enabled below a cgroup that holds processes.
			if [ -e "$_dir/cgroup.controllers" ]; then
				mkdir -p "$_dir/test" && for _p in $(cat "$_dir/cgroup.procs"); do
					echo "$_p" >"$_dir/test/cgroup.procs"
				done
			fi ;;
		esac
	done <<-MOUNTS 2>/dev/null
	$(awk '$3 ~ /^cgroup2?$/' /proc/self/mounts)
	MOUNTS
}

# ---- A Nomad agent -----------------------------------------------------------

_free_ports() {
	perl -MIO::Socket::INET -e 'for (1 .. $ARGV[0]) {
		push @s, IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die }
		print join(" ", map { $_->sockport } @s), "\n"' "$1"
}

start_agent() {
	_name=$1 _plugins=$(cd "$2" && pwd) || return 1
	shift 2
	AGENT_DIR=$T/agent-$_name
	if [ ! -d "$AGENT_DIR" ]; then
		mkdir -p "$AGENT_DIR/data" "$AGENT_DIR/tmp"
		read -r _http _rpc _serf <<-PORTS
		$(_free_ports 3)
		PORTS
		echo "$_http" >"$AGENT_DIR/port"
		cat >"$AGENT_DIR/agent.hcl" <<-CONFIG
		name = "$_name"
		region = "global"
		datacenter = "dc1"
		data_dir = "$AGENT_DIR/data"
		plugin_dir = "$_plugins"
		bind_addr = "127.0.0.1"
		log_level = "DEBUG"
		disable_update_check = true
		ports {
		  http = $_http
		  rpc = $_rpc
		  serf = $_serf
		}
		advertise {
		  http = "127.0.0.1"
		  rpc = "127.0.0.1"
		  serf = "127.0.0.1"
		}
		server {
		  enabled = true
		  bootstrap_expect = 1
		  raft_multiplier = 1
		}
		client {
		  enabled = true
		  servers = ["127.0.0.1:$_rpc"]
		  network_interface = "lo"
		  cpu_total_compute = 4000
		  options = {
		    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean,consul,vault,cni"
		    "driver.denylist" = "docker,java,qemu"
		  }
		}
		telemetry {
		  publish_allocation_metrics = true
		  collection_interval = "1s"
		}
		CONFIG
		# Since 1.10 a plugin needs a block of its own; configurations that are
		# given may have it already.
		for _p in "$_plugins"/*; do
			[ -f "$_p" ] && [ -x "$_p" ] || continue
			_p=${_p##*/}
			[ $# -gt 0 ] && grep -q "plugin *\"$_p\"" "$@" && continue
			printf 'plugin "%s" {\n  config {}\n}\n' "$_p" >>"$AGENT_DIR/agent.hcl"
		done
	fi
	NOMAD_ADDR=http://127.0.0.1:$(cat "$AGENT_DIR/port")
	export NOMAD_ADDR
	unset NOMAD_TOKEN NOMAD_NAMESPACE NOMAD_REGION
	_args=
	for _c in "$@"; do _args="$_args -config=$_c"; done
	# shellcheck disable=SC2086
	TMPDIR=$AGENT_DIR/tmp "$NOMAD" agent -config="$AGENT_DIR/agent.hcl" $_args \
		>>"$AGENT_DIR/agent.log" 2>&1 </dev/null &
	AGENT_PID=$!
	echo $AGENT_PID >"$AGENT_DIR/pid"
	wait_for 90 'the agent is up and has a ready node' _agent_ready || {
		tail -n 40 "$AGENT_DIR/agent.log"; return 1; }
}
_agent_ready() {
	kill -0 "$AGENT_PID" 2>/dev/null || { echo 'the agent has ended'; sleep 1; return 1; }
	# jq 1.6 ends with 0 where it gets nothing.
	NODE_ID=$(api GET /v1/nodes 2>/dev/null | jq -r 'map(select(.Status == "ready"))[0].ID // empty' 2>/dev/null)
	[ -n "$NODE_ID" ]
}

stop_agent() {
	kill -"${1:-TERM}" "$AGENT_PID" 2>/dev/null
	if wait_for "${2:-60}" 'the agent has ended' pid_gone "$AGENT_PID"; then
		wait "$AGENT_PID" 2>/dev/null
		rm -f "$AGENT_DIR/pid"
		return 0
	fi
	kill -9 "$AGENT_PID" 2>/dev/null
	wait "$AGENT_PID" 2>/dev/null
	rm -f "$AGENT_DIR/pid"
	return 1
}

api() {
	if command -v curl >/dev/null; then
		if [ -n "${3:-}" ]; then curl -sS -m 30 -f -X "$1" --data-binary "$3" "$NOMAD_ADDR$2"
		else curl -sS -m 30 -f -X "$1" "$NOMAD_ADDR$2"; fi
	elif [ -n "${3:-}" ]; then printf '%s' "$3" | "$NOMAD" operator api -X "$1" "$2" -
	else "$NOMAD" operator api -X "$1" "$2"; fi
}

node_driver() { api GET "/v1/node/$NODE_ID" | jq -e --arg d "$1" '.Drivers[$d]'; }
_driver_healthy() { [ "$(node_driver "$1" 2>/dev/null | jq '.Detected and .Healthy' 2>/dev/null)" = true ]; }
wait_driver() { wait_for "${2:-60}" "driver $1 is healthy" _driver_healthy "$1" || { node_driver "$1"; return 1; }; }

job_json() {
	jq -n --arg id "$1" --arg driver "$2" --argjson config "$3" --arg type "${4:-batch}" -f test/job.jq
}

submit_job() {
	_file=$1; shift
	case $_file in *.json) set -- -json "$@" ;; esac
	_out=$("$NOMAD" job run -detach "$@" "$_file" 2>&1) || { echo "$_out"; return 1; }
	case $_file in
	*.json) JOB_ID=$(jq -r '(.Job // .).ID' "$_file") ;;
	*) JOB_ID=$(sed -n 's/^ *job *"\([^"]*\)".*/\1/p' "$_file" | head -n 1) ;;
	esac
}
run_job() {
	submit_job "$@" || return 1
	ALLOC_ID=
	wait_for 30 "job $JOB_ID has an allocation" _job_alloc || { "$NOMAD" job status "$JOB_ID"; return 1; }
}
_job_alloc() {
	ALLOC_ID=$(api GET "/v1/job/$JOB_ID/allocations" | jq -er 'max_by(.CreateIndex).ID // empty') 2>/dev/null
	[ -n "$ALLOC_ID" ]
}
alloc_status() { api GET "/v1/allocation/$1" | jq -r .ClientStatus; }
_alloc_is() { [ "$(alloc_status "$1" 2>/dev/null)" = "$2" ]; }
wait_alloc() {
	wait_for "${3:-60}" "allocation $1 is $2" _alloc_is "$1" "$2" || {
		"$NOMAD" alloc status "$1"; return 1; }
}
task_state() { api GET "/v1/allocation/$1" | jq --arg t "$2" '.TaskStates[$t]'; }
task_exit_code() { task_state "$1" "$2" | jq -r '[.Events[] | select(.Type == "Terminated")] | last | .ExitCode'; }
task_events() { task_state "$1" "$2" | jq -r '.Events[]? | "\(.Type): \(.DisplayMessage)"'; }
policy_lines() {
	task_events "$1" "$2" | perl -ne 'print "$1\n" while
		/(?:in\ policy:\ |policy\ \{\ |policy\ in\ the\ plugin\ block:\ )
		((?:allow|max)_\w+\ =\ .+?)(?=\ \}|;\ option\ \x27|\ \[nd-|$)/gx' |
		sort -u
}
run_by_message() {
	_rm_job=$1 _rm_task=$2 _rm_driver=$3 _rm_added=; shift 3
	while :; do
		run_job "$_rm_job" && wait_for 120 'the start is judged' _judged "$_rm_task" || return 1
		_lines=$(policy_lines "$ALLOC_ID" "$_rm_task")
		[ -n "$_lines" ] || break
		printf 'to add:\n%s\n' "$_lines"
		for _rule in $(echo "$_lines" | sed 's/ =.*//'); do
			_rm_added="$_rm_added $_rule"
			sed -i "/^$_rule =/d" "$T/policy"
		done
		echo "$_lines" >>"$T/policy"
		purge_job "$JOB_ID" && stop_agent && configure &&
			start_agent "${AGENT_DIR##*/agent-}" "$T/plugins" "$T/plugin.hcl" &&
			wait_driver "$_rm_driver" || return 1
	done
	is "${_rm_added# }" "$*"
}
_judged() { task_events "$ALLOC_ID" "$1" 2>/dev/null | grep -Eq '^(Started|Driver Failure|Terminated)'; }
alloc_logs() {
	if [ "${3:-stdout}" = stderr ]; then "$NOMAD" alloc logs -stderr "$1" "$2"
	else "$NOMAD" alloc logs "$1" "$2"; fi
}
# Nomad keeps mounts and files of an allocation until it is collected.
purge_job() {
	# A dead one may have been collected together with another.
	"$NOMAD" job stop -detach -purge "$1" >"$T/.purge" 2>&1 || grep -q 'No job(s)' "$T/.purge" ||
		{ cat "$T/.purge"; return 1; }
	wait_for 60 "the allocations of $1 are collected" _collected
}
_collected() {
	api PUT /v1/system/gc >/dev/null
	[ -z "$(find "$AGENT_DIR/data/alloc" -mindepth 1 -maxdepth 1 2>/dev/null)" ]
}
# The youngest process that runs the file.
plugin_pid() {
	for _d in /proc/[0-9]*; do
		_exe=$(readlink "$_d/exe" 2>/dev/null) || continue
		[ "${_exe##*/}" = "$1" ] || continue
		grep -qz '^NOMAD_PLUGIN_MAGIC_COOKIE=' "$_d/environ" 2>/dev/null || continue
		echo "${_d#/proc/}"
	done | sort -n | tail -n 1
}

# ---- The census --------------------------------------------------------------

# Numbers that differ from run to run are left out, counts are kept.
_census() {
	for _d in /proc/[0-9]*; do
		_p=${_d#/proc/}
		[ "$_p" != $$ ] || continue
		[ -n "${NOMAD_TEST_DIR:-}" ] || grep -qzF "$T" "$_d/environ" "$_d/cmdline" 2>/dev/null || continue
		# Not the census itself: what this shell has just started.
		_ppid=$(sed -n 's/^PPid:.//p' "$_d/status" 2>/dev/null)
		_state=$(sed -n 's/^State:.\(.\).*/\1/p' "$_d/status" 2>/dev/null)
		[ -n "$_state" ] || continue
		case " $_census_self " in *" $_p "*|*" $_ppid "*) continue ;; esac
		[ "$_ppid" = 2 ] && [ "$(cat /proc/2/comm 2>/dev/null)" = kthreadd ] &&
			continue	# the kernel's own
		_cmd=$(tr '\0\n' '  ' <"$_d/cmdline" 2>/dev/null)
		[ -d "$_d" ] || continue
		[ "$_state" = Z ] && _cmd="ZOMBIE $(cat "$_d/comm" 2>/dev/null) of $_ppid"
		echo "process: $_cmd"
	done
	for _p in "$@"; do
		for _f in /proc/"$_p"/fd/*; do
			_l=$(readlink "$_f") || continue
			echo "descriptor of $(cat "/proc/$_p/comm"): $(echo "$_l" | sed 's/\[[0-9]*\]//')"
		done
		echo "threads of $(cat "/proc/$_p/comm"): $(find "/proc/$_p/task" -mindepth 1 -maxdepth 1 | wc -l)" >&3
	done
	# Nomad makes its own upper levels once and keeps them, and so do we.
	find /sys/fs/cgroup -mindepth 1 -type d 2>/dev/null |
		grep -vE '/(nomad|nomad\.slice)(/(share|reserve)(\.slice)?)?$|/nomad-drivers(/supervisors)?$' |
		sed 's/^/cgroup: /'
	# Of the mounts below /tmp ours only: others' go away with their directories.
	awk -v t="$T/" '$2 !~ /^\/tmp\// || index($2, t) == 1 { print "mount: " $2 " " $3 }' /proc/self/mounts
	[ ! -d /run/netns ] || find /run/netns -mindepth 1 | sed 's/^/network namespace: /'
	ip -o link 2>/dev/null | sed 's/^[0-9]*: \([^:@]*\).*/link: \1/'
	command -v nft >/dev/null && nft list ruleset 2>/dev/null | sed \
		's/counter packets [0-9]* bytes [0-9]*//; s/^/nft: /'
	command -v iptables-save >/dev/null && iptables-save 2>/dev/null | grep -v '^[#:]' | sed 's/^/iptables: /'
	# Nomad's own helpers leave theirs in the agent's temporary directory.
	find "$T" ${CENSUS_DIRS:-} -path "$T/agent-*/tmp" -prune -o -type s -print 2>/dev/null |
		sed 's/^/socket: /; s/plugin[0-9]*$/plugin/'
	for _d in ${CENSUS_DIRS:-}; do
		# Which node an agent is of is kept for good.
		find "$_d" -mindepth 1 ! -type s ! -path '*/agents*' 2>/dev/null | sed 's/^/file: /'
	done
}
_census_to() {
	_to=$1; shift
	_census_self=
	if [ -n "${NOMAD_TEST_DIR:-}" ]; then _census "$@" 3>/dev/null
	else _census "$@" 3>/dev/null | grep -vE '^(cgroup|mount|link|nft|iptables|network namespace): '
	fi | _census_filter | sort >"$_to"
}
# Of the shell's own pipeline, and what the test says is no leak.
_census_filter() { grep -vE "^process: (sh|/bin/sh|dash|/bin/dash|bash) .*${0##*/}|^process: (sort|sed|grep|find|tr|cat|perl -e .p = fork)|${CENSUS_IGNORE:-^\$}"; }

census_before() { _census_to "$T/.census" "$@"; }
census_after() {
	_census_end=$(($(date +%s) + ${CENSUS_WAIT:-10} * TEST_PATIENCE))
	while :; do
		_census_to "$T/.census-after" "$@"
		_diff=$(diff "$T/.census" "$T/.census-after" | sed -n 's/^</gone:/p; s/^>/left:/p')
		[ -n "$_diff" ] || return 0
		[ "$(date +%s)" -lt $_census_end ] || break
		sleep 0.5
	done
	echo "$_diff"
	return 1
}

# ------------------------------------------------------------------------------

[ -n "$T" ] || _make_dir
TMPDIR=$T/tmp
export TMPDIR BUILD
trap _at_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
