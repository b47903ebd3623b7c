#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The style that programs can check, in every file that git knows. Product files are those outside test/ that are no
# unit test. The versions of clang-format and lizard are pinned: another one would want other places changed.
. test/lib.sh
requires git
lizard_version=1.24.3

files() { git ls-files -co --exclude-standard -- "$@" | while IFS= read -r f; do [ ! -f "$f" ] || echo "$f"; done; }
c_files() { files '*.c' '*.h'; }
product() { c_files | grep -vE '_test\.c$|^test/'; }
sources() { files '*.c' '*.h' '*.mk' '*.sh' '*.go' '*.proto' '*.jq' Makefile; }
# By name or by first line: no list of scripts to keep.
scripts() {
	{ files '*.sh'; files '.ci/*' '.packaging/*' 'test/*' 'nomadinit/*' 'examples/*' |
		grep -vE '\.[a-z0-9]+$|/corpus/' |
		xargs awk 'FNR == 1 && /^#! *\/(usr\/)?bin\/(env )?(ba|da)?sh$/ { print FILENAME } FNR > 1 { nextfile }'
	} | sort -u
}
# A failure shows what was found; nothing found is fine.
none() { ! sed -n 1,40p | grep .; }

t_licence() {
	sources | while IFS= read -r f; do
		[ "$(grep -cE '^([#*/]+ )?SPDX-License-Identifier: MPL-2.0' "$f")" -eq 1 ] &&
			head -n 5 "$f" | grep -q 'SPDX-License-Identifier: MPL-2.0' || echo "$f"
	done | none
}
t_space() { sources | xargs grep -nE '[ 	]+$' | none; }
# A tab reaches the next multiple of eight; a character is one column. In shell, a quoted string of more than 60
# characters (JSON, a pattern) counts as none: where it may be broken depends on what reads it.
t_columns() {
	{ c_files; scripts; files '*.jq'; } | LC_ALL=C.UTF-8 xargs perl -CSDA -ne '
		chomp; 1 while s/\t/" " x (8 - $-[0] % 8)/e;
		s/\x27[^\x27]{60,}\x27|"(?:\\.|[^"\\]){60,}"//g if $ARGV !~ /\.([ch]|jq)$/;
		printf "%s:%d: %d columns\n", $ARGV, $., length if length > 120; close ARGV if eof' | none
}
t_file_length() {
	product | xargs wc -l | awk '$2 != "total" && $1 > 600 { print $2 ": " $1 " lines" }' | none
}
# Strings are taken out, so that "https://..." is not a comment.
t_idiom() {
	c_files | while IFS= read -r f; do
		sed -E 's/"([^"\\]|\\.)*"/""/g' "$f" |
			grep -nE '!(str(n|case|ncase)?|mem)cmp\(|(^|[^:])//' | sed "s|^|$f:|"
	done | none
}
t_format() {
	command -v clang-format-14 >/dev/null || { skip_this 'no clang-format-14'; return 0; }
	c_files | xargs -P 2 -n 40 clang-format-14 -n 2>&1 | grep 'warning:' | none
}
# Lengths of functions are limited in product files; a unit test may be a long table.
t_functions() {
	lizard=$BUILD/lizard/bin/lizard
	"$lizard" --version 2>/dev/null | grep -qx "$lizard_version" || {
		rm -rf "$BUILD/lizard"
		python3 -m venv "$BUILD/lizard" >"$T/pip" 2>&1 &&
			"$BUILD/lizard/bin/pip" install -q --disable-pip-version-check "lizard==$lizard_version" \
			>"$T/pip" 2>&1 ||
			{ skip_this "no lizard $lizard_version: $(tail -n 1 "$T/pip")"; return 0; }
	}
	product >"$T/product"
	"$lizard" -l cpp -w -C 25 -L 60 -f "$T/product" | grep warning: | none
}
t_shellcheck() {
	command -v shellcheck >/dev/null || { skip_this 'no shellcheck'; return 0; }
	scripts | xargs shellcheck -S error | none
}
# A program of jq: an odd number of quotes, up to the next line that has one. Its line may continue the one with jq.
t_jq() {
	scripts | xargs awk -v q="'" '
		FNR == 1 { open = 0; prev = "" }
		{ n = gsub(q, q) % 2 }
		open && n && FNR - open > 1 { print FILENAME ":" open ": jq program of " FNR - open + 1 " lines" }
		open && n { open = 0; next }
		!open && n && prev $0 ~ "(^|[^a-z_.])jq .*" q { open = FNR }
		{ prev = /\\$/ ? $0 : "" }' | none
}

run_test 'every source names its licence once' t_licence
run_test 'no white space at the end of lines' t_space
run_test 'C and shell lines have at most 120 columns' t_columns
run_test 'product files have at most 600 lines' t_file_length
run_test 'comparisons say == 0 and comments are /* */' t_idiom
run_test 'clang-format 14 changes nothing' t_format
run_test 'functions have at most 60 lines and a complexity of 25' t_functions
run_test 'shellcheck finds no error' t_shellcheck
run_test 'jq programs of more than two lines are files' t_jq
done_testing
