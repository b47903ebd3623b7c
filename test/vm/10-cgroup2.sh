#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A machine with cgroup v2 alone and nothing in it but our programs.
. test/lib.sh
requires qemu-system-x86_64 busybox cpio jq perl
for f in "$BUILD/test/nomad-driver-test" "$BUILD"/libnomadplugin/os/*_test \
	"$BUILD/libnomadplugin/os/linux/confine_test" "$BUILD"/libnomadplugin/supervisor/*_test; do
	[ -x "$f" ] || skip_all "$f is not built"
done
. test/vm/lib-vm.sh
# What the tests' tasks run: the distribution's, no wrappers of somebody's home.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
programs=$(for p in jq perl pgrep ps unshare setpriv nsenter setsid taskset printenv od python3 dash sh; do command -v \
	$p || :; done)
perl_dir=$(perl -e 'print grep /perl-base/, @INC')
# Of Python only what is imported.
python=$(python3 -c 'import os, socket, sys
for m in list(sys.modules.values()) + [os]:
	for f in (getattr(m, "__file__", None), getattr(m, "__cached__", None)):
		if f and os.path.exists(f): print(f)' 2>/dev/null | sort -u)
conformance=
[ ! -x "$BUILD/test/conformance.test" ] ||
	conformance="$BUILD/test/conformance.test test/conformance test/corpus libnomadplugin/wire"
# shellcheck disable=SC2086
run_vm initramfs test/vm/guest-cgroup2.sh test/vm/lib-guest.sh test/lib/lib-limits.sh test/lib.sh \
	test/job.jq test/vm/job.jq test/go2tap \
	"$BUILD/test/nomad-driver-test" \
	"$BUILD"/libnomadplugin/os/*_test "$BUILD/libnomadplugin/os/linux/confine_test" \
	"$BUILD"/libnomadplugin/supervisor/*_test $programs $perl_dir $python $conformance
