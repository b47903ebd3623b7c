#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The model of an agent for MODEL_SECONDS (600) with each driver, and ROUNDS (50) rounds of each death under a real
# agent.
. test/lib.sh
MODEL_SECONDS=${MODEL_SECONDS:-600} ROUNDS=${ROUNDS:-50} TASKS=${TASKS:-20} GO_TEST_TIMEOUT=${GO_TEST_TIMEOUT:-7200s}
export MODEL_SECONDS ROUNDS TASKS GO_TEST_TIMEOUT
passes() { "$1" >"$T/out" 2>&1 || { grep -v '^ok' "$T/out" | head -n 200; return 1; }; }
for script in test/*/[0-9]*-client.sh test/*/[0-9]*-deaths.sh; do
	case $script in test/soak/*) ;; *) run_test "$script" passes "$script" ;; esac
done
done_testing
