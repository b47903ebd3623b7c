#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Each call that can fail, fails: all of them, where `make test` takes every third.
program=${BUILD:-build}/libnomadplugin/core/inject_test
[ -x "$program" ] || make -s BUILD="${BUILD:-build}" "$program" || exit 1
INJECT_STRIDE=1 exec "$program"
