#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Random sequences of calls and deaths against a model of what has to come of
# them, MODEL_SECONDS (30) long: test/conformance/model_test.go.  MODEL_SEED
# repeats one sequence.
TAGS=model
RUN=TestModel
export TAGS RUN
. test/lib/40-conformance.sh
