#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# FreeBSD's poller on the small kqueue of test/freebsd/kqueue: unit tests of the poller, and of the loop above it.
. test/lib.sh
requires_linux
CC=${CC:-cc}
requires "${CC##* }"
library=$BUILD/libnomadplugin/private.a
[ -e "$library" ] || skip_all "no $library"

# The poller comes before the archive, which then does not give its own.
t_unit() {		# TEST
	$CC -g -D_GNU_SOURCE -DNOMAD_VERSION='"0"' -Wall -Wextra -Werror -Itest/freebsd/kqueue -Ilibnomadplugin \
		-o "$T/unit" libnomadplugin/base/freebsd/poller.c test/freebsd/kqueue/kqueue.c "libnomadplugin/$1.c" \
		-Wl,--gc-sections "$library" -lcmocka -lpthread &&
		{ timeout 120 "$T/unit" >"$T/said" 2>&1 || { tail -n 30 "$T/said"; return 1; }; }
}
for t in base/poller_test base/loop_test; do run_test "$t with kqueue" t_unit "$t"; done
t_facts() { $CC -D_GNU_SOURCE -Itest/freebsd/kqueue -fsyntax-only test/freebsd/facts.c; }
run_test 'the kqueue emulation has FreeBSD'"'"'s constants' t_facts
done_testing
