#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Many tasks at once, many one after another, many deaths of the plugin: what
# they cost.  The cases: test/conformance/soak_test.go.
TAGS=soak
RUN=${RUN:-Soak}
FIGURES=$PWD/${BUILD:-build}/soak.txt
GO_TEST_TIMEOUT=${GO_TEST_TIMEOUT:-3600s}
export TAGS RUN FIGURES GO_TEST_TIMEOUT
[ -n "${NOMAD_TEST_DIR:-}" ] || rm -f "$FIGURES"
. test/lib/40-conformance.sh
