#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The guide nomadplugin(7), followed to the letter in an empty folder: each block of it goes into the file that it is
# for,
# or is run.
. test/lib.sh
requires pkg-config make perl dpkg-deb
isolate "$@"
guide=libnomadplugin/man/nomadplugin.pod
export PKG_CONFIG_PATH="$T/prefix/lib/pkgconfig"

t_install() {
	make --no-print-directory BUILD="$BUILD" PREFIX="$T/prefix" install-libnomadplugin >"$T/install" 2>&1 ||
		{ cat "$T/install"; return 1; }
	PATH=$T/prefix/bin:$PATH
	[ -s "$T/prefix/share/man/man7/nomadplugin.7" ] && [ -s "$T/prefix/share/man/man1/nomad-plugin-test.1" ]
}
# Writes files to $T/guide and commands to $T/steps/NN, in order; compares excerpts with their file.
t_blocks() {
	mkdir "$T/guide" "$T/steps" && perl -0777 -ne '
		my ($kind, $name, $n, %files) = ("", "", 10);
		sub add { my ($f, $t) = @_; open my $o, ">>", $f or die "$f: $!\n"; print $o $t; close $o }
		for my $p (split /\n\n+/) {
			if ($p =~ /^=for (file|run|excerpt|show)(?: (\S+))?$/) { ($kind, $name) = ($1, $2); $n++; next }
			if ($p !~ /^    /) { $kind = ""; next }
			die "a block is for nothing: $p\n" if $kind eq "";
			$p =~ s/^    //mg;
			$p =~ s/\G( {8}|\t)/\t/gm if $name =~ /\.c$/;
			add("$ENV{T}/guide/$name", "$p\n\n") if $kind eq "file";
			add("$ENV{T}/steps/$n", "$p\n") if $kind eq "run";
			if ($kind eq "excerpt") {
				open my $i, "<", $name or die "$name: $!\n";
				my $whole = do { local $/; <$i> };
				1 while $p =~ s/^(\t*) {8}/$1\t/m;
				die "$name has no such part:\n$p\n" if index($whole, $p) < 0;
			}
		}' "$guide" && [ "$(ls "$T/steps" | wc -l)" -ge 5 ] && [ -s "$T/guide/box.c" ]
}
t_steps() {
	for step in "$T"/steps/*; do
		(cd "$T/guide" && CFLAGS=-Werror sh -e "$step") >"$T/out" 2>&1 || { cat "$step" "$T/out"; return 1; }
	done
	dpkg-deb -c "$T/guide/nomad-driver-box.deb" | grep -q plugins/nomad-driver-box
}
# The policy of the guide's table holds.
t_policy() {
	cd "$T/guide" || return 1
	sed 's/"script": "[^"]*"/"script": "cat $INPUT", "input": "\/etc\/hostname"/' box.json >input.json
	printf '{ "state_dir": "%s/state" }\n' "$T" >none.json
	./nomad-driver-box run --config none.json input.json >out 2>&1 && { cat out; return 1; }
	file_has out 'allow_input'
}
export T
run_test 'the library is installed' t_install
run_test 'each block is for a file, for the shell, or part of an example' t_blocks
run_test 'the guide builds a driver that passes nomad-plugin-test, and a package' t_steps
run_test 'the policy of the guide refuses a path that the operator does not allow' t_policy
done_testing
