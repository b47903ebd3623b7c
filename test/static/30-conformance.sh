#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The conformance tests with the static test driver of this machine's CPU.
PLUGIN=${BUILD:-build}/static/$(uname -m)/test/nomad-driver-test
export PLUGIN
. test/lib/40-conformance.sh
