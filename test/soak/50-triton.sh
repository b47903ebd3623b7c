#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The random loop of jobs on several Triton nodes with many seeds: test/triton/29-loop.sh.  LOOP_JOBS (200) of each of
# LOOP_SEEDS, by default three new ones.
LOOP_JOBS=${LOOP_JOBS:-200}
LOOP_SEEDS=${LOOP_SEEDS:-$(date +%s) $(($(date +%s) + 1)) $(($(date +%s) + 2))}
export LOOP_JOBS LOOP_SEEDS
exec test/triton/29-loop.sh
