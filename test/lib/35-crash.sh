#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Plugin or supervisor die at each crash point of supervisor/crash.h; then what
# Nomad does.  The cases: test/conformance/crash_test.go.
TAGS=crash
RUN='TestAllCrashPointsHaveACase|Dies|TestBothDie'
PARALLEL=4
export TAGS RUN PARALLEL
. test/lib/40-conformance.sh
