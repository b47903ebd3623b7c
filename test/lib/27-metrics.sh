#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# What a driver counts while a real agent runs tasks, as a scraper sees it.
. test/lib.sh
requires perl jq
isolate "$@"
require_nomad
driver=$PWD/$BUILD/test/nomad-driver-test
[ -x "$driver" ] || skip_all "$driver is not built"
socket=$T/run/metrics.sock file=$T/collector/nomad.prom
mkdir "$T/plugins" "$T/collector" && cp "$driver" "$T/plugins/"
cat >"$T/plugin.hcl" <<CONFIG
plugin "nomad-driver-test" {
  config {
    state_dir = "$T/state"
    metrics {
      socket   = "$socket"
      file     = "$file"
      interval = "1s"
    }
  }
}
CONFIG
jq -n --arg d "$T/state" --arg s "$socket" '{ state_dir: $d, metrics: { socket: $s } }' >"$T/config.json"
CENSUS_DIRS="$T/state $T/run $T/collector"

scrape() { "$driver" metrics --socket "$socket" >"$T/text"; }
# value SAMPLE: prints its value in the last text, or nothing
value() { awk -v want="nomad_driver_$1" '{ n = $NF; sub(/ [^ ]*$/, "") } $0 == want { print n }' "$T/text"; }
has_value() { scrape && [ "$(value "$1")" = "$2" ]; }
job() { job_json "$1" testdriver "$(jq -n --arg c "$2" '{ command: $c }')" >"$T/$1.json" && run_job "$T/$1.json"; }
d='driver="testdriver"'

t_up() { start_agent one "$T/plugins" "$T/plugin.hcl" && wait_driver testdriver && wait_for 30 'it answers' scrape; }
t_modes() {
	is "$(stat -c '%a %U' "$socket")" '600 root' && is "$(stat -c %a "$file")" 644 &&
		is "$(stat -c %a "$T/state")" 700 && plugin=$(plugin_pid nomad-driver-test) &&
		agent_socket=$(plugin_socket "$plugin") &&
		like "$(stat -c %a "$agent_socket")" '^6[06]0$'
}
plugin_socket() { awk '/plugin[0-9]+$/ { print $NF }' /proc/net/unix | while IFS= read -r s; do [ ! -S "$s" ] ||
	echo "$s"; done | head -n 1; }
t_counts() {
	job zero 'exit 0' && wait_alloc "$ALLOC_ID" complete && job seven 'exit 7' && wait_alloc "$ALLOC_ID" failed &&
		job nine 'kill -9 $$' && wait_alloc "$ALLOC_ID" failed && job service 'exec sleep 1000' &&
		wait_alloc "$ALLOC_ID" running &&
		scrape || return 1
	is "$(value "task_starts_total{$d,result=\"started\"}")" 4 && is \
		"$(value "task_ends_total{$d,kind=\"exit\"}")" 2 &&
		is "$(value "task_ends_total{$d,kind=\"signal\"}")" 1 &&
		is "$(value "tasks{$d,state=\"running\"}")" 1 &&
		is "$(value "grpc_server_in_flight{$d,grpc_service=\"hashicorp.nomad.plugins.drivers.proto.Driver\",grpc_method=\"WaitTask\"}")" 1 &&
		file_has "$T/text" 'grpc_method="Fingerprint"} 1$'
}
t_strict() { test/openmetrics 2000 <"$T/text" && cp "$file" "$T/copy" && test/openmetrics 2000 <"$T/copy"; }
# The reference parser, and that of the older format, which node_exporter has: both read all.
t_reference() {
	/usr/bin/python3 -c 'import prometheus_client' 2>/dev/null ||
		{ skip_this 'no python3-prometheus-client'; return 0; }
	/usr/bin/python3 - "$T/text" "$file" <<-'PYTHON'
	import sys
	from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict
	from prometheus_client.parser import text_string_to_metric_families as older
	for path in sys.argv[1:]:
	    text = open(path, encoding="utf-8").read()
	    families = list(strict(text))
	    samples = {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}
	    again = {(s.name, tuple(sorted(s.labels.items()))): s.value for f in older(text) for s in f.samples}
	    assert len(families) > 20 and samples == again, (path, set(samples) ^ set(again))
	    assert all(l == "testdriver" for n, ls in samples for k, l in ls if k == "driver")
	PYTHON
}
t_command() {
	"$driver" metrics --config "$T/config.json" >"$T/shown" && test/openmetrics <"$T/shown" &&
		file_has "$T/shown" "^nomad_driver_tasks" || return 1
	! "$driver" metrics >"$T/shown" 2>&1 && file_has "$T/shown" 'metrics are off.*\[nd-missing\]'
}
t_plain() {
	perl -MIO::Socket::UNIX -e 'print IO::Socket::UNIX->new(Peer => shift)->getlines' "$socket" >"$T/plain" &&
		test/openmetrics 2000 <"$T/plain" && is "$(head -c 7 "$T/plain")" '# TYPE '
}
t_killed() {
	before=$(value "process_start_time_seconds{$d}")
	kill -9 "$plugin" && wait_for 90 'another plugin has recovered the task' has_value \
		"task_recovers_total{$d,result=\"recovered\"}" 1 &&
		[ "$(value "process_start_time_seconds{$d}")" != "$before" ] &&
		is "$(value "tasks{$d,state=\"running\"}")" 1
}
t_down() { purge_job service && stop_agent && wait_for 30 'socket and file are gone' gone; }
gone() { [ ! -e "$socket" ] && [ ! -e "$file" ] && [ ! -e "$file.new" ]; }

run_test 'the plugin shows its metrics on the socket that its configuration names' t_up
run_test 'socket 0600, file 0644, state directory 0700' t_modes
run_test 'starts, ends by kind, tasks and open calls are counted' t_counts
run_test 'socket and file have valid OpenMetrics text' t_strict
run_test 'the reference parser and node_exporter'"'"'s read the same values' t_reference
run_test 'the command prints the metrics, or reports that they are off' t_command
run_test 'each client gets plain text, without a request' t_plain
run_test 'killed: the next plugin takes the socket over and counts the recovery' t_killed
run_test 'the plugin removes socket and file at its end' t_down
done_testing
