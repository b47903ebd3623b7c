#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A driver that was built with an older header of the same major version works with this library; one of a newer header
# is refused.  The older header is this one without the last fields of the structs that a driver fills.
. test/lib.sh
requires pkg-config make jq perl readelf nm
isolate "$@"
prefix=$T/prefix
job=examples/hello/hello.json

t_install() {
	make --no-print-directory BUILD="$BUILD" PREFIX="$prefix" install-libnomadplugin >"$T/install" 2>&1 ||
		{ cat "$T/install"; return 1; }
	printf '{ "state_dir": "%s/state" }\n' "$T" >"$T/config.json"
}
# build NAME: hello with the headers of $T/NAME.
build() {
	# shellcheck disable=SC2046
	${CC:-cc} -I"$T/$1" -Wall -Wextra -Werror -o "$T/hello-$1" examples/hello/hello.c \
		$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --static --libs nomadplugin) 2>"$T/build" ||
		{ cat "$T/build"; return 1; }
}
# without HEADER START: the declaration that begins so is not there.
without() {
	START=$2 perl -0pi -e '$s = quotemeta $ENV{START}; $n = s{\n\t$s[^;]*;[^\n]*}{}; END { exit !$n }' "$T/old/nomad/$1"
}
t_old() {
	mkdir "$T/old" && cp -r "$prefix/include/nomad" "$T/old/" &&
		without option.h 'const char *harmless' && without option.h 'bool by_driver' &&
		without driver.h 'int (*create_network)' && without driver.h 'int (*destroy_network)' &&
		without task.h 'int oom_score_adj' && without task.h 'char *message; /* why the exit' &&
		build old && "$T/hello-old" run --config "$T/config.json" "$job" >"$T/out" 2>"$T/err"
	is $? 7 && is "$(cat "$T/out")" "$(printf 'hello, greet\nhello, greet')" &&
		"$T/hello-old" schema --json | jq -e '.properties.mood.enum == ["happy", "tired"]' >/dev/null
}
t_new() {
	cp -r "$prefix/include" "$T/new" && sed -i 's/^\(#define NOMAD_API_VERSION .*\)0$/\11/' "$T/new/nomad/base.h" &&
		build new || return 1
	"$T/hello-new" schema >"$T/out" 2>"$T/err" && { echo 'it is accepted'; return 1; }
	file_has "$T/err" 'built for version 1\.1 of .* the library has 1\.0'
}
run_test 'the library is installed' t_install
run_test 'a driver with shorter structs runs' t_old
run_test 'a driver for a newer interface is refused' t_new
# pkg-config's words: for the archive with all that it takes, and for another machine's root.
t_pkg_config() {
	export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
	pkg-config --libs nomadplugin | grep -q -e '-l:libnomadplugin.a' &&
		is "$(pkg-config --modversion nomadplugin)" "$(sed -n 's/^VERSION := //p' Makefile)" &&
		like "$(PKG_CONFIG_SYSROOT_DIR=/root/of/arm pkg-config --cflags --libs nomadplugin)" \
			"-I/root/of/arm$prefix/include .*-L/root/of/arm$prefix/lib "
}
# What names a library that no program may take from elsewhere.
t_static() {
	# shellcheck disable=SC2046
	${CC:-cc} -static -o "$T/hello-static" examples/hello/hello.c \
		$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --static --libs nomadplugin) >"$T/said" \
			2>&1 ||
		{ grep -v warning "$T/said"; return 1; }
	"$T/hello-static" run --config "$T/config.json" "$job" >"$T/out" 2>"$T/err"
	is $? 7
}
# It takes minutes to build: only where it is built, or time does not matter.
so=$BUILD/shared/libnomadplugin/libnomadplugin.so.1
t_shared() {
	[ -e "$so" ] || [ -n "${NOMAD_TEST_LONG:-}" ] || { skip_this "$so is not built: make shared"; return 0; }
	make --no-print-directory BUILD="$BUILD" PREFIX="$prefix" install-shared >"$T/install" 2>&1 ||
		{ tail "$T/install"; return 1; }
	! nm -D --defined-only "$so" | grep -v ' nomad_[a-z]' || return 1
	like "$(readelf -d "$so")" 'SONAME.*libnomadplugin\.so\.1\]' || return 1
	# shellcheck disable=SC2046
	${CC:-cc} -o "$T/hello-shared" examples/hello/hello.c \
		$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --libs nomadplugin-shared) || return 1
	LD_LIBRARY_PATH=$prefix/lib "$T/hello-shared" run --config "$T/config.json" "$job" >"$T/out" 2>"$T/err"
	is $? 7 && like "$(readelf -d "$T/hello-shared")" 'NEEDED.*libnomadplugin\.so\.1\]'
}
run_test 'pkg-config for the archive and for a foreign root' t_pkg_config
run_test 'a driver is linked with -static and runs' t_static
run_test 'a driver is linked with the shared library and runs' t_shared
run_test 'nothing is left behind' is "$(ls "$T/state/tasks" 2>/dev/null)" ''
done_testing
