#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The model test for ten minutes, or MODEL_SECONDS.
MODEL_SECONDS=${MODEL_SECONDS:-600}
GO_TEST_TIMEOUT=${GO_TEST_TIMEOUT:-7200s}
export MODEL_SECONDS GO_TEST_TIMEOUT
. test/lib/30-model.sh
