#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The core under schedules that no other run has seen, for DET_SECONDS (600) of a processor.
DET_SECONDS=${DET_SECONDS:-600} DET_FIRST=${DET_FIRST:-$(date +%s)000}
export DET_SECONDS DET_FIRST
. test/lib/32-deterministic.sh
