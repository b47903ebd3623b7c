#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Hardening of every executable that is installed or carried in one: a line for each executable and property. What the
# linker did is read from the executable, what the compiler did from the debug information of its objects.
. test/lib.sh
. test/lib/lib-hardening.sh
CC=${CC:-cc}
requires readelf make "${CC%% *}"
has() { printf '\043include <string.h>\n' | $CC -O2 -Werror -U_FORTIFY_SOURCE "$@" -x c -fsyntax-only - 2>/dev/null; }

library="$BUILD/libnomadplugin/base $BUILD/libnomadplugin/core $BUILD/libnomadplugin/wire $BUILD/libnomadplugin/supervisor"
# Executable, and where its objects are.
executables() {
	for d in build nspawn pot triton; do
		echo "$BUILD/plugins/nomad-driver-$d $BUILD/nomad-driver-$d $library"
	done
	echo "$BUILD/nspawn-init/nspawn-init $BUILD/nspawn-init"
	echo "$BUILD/pot-run/pot-run $BUILD/pot-run"
	echo "$BUILD/libnomadplugin/supervisor/program/nomad-supervisor $BUILD/libnomadplugin/supervisor/program/obj"
	echo "$BUILD/nomadinit/nomadinit.stripped $BUILD/nomadinit"
}

fortify=2
has -D_FORTIFY_SOURCE=3 && fortify=3
options=
for o in -fstack-protector-strong -fstack-clash-protection -fcf-protection -mbranch-protection=standard; do
	! has $o || options="$options $o"
done

# The compiler's own word for each object: "FILE: GNU C11 ... -O2 -fPIE".
producers() {
	find "$@" -name '*.o' ! -name '*_test.o' ! -path '*/mortal/*' ! -name blob.o | while IFS= read -r o; do
		echo "$o: $(readelf -W --debug-dump=info --dwarf-depth=1 "$o" 2>/dev/null |
			sed -n 's/.*DW_AT_producer[^:]*: *\((indirect[^)]*): *\)\{0,1\}//p' | head -n 1)"
	done
}
t_option() { [ -s "$T/producers" ] && ! grep -v -e "$1" "$T/producers"; }
t_pie_objects() { [ -s "$T/producers" ] && ! grep -viE -e '-fPI[EC]' "$T/producers"; }
# Macros are in no debug information: what make would do.
t_fortify() {
	"${MAKE:-make}" -Bn --no-print-directory V=1 BUILD="$BUILD" "$1" 2>"$T/make" |
		sed -e ':more' -e '/\\$/ { N; s/\\\n//; t more' -e '}' | grep -E ' -c .*[^ ]\.c$' >"$T/commands"
	[ -s "$T/commands" ] || { cat "$T/make"; return 1; }
	! grep -v -e "-D_FORTIFY_SOURCE=$fortify" "$T/commands"
}

while read -r file objects; do
	name=$(basename "$file" .stripped)
	if [ ! -e "$file" ]; then skip "$name" "$file is not built"; continue; fi
	run_test "$name: position-independent" h_pie "$file"
	run_test "$name: relocations read-only before it runs" h_relro "$file"
	run_test "$name: no executable stack" h_stack "$file"
	run_test "$name: nothing both writable and executable" h_segments "$file"
	run_test "$name: no search path, no text relocation" h_paths "$file"
	# shellcheck disable=SC2086
	producers $objects >"$T/producers"
	if grep -qE -e '-fsanitize|--coverage| -O0' "$T/producers" || ! grep -q -e ' -f' "$T/producers"; then
		skip "$name: what the compiler did" 'a build for tests, or its objects do not say'
		continue
	fi
	run_test "$name: compiled for any address" t_pie_objects
	for o in $options; do run_test "$name: $o" t_option $o; done
	run_test "$name: _FORTIFY_SOURCE=$fortify" t_fortify "$file"
done <<EOF
$(executables)
EOF
done_testing
