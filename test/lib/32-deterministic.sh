#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The core under DET_SEEDS (100,000) schedules in virtual time, from DET_FIRST (1) on: libnomadplugin/core/det_test.c.
# SEED=N runs one of them and prints all that happens in it.
program=${BUILD:-build}/libnomadplugin/core/det_test
[ -x "$program" ] || make -s BUILD="${BUILD:-build}" "$program" || exit 1
DET_SEEDS=${DET_SEEDS:-100000} exec "$program"
