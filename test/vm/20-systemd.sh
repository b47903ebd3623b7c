#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A Debian with systemd as PID 1: the nspawn driver beside machined, journal and logind, and under a real agent.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
requires qemu-system-x86_64 busybox cpio jq
requires_root
[ -x "$DRIVER" ] || skip_all "no $DRIVER"
[ -e "$ROOT/.complete" ] || skip_all 'no busybox tree'
. test/vm/lib-vm.sh
nomad=${NOMAD:-$(command -v nomad || true)}
# shellcheck disable=SC2086
run_vm systemd test/vm/guest-systemd.sh test/vm/lib-guest.sh test/lib.sh test/job.jq test/nspawn/lib-nspawn.sh \
	examples/nspawn/make-root.sh \
	"$ROOT" "$DRIVER" ${nomad:+"$nomad"}
