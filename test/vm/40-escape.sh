#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The attacks of test/escape in a machine with cgroup v2 alone, without systemd.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
requires qemu-system-x86_64 busybox cpio jq
requires_root
[ -x "$DRIVER" ] || skip_all "no $DRIVER"
[ -e "$ROOT/.complete" ] || skip_all 'no busybox tree'
set -- "$BUILD/test/conformance-nspawn.test" "$BUILD"/test/escape/attack "$BUILD"/test/escape/impostor \
	"$BUILD"/test/escape/old-enter
for f; do [ -x "$f" ] || skip_all "$f is not built: test/escape/10-attacks.sh does"; done
. test/vm/lib-vm.sh
VM_OPTIONS="--timeout 3600 ${VM_OPTIONS:-}"
run_vm "${MACHINE:-debian}" test/vm/guest-escape.sh test/vm/lib-guest.sh test/lib.sh test/nspawn/lib-nspawn.sh \
	test/go2tap test/conformance test/corpus libnomadplugin/wire examples/nspawn/make-root.sh "$ROOT" "$DRIVER" "$@"
