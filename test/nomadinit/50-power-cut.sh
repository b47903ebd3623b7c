#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Power cuts: the machine is killed while the guest writes and syncs; what was synced must be there afterwards, the file
# system must come up by itself, again and again (NOMAD_TEST_LONG=1: five times).
. test/nomadinit/lib.sh
requires_image_tools
plain_image
overlay "$base" "$T/disk.qcow2"
writer='mkdir -p /state/w && cd /state/w && cat > ../writer <<"END"
i=$(cat count 2>/dev/null || echo 0)
while :; do
	i=$((i + 1))
	dd if=/dev/zero of=big bs=64k count=20
	for k in 1 2 3; do echo f$((i % 50)).$k > f$((i % 50)).$k; done
	sync
	echo $i > count.new
	sync
	mv count.new count
	sync
done
END
setsid sh ../writer >/dev/null 2>&1 </dev/null &
'
# Each file holds its own name; those after `have` may be in the writing.
reader='cd /state/w && for f in f*; do
	case $f in f$(((have + 1) % 50)).*) continue ;; esac
	[ "$(cat $f)" = "$f" ] || echo bad $f
done | head -n 3'
grows() { m=$(guest 'cat /state/w/count 2>/dev/null'); [ "${m:-0}" -gt $((n + 2)) ]; }
n=0
turns='1 2'
[ "${NOMAD_TEST_LONG:-}" != 1 ] || turns='1 2 3 4 5'
for turn in $turns; do
	boot "$T/disk.qcow2"
	must "turn $turn: it comes up" wait_up
	if [ "$turn" -gt 1 ]; then
		check "turn $turn: the file system was checked" console_has "which was not cleanly unmounted"
		have=$(guest 'cat /state/w/count')
		check "turn $turn: what was synced is there ($n, then $have)" at_least "$have" "$n"
		check "turn $turn: all of it, unchanged, but what was being written" guest_is '' "have=${have:-0}; $reader"
		check "turn $turn: the machine id is the same" guest_is "$id" 'cat /etc/machine-id'
	fi
	id=$(guest 'cat /etc/machine-id')
	guest "$writer" >/dev/null
	check "turn $turn: it writes" soon 120 grows
	[ "$turn" != "${turns##* }" ] || break
	n=$(guest 'cat /state/w/count')
	cut_power
done
end_qemu
done_testing
