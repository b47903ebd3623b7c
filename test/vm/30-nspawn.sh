#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A Debian with systemd as PID 1: systems booted by the nspawn driver beside machined.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
requires qemu-system-x86_64 busybox cpio jq
requires_root
require_nomad || skip_all "$_skip_all"
[ -x "$DRIVER" ] || skip_all "no $DRIVER"
[ -e "$ROOT/.complete" ] || skip_all 'no busybox tree'
. test/vm/lib-vm.sh
# Three systems boot in it, one after another.
VM_OPTIONS="--timeout 2400 ${VM_OPTIONS:-}"
run_vm systemd test/vm/guest-nspawn.sh test/vm/lib-guest.sh test/lib.sh test/job.jq test/nspawn/lib-nspawn.sh \
	examples/nspawn/make-root.sh \
	"$ROOT" "$DRIVER" "$NOMAD"
