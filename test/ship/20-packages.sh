#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The packages: built twice, the same bytes; lintian has nothing to say; what
# is in them.  Minutes: make test-packages.
#
# The second time it is another directory, host, user's home, zone of time,
# language, mask of modes, number of jobs, and later; and the source is a copy
# with other times.
. test/lib.sh
[ -n "${NOMAD_TEST_LONG:-}" ] || skip_all 'takes minutes: make test-packages, or NOMAD_TEST_LONG=1'
requires dpkg-buildpackage dh jq unshare; requires_root
VERSION=$(sed -n 's/^VERSION := //p' Makefile)
export VERSION
dist=$PWD/$BUILD/dist

t_build() { .packaging/deb "$dist" >"$T/built" && cat "$T/built" && is "$(grep -c '\.deb$' "$T/built")" 6; }
# A copy of the source, in $T/place/of/another/name, without git.
copy() {
	.packaging/source "$T/copied" && mkdir -p "$T/place/of/another/name" &&
		tar -C "$T/place/of/another/name" --strip-components=1 -xzf "$T/copied"/*.tar.gz &&
		find "$T/place" -exec touch -d '2001-02-03 04:05' {} +
}
# otherwise COMMAND...: in the copy, with all different that can be.
otherwise() {
	(
		umask 077
		cd "$T/place/of/another/name" && mkdir -p "$T/home" && env -i PATH="/tmp:$PATH" HOME="$T/home" \
			TZ=Asia/Tokyo LC_ALL=tr_TR.UTF-8 LANG=tr_TR.UTF-8 \
			USER=somebody LOGNAME=somebody DEB_BUILD_OPTIONS=parallel=1 VERSION="$VERSION" BUILD="$T/work" \
			unshare --uts sh -c 'hostname elsewhere; exec "$@"' sh "$@"
	)
}
same() {	# DIRECTORY DIRECTORY PATTERN NUMBER
	is "$(find "$1" -maxdepth 1 -name "$3" | wc -l)" "$4" || return 1
	for f in "$1"/$3; do cmp "$f" "$2/${f##*/}" || return 1; done
}
t_again() {
	copy && otherwise .packaging/deb "$T/second" >/dev/null && same "$T/second" "$dist" '*.deb' 6
}
t_lintian() {
	command -v lintian >/dev/null || { skip_this 'no lintian on PATH'; return 0; }
	# shellcheck disable=SC2046
	said=$(lintian --fail-on error,warning $(cat "$T/built") 2>&1 | grep -v '^running with root\|^N:')
	is "$said" ''
}
t_driver() {
	deb=$dist/nomad-driver-$1_${VERSION}_$(dpkg --print-architecture).deb
	files=$(dpkg-deb -c "$deb" | awk '{ print $6 }')
	for want in "./usr/lib/nomad/plugins/nomad-driver-$1" "./usr/share/man/man8/nomad-driver-$1.8.gz" \
		"./usr/share/man/man5/nomad-driver-$1.5.gz" \
		"./usr/share/doc/nomad-driver-$1/copyright" "./usr/share/doc/nomad-driver-$1/examples/agent.hcl"; do
		printf '%s\n' "$files" | grep -qxF "$want" || { echo "no $want in:"; echo "$files"; return 1; }
	done
	# Nothing that an agent would load by itself.
	unlike "$files" '^\./etc|^\./opt' || return 1
	depends=$(dpkg-deb -f "$deb" Depends)
	case $1 in
	triton) like "$depends" libcurl4 && like "$depends" libssl3 ;;
	build) like "$depends" libssl3 && unlike "$depends" curl ;;
	*) unlike "$depends" 'curl|ssl' ;;
	esac && unlike "$depends" 'grpc|absl'
}
t_dev() {
	files=$(dpkg-deb -c "$dist/libnomadplugin-dev_${VERSION}_$(dpkg --print-architecture).deb" | awk '{ print $6 }')
	for want in include/nomad/plugin.h libnomadplugin.a pkgconfig/nomadplugin.pc man3/nomad_task_put.3.gz \
		man3/nomad_base.3.gz; do
		like "$files" "$want\$" || return 1
	done
}
t_rpm() {
	command -v rpmbuild >/dev/null || { skip_this 'no rpmbuild on PATH'; return 0; }
	.packaging/rpm/build "$dist" >"$T/rpms" && cat "$T/rpms" && is "$(grep -c '\.rpm$' "$T/rpms")" 6 || return 1
	like "$(rpm -qpl "$dist"/nomad-driver-nspawn-*.rpm)" '^/usr/lib/nomad/plugins/nomad-driver-nspawn$' &&
		unlike "$(rpm -qpl "$dist"/*.rpm)" '^/(etc|opt|usr/local)'
}
t_rpm_again() {
	command -v rpmbuild >/dev/null || { skip_this 'no rpmbuild on PATH'; return 0; }
	otherwise .packaging/rpm/build "$T/second" >/dev/null && same "$T/second" "$dist" '*.rpm' 6
}
t_dist() {
	make --no-print-directory BUILD="$BUILD" dist >"$T/out" 2>&1 || { cat "$T/out"; return 1; }
	(cd "$dist" && sha256sum -c SHA256SUMS) &&
		jq -e '[.packages[].name] | index("nomad-driver-nspawn") and index("grpc")' "$dist"/*.spdx.json
}
t_dist_again() {
	otherwise make --no-print-directory DIST="$T/second" BUILD="$T/work" dist >"$T/out" 2>&1 ||
		{ cat "$T/out"; return 1; }
	diff "$dist/SHA256SUMS" "$T/second/SHA256SUMS" && same "$T/second" "$dist" '*.gz' 1 &&
		same "$T/second" "$dist" '*.spdx.json' 1
}

rm -rf "$dist"
run_test 'six packages are built' t_build
run_test 'built again, otherwise: the same bytes' t_again
run_test 'lintian is content' t_lintian
for driver in build nspawn triton pot; do
	run_test "nomad-driver-$driver: plugin, manuals, licence, example; its own needs; off" t_driver $driver
done
run_test 'libnomadplugin-dev: headers, archive, pkg-config, manuals' t_dev
run_test 'six RPMs are built' t_rpm
run_test 'built again, otherwise: the same bytes' t_rpm_again
run_test 'make dist: checksums and bill of materials' t_dist
run_test 'made again, otherwise: the same bytes' t_dist_again
done_testing
