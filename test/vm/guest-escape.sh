#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# In the machine: hostile containers, cgroup v2 alone.
NOMAD_TEST_DIR=/var/lib/vm
mkdir -p $NOMAD_TEST_DIR/tmp
. test/lib.sh
. test/vm/lib-guest.sh
. test/nspawn/lib-nspawn.sh
need_root_tree
[ -s /etc/machine-id ] || tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
# What systemd does by itself meanwhile is not ours.
CENSUS_IGNORE='^(process: .*(systemd|udev|dbus|agetty|machinectl)|cgroup: .*/(system|user|init)[.](slice|scope)|cgroup: [^ ]*/machine[.]slice$|mount: /run/(credentials|user)|process: \(sd|socket: )'

t_cgroup2() { is "$(awk '$3 ~ /^cgroup/ { print $3 }' /proc/self/mounts)" cgroup2; }
run_test 'cgroup v2 is all there is' t_cgroup2
# The first task makes what all share.
task "$(sh_config true)"
[ "$(cat /proc/1/comm)" != systemd ] || systemctl start systemd-machined
census_before
(cd test/conformance && PLUGIN=$PWD/../../$DRIVER NSPAWN_ROOT=$ROOT ATTACK=$PWD/../../$BUILD/test/escape/attack \
	OLD_ENTER=$PWD/../../$BUILD/test/escape/old-enter ../../"$BUILD"/test/conformance-nspawn.test \
	-test.v -test.short -test.timeout 3300s -test.parallel 4 \
	-test.run "${RUN:-^TestNspawn(Identity|Terminal|Attack|Hostile)}") >"$T/go.log" 2>&1
test/go2tap "$T/go.log" >"$T/go.tap"
relay escape "$T/go.tap"
run_test 'nothing is left behind' census_after
done_testing
