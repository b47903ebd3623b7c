#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The plugin dies while it destroys a task: the next one continues.
STEPS=destroy GC_GRACE=5
. test/pot/50-crash.sh
