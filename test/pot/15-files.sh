#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Examples and packaging are true.
. test/lib.sh

plist=nomad-driver-pot/freebsd/pkg-plist
t_plist() {
	"$MAKE" --no-print-directory BUILD="$BUILD" DESTDIR="$T/root" PREFIX=/usr/local \
		plugindir=/usr/local/libexec/nomad/plugins \
		pkgconfigdir=/usr/local/libdata/pkgconfig install-libnomadplugin install-nomad-driver-pot >"$T/make" \
		2>&1 ||
		{ tail -n 20 "$T/make"; return 1; }
	(cd "$T/root/usr/local" && find . -type f | sed 's|^\./||; s|^\(share/man/.*\)|\1.gz|' | sort) >"$T/found"
	sort "$plist" | diff - "$T/found"
}
run_test 'the package list of the port matches the installed files' t_plist

t_freebsd_paths() {
	"$MAKE" --no-print-directory -n BUILD="$T/none" OS=freebsd PREFIX=/usr/local DESTDIR=/stage \
		install-nomad-driver-pot install-libnomadplugin \
		>"$T/make" 2>/dev/null
	file_has "$T/make" "/stage/usr/local/libexec/nomad/plugins/nomad-driver-pot" &&
		file_has "$T/make" "/stage/usr/local/libdata/pkgconfig/nomadplugin.pc"
}
run_test 'on FreeBSD files are installed in the paths of its packages' t_freebsd_paths

# What portlint and the Porter's Handbook ask for, as far as it can be seen without FreeBSD.
port=nomad-driver-pot/freebsd/Makefile
var() { perl -0pe 's/\\\n[ \t]*/ /g' "$port" | sed -n "s/^$1=[[:space:]]*//p"; }
t_port() {
	for name in PORTNAME DISTVERSION CATEGORIES MAINTAINER COMMENT WWW LICENSE LICENSE_FILE BUILD_DEPENDS \
		LIB_DEPENDS RUN_DEPENDS USES MAKE_ARGS; do
		[ -n "$(var $name)" ] || { echo "$port has no $name"; return 1; }
	done
	# The order of the sections.
	grep -o '^[A-Z_0-9]*' "$port" | grep -E \
		'^(PORTNAME|CATEGORIES|MASTER_SITES|MAINTAINER|COMMENT|WWW|LICENSE|BUILD_DEPENDS|LIB_DEPENDS|RUN_DEPENDS|USES|MAKE_ARGS)$' |
		paste -sd' ' >"$T/order"
	is "$(cat "$T/order")" 'PORTNAME CATEGORIES MASTER_SITES MAINTAINER COMMENT WWW LICENSE BUILD_DEPENDS LIB_DEPENDS RUN_DEPENDS USES MAKE_ARGS' || return 1
	comment=$(var COMMENT)
	[ ${#comment} -le 70 ] && like "$comment" '^[A-Z].*[^.]$' && unlike "$comment" '^(A|An|The) ' ||
		{ echo "COMMENT: $comment"; return 1; }
	for depend in $(var BUILD_DEPENDS) $(var RUN_DEPENDS) $(var TEST_DEPENDS); do
		like "$depend" '^[^:]+:[a-z]+/[a-z0-9.-]+$' || return 1
	done
	for depend in $(var LIB_DEPENDS); do like "$depend" '^lib[a-z0-9_-]+\.so:[a-z]+/[a-z0-9.-]+$' || return 1; done
	is "$(var USES)" "$(var USES | tr ' ' '\n' | LC_ALL=C sort | paste -sd' ')" &&
		is "$(tail -n 1 "$port")" '.include <bsd.port.mk>' || return 1
	! grep -nE '^[A-Z_0-9]+=[^	]|[ 	]$' "$port" | grep -vE '^[0-9]+:[A-Z_0-9]+=	' ||
		{ echo 'a tab behind =, nothing behind the line'; return 1; }
	for library in grpc protobuf-c msgpack jansson; do
		grep -F '$(L).needs' libnomadplugin/libnomadplugin.mk | grep -q "$library" &&
			like "$(var LIB_DEPENDS)" "$library" || return 1
	done
	awk 'length > 79 { print FILENAME ": " FNR ": too long"; bad = 1 } END { exit bad }' \
		nomad-driver-pot/freebsd/pkg-descr
}
run_test "the port follows the rules of FreeBSD's ports" t_port
t_port_complete() {
	! "$MAKE" --no-print-directory DIST="$T/dist" freebsd-port >"$T/out" 2>&1 &&
		file_has "$T/out" 'PORT_SITE is not set' &&
		"$MAKE" --no-print-directory DIST="$T/dist" freebsd-port PORT_SITE=https://example.org/files/ \
		PORT_WWW=https://example.org/ PORT_MAINTAINER=jane@example.org >"$T/out" 2>&1 ||
		{ cat "$T/out"; return 1; }
	_made=$T/dist/freebsd-port/nomad-driver-pot
	! grep '%%' "$_made/Makefile" && file_has "$_made/Makefile" '^MASTER_SITES=	https://example.org/files/$' &&
		file_has "$_made/Makefile" '^MAINTAINER=	jane@example.org$' || return 1
	_source=$(var DISTNAME | sed "s/\${DISTVERSION}/$(var DISTVERSION)/").tar.gz
	is "$(sed -n "s/^SHA256 ($_source) = //p" "$_made/distinfo")" \
		"$(sha256sum "$T/dist/$_source" | cut -d' ' -f1)" &&
		is "$(sed -n "s/^SIZE ($_source) = //p" "$_made/distinfo")" \
		"$(wc -c <"$T/dist/$_source")" &&
		file_has "$_made/distinfo" '^TIMESTAMP = [0-9]*$' && [ -n "$(var ONLY_FOR_ARCHS_REASON)" ] &&
		like "$(var RUN_DEPENDS)" 'nomad:sysutils/nomad .*pot>=0.16.0:sysutils/pot'
}
run_test 'make freebsd-port creates a complete port with distinfo' t_port_complete
# What its targets are called here.
t_port_targets() {
	for target in $(var ALL_TARGET) $(var INSTALL_TARGET) $(var TEST_TARGET); do
		"$MAKE" --no-print-directory -n $(var MAKE_ARGS) BUILD="$T/none" "$target" >/dev/null 2>"$T/err" ||
			! grep -q "No rule to make target .$target" "$T/err" || { cat "$T/err"; return 1; }
	done
	sort -c "$plist" 2>"$T/err" || { cat "$T/err"; return 1; }
	like "$(cat nomad-driver-pot/freebsd/pkg-message)" '/usr/local/libexec/nomad/plugins'
}
run_test 'the targets of the port exist' t_port_targets

t_version() { is "$(sed -n 's/^DISTVERSION=[[:space:]]*//p' nomad-driver-pot/freebsd/Makefile)" \
	"$(sed -n 's/^VERSION := //p' Makefile)"; }
run_test 'the port has the version of the source' t_version

# "Its job files run as they are": each one that the page names is run through an agent.
t_migration() {
	grep -o 'examples/pot/[a-z-]*\.nomad\.hcl' nomad-driver-pot/MIGRATION.md | sort -u >"$T/named"
	[ -s "$T/named" ] || return 1
	while read -r job; do
		grep -q "example ${job##*/}" test/pot/40-agent.sh || { echo "40-agent.sh does not run $job"; return 1; }
	done <"$T/named"
}
run_test 'each job that MIGRATION.md names is run by a test' t_migration

# ---- Without pot, on any system that it was built for ----

driver=$BUILD/plugins/nomad-driver-pot
t_tells() {
	like "$("$driver" --version)" "$(sed -n 's/^VERSION := //p' Makefile)" &&
		like "$("$driver" schema --task)" 'attributes +list'
}
run_test 'the driver prints its version and its options' t_tells
t_doctor() {
	echo '{ "pot_path": "/nonexistent/pot", "state_dir": "'"$T/s"'" }' >"$T/config.json"
	! "$driver" doctor --config "$T/config.json" >"$T/doctor" 2>&1 && file_has "$T/doctor" 'pkg install pot'
}
run_test 'doctor without pot prints how to install it' t_doctor
json() { echo '{ "Job": { "ID": "j", "TaskGroups": [{ "Name": "g", "Tasks": [{ "Name": "t", "Driver": "pot",
	"Config": '"$1"' }] }] } }' >"$T/job.json"; }
t_valid() {
	json '{ "image": "file:///i", "pot": "p", "tag": "1", "network_mode": "host" }' &&
		"$driver" validate "$T/job.json" || return 1
	json '{ "image": "file:///i", "pot": "p", "tag": "1", "network_mode": "moon" }'
	! "$driver" validate "$T/job.json" >"$T/out" 2>&1 && file_has "$T/out" "'network_mode'"
}
run_test 'validate accepts a valid job and names the mistakes in an invalid one' t_valid

# With FreeBSD's own pot: an image of one's own, POT_IMAGE=URL POT_NAME=NAME POT_TAG=TAG.
t_real() {
	json '{ "image": "'"$POT_IMAGE"'", "pot": "'"$POT_NAME"'", "tag": "'"$POT_TAG"'", "network_mode": "host", "command": "/bin/sh", "args": ["-c", "exit 7"] }'
	echo '{ "state_dir": "'"$T/s"'" }' >"$T/config.json"
	"$driver" doctor --config "$T/config.json" || return 1
	STATUS=0
	"$driver" run --config "$T/config.json" "$T/job.json" || STATUS=$?
	is $STATUS 7 && is "$(pot list -q | grep '^nomad_')" ''
}
if [ "$(uname -s)" = FreeBSD ] && [ -n "${POT_IMAGE:-}" ]; then run_test \
	"a task in a jail, with pot $(pot version -q)" t_real
elif [ "$(uname -s)" = FreeBSD ]; then skip 'a task in a jail' 'no POT_IMAGE, POT_NAME and POT_TAG to run'; fi

require_nomad
for job in examples/pot/*.nomad.hcl; do
	t_example() {
		"$NOMAD" job run -output "$job" >"$T/job.json" 2>"$T/err" || { cat "$T/err"; return 1; }
		"$BUILD/plugins/nomad-driver-pot" validate "$T/job.json"
	}
	run_test "example ${job##*/} is valid" t_example
done
done_testing
