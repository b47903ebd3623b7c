#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The attacks of test/escape in a Debian with systemd as PID 1 and machined.
MACHINE=systemd
. test/vm/40-escape.sh
