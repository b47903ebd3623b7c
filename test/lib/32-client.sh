#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Random schedules of an agent and of everything else that can die: test/conformance/client_world_test.go.
# MODEL_SECONDS (30) or MODEL_SEEDS of them; MODEL_SEED repeats one.
TAGS=model
RUN=TestClient
export TAGS RUN
. test/lib/40-conformance.sh
