#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# make freebsd-report, on Linux with the stand-in for pot, as far as that goes.
. test/lib.sh
. test/pot/lib-pot.sh
isolate "$@"
requires jq python3
make_pot
t_report() {
	PATH=$POT_DIR/bin:$PATH NO_BUILD=1 UNIT_TESTS=nomad-driver-pot/config_test OUT=$T/report.txt \
		POT_IMAGE=file://$POT_DIR/images POT_NAME=img POT_TAG=1.0 PASSWORD=report-canary \
		CONFIG="\"pot_path\": \"$POT_DIR/bin/pot\", \"path\": \"$(pot_path)\"," \
		timeout 900 test/freebsd/report >"$T/said" 2>&1 || { cat "$T/report.txt"; return 1; }
	file_has "$T/report.txt" '^== [0-9]+ passed, 0 failed$' && pot_census
}
run_test 'all tasks of the report pass and leave nothing behind' t_report
t_contents() {
	[ "$(grep -c '^ok' "$T/report.txt")" -ge 25 ] && file_has "$T/report.txt" '^== kernel messages' || return 1
	unlike "$(cat "$T/report.txt")" "report-canary|$(hostname)|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+"
}
run_test 'the report has versions and results, but no address, host name or secret' t_contents
done_testing
