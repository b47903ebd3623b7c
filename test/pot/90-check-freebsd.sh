#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The library and the driver compile and link for FreeBSD, warnings being errors.
. test/lib.sh

for target in x86_64:14.0 aarch64:14.0 x86_64:13.0 aarch64:13.0 x86_64:15.0 aarch64:15.0; do
	cpu=${target%:*} version=${target#*:}
	what="library and driver link for $cpu-freebsd $version"
	# Their system calls and structs are the same; one version is enough for every day.
	if [ "$version" != 14.0 ] && [ -z "${NOMAD_TEST_LONG:-}" ]; then skip "$what" 'NOMAD_TEST_LONG is not set'
		continue; fi
	# There they are built by its own compiler.
	if [ "$(uname -s)" = FreeBSD ]; then skip "$what" 'this is FreeBSD: no cross compiler is needed'; continue; fi
	BUILD=$BUILD FREEBSD_VERSION=$version test/freebsd/check-freebsd $cpu >"$T/log" 2>&1 && status=0 || status=$?
	case $status in
	0) ok "$what" ;;
	77) skip "$what" "$(sed -n 's/^SKIP: //p' "$T/log")" ;;
	*) not_ok "$what" "$(tail -n 60 "$T/log")" ;;
	esac
done

# Headers that FreeBSD has not, outside the folders of systems that have them.
# shellcheck disable=SC2046
t_headers() {
	! grep -nE '#[[:space:]]*include[[:space:]]*<(sys/(epoll|signalfd|prctl|vfs|xattr|fsuid|capability|pidfd|sysmacros|sendfile)\.h|linux/|asm/|alloca\.h|pty\.h|utmp\.h|mntent\.h|features\.h)' \
		$(find libnomadplugin nomad-driver-pot -name '*.[ch]' ! -path '*/os/linux/*' ! -path '*/base/linux/*' \
		! -path 'libnomadplugin/*_test.c')
}
run_test 'no Linux-only header outside the OS folder' t_headers
# shellcheck disable=SC2046
t_ifdefs() {
	! grep -nE '#[[:space:]]*(if|ifdef|elif).*__(linux|FreeBSD)__' \
		$(find libnomadplugin nomad-driver-pot -name '*.[ch]' ! -path '*/os/*' \
		! -path '*/base/linux/*' ! -path '*/base/freebsd/*')
}
run_test 'no #ifdef of a system outside the OS folder' t_ifdefs
done_testing
