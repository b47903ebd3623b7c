#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Manuals: every driver has whole ones, and what stands in the tables stands
# in them: options, commands, error ids, checks; every public function, too.
. test/lib.sh
requires podchecker pod2man jq perl

make --no-print-directory BUILD="$BUILD" man html >"$T/make" 2>&1
made=$?
man=$BUILD/man

t_made() { [ $made -eq 0 ] || { cat "$T/make"; return 1; }; }
t_pod() {
	for pod in "$man"/*.pod; do
		podchecker -warnings "$pod" >"$T/check" 2>&1 || { cat "$T/check"; return 1; }
		[ -s "${pod%.pod}" ] || { echo "there is no ${pod%.pod}"; return 1; }
		page=${pod##*/} html=$BUILD/html/${page%.pod}.html
		[ -s "$html" ] || { echo "there is no $html"; return 1; }
		file_has "$BUILD/html/index.html" "href=\"${html##*/}\"" || return 1
	done
}
t_links() {
	grep -ho 'href="[^":#]*\.html' "$BUILD"/html/*.html | sort -u | cut -d'"' -f2 >"$T/links"
	[ -s "$T/links" ] || return 1
	while IFS= read -r link; do
		[ -e "$BUILD/html/$link" ] || { echo "a page leads to $link, which is not there"; return 1; }
	done <"$T/links"
}
has_item() { grep -Eq "^=item .*B<$2>" "$1" || { echo "$1 has no item '$2'"; return 1; }; }
# Names of options, those in blocks too.
options_of() { "$1" schema --json "$2" | jq -r '.. | objects | .properties? | objects | keys[]' | sort -u; }

t_sections() {
	for section in NAME SYNOPSIS DESCRIPTION 'ENABLING IT' 'PLUGIN OPTIONS' LIMITATIONS COMMANDS TROUBLESHOOTING FILES 'SEE ALSO'; do
		file_has "$man/$1.8.pod" "^=head1 $section\$" || return 1
	done
	for section in NAME SYNOPSIS DESCRIPTION 'TASK OPTIONS' EXAMPLES 'SEE ALSO'; do
		file_has "$man/$1.5.pod" "^=head1 $section\$" || return 1
	done
}
t_options() {
	exe=$BUILD/plugins/$1
	for option in $(options_of "$exe" --task); do has_item "$man/$1.5.pod" "$option" || return 1; done
	for option in $(options_of "$exe" --plugin) state_dir log_collection; do has_item "$man/$1.8.pod" "$option" || return 1; done
	# And no others.
	"$exe" schema --pod --task | sed -n 's/^=item B<\([a-z0-9_]*\)>.*/\1/p' | sort -u >"$T/shown"
	options_of "$exe" --task >"$T/known"
	diff "$T/known" "$T/shown"
}
t_commands() {
	exe=$BUILD/plugins/$1
	"$exe" --help | sed -n "s/^    $1 \([a-z][a-z]*\).*/\1/p" >"$T/commands"
	[ "$(wc -l <"$T/commands")" -ge 6 ] || { cat "$T/commands"; return 1; }
	while IFS= read -r command; do
		has_item "$man/$1.8.pod" "$command" && file_has "$man/$1.8.pod" "^B<$1> B<$command>" || return 1
	done <"$T/commands"
	for option in $("$exe" --help | sed -n "s/^    $1 //p" | grep -o -e '--[a-z-]*' | sort -u); do
		file_has "$man/$1.8.pod" "B<$option>" || return 1
	done
}
t_errors() {
	"$BUILD/plugins/$1" errors | sed -n 's/^\(nd-[a-z]*\)$/\1/p' >"$T/ids"
	[ "$(wc -l <"$T/ids")" -ge 10 ] || { cat "$T/ids"; return 1; }
	while IFS= read -r id; do has_item "$man/$1.8.pod" "$id" || return 1; done <"$T/ids"
	grep -o 'nd-[a-z]*' "$man/$1.8.pod" | sort -u >"$T/shown"
	sort "$T/ids" | diff - "$T/shown"
}
# Every check that the source makes.
t_checks() {
	cat "$1"/*.c | perl -0ne 'print "$1\n" while /nomad_fp_check\(\s*fp,\s*"([^"]+)"/g;
		if (/\btools\[\] = \{(.*?)\n\t\};/s) { my $t = $1; print "$1\n" while $t =~ /\{\s*"([^"]+)"/g }' |
		sort -u >"$T/checks"
	[ -s "$T/checks" ] || { echo 'no checks found'; return 1; }
	while IFS= read -r check; do has_item "$man/$1.8.pod" "$check" || return 1; done <"$T/checks"
}
t_functions() {
	nm -g --defined-only "$BUILD/libnomadplugin/libnomadplugin.a" 2>/dev/null |
		sed -n 's/.* [TDR] \(nomad_[a-z0-9][a-z0-9_]*[a-z0-9]\)$/\1/p' | sort -u >"$T/defined"
	[ "$(wc -l <"$T/defined")" -gt 40 ] || { cat "$T/defined"; return 1; }
	while IFS= read -r function; do
		grep -Eq "^=item B<< .*[ *]$function\(" "$man"/nomad_*.3.pod || { echo "no page tells of $function()"; return 1; }
	done <"$T/defined"
	for header in libnomadplugin/nomad/*.h; do libnomadplugin/man/header-pod --functions "$header"; done | sort -u | diff "$T/defined" -
}
# Each has a text, its own or that of the ones it stands with.
t_texts() {
	perl -ne '$item = $_ if /^=item/; $text = 1 if $item && !/^=/ && /\S/; if (/^=back/) { print $item if $item && !$text; $item = $text = "" }' \
		"$man"/nomad_*.3.pod >"$T/silent"
	[ ! -s "$T/silent" ] || { cat "$T/silent"; return 1; }
}
t_nomadinit() {
	[ -x "$BUILD/nomadinit/nomadinit" ] || { skip_this 'nomadinit is not built'; return 0; }
	"$BUILD/nomadinit/nomadinit" options | sed -n 's/^\([a-z][a-z0-9_.]*\).*/\1/p' | sort -u >"$T/options"
	[ -s "$T/options" ] || return 1
	while IFS= read -r option; do file_has "$man/nomadinit.8.pod" "${option##*.}" || return 1; done <"$T/options"
}

run_test 'all manuals are made, as pages and as HTML' t_made
run_test 'their markup is right' t_pod
run_test 'links in the HTML lead somewhere' t_links
drivers=0
for exe in "$BUILD"/plugins/nomad-driver-*; do
	[ -x "$exe" ] || skip_all 'no driver is built'
	drivers=$((drivers + 1)) name=$(basename "$exe")
	run_test "$name has whole manuals" t_sections "$name"
	run_test "$name: every option, and no other" t_options "$name"
	run_test "$name: every command and its options" t_commands "$name"
	run_test "$name: every error id, and no other" t_errors "$name"
	run_test "$name: every check of the host" t_checks "$name"
done
run_test 'every public function has a page' t_functions
run_test 'and a text' t_texts
run_test 'nomadinit: every option' t_nomadinit
done_testing
