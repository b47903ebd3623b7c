#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Manuals: every driver has complete ones, with exactly the options, commands,
# error ids and checks of its tables; every public function has a page.
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
# What man and mandoc have to say of a page as it is installed.
t_roff() {
	command -v mandoc >/dev/null || command -v groff >/dev/null ||
		{ skip_this 'neither mandoc nor groff'; return 0; }
	: >"$T/said"
	for page in "$man"/*.[13578]; do
		! command -v mandoc >/dev/null || mandoc -T lint -W warning "$page" >>"$T/said" 2>&1
		! command -v groff >/dev/null || groff -man -ww -K utf8 -T utf8 -rLL=100n -z "$page" >>"$T/said" 2>&1
	done
	[ ! -s "$T/said" ] || { head -n 20 "$T/said"; return 1; }
}
# A page within this tree, and a place in it.
t_links() {
	grep -ho 'href="[^":#]*\.html' "$BUILD"/html/*.html | sort -u | cut -d'"' -f2 >"$T/links"
	[ -s "$T/links" ] || return 1
	while IFS= read -r link; do
		[ -e "$BUILD/html/$link" ] || { echo "a page leads to $link, which is not there"; return 1; }
	done <"$T/links"
	for page in "$BUILD"/html/*.html; do
		for place in $(grep -o 'href="#[^"]*"' "$page" | sed 's/^href="#//; s/"$//' | sort -u); do
			grep -qF "id=\"$place\"" "$page" ||
				{ echo "$page leads to #$place, which is not there"; return 1; }
		done
	done
}
t_html() {
	command -v xmllint >/dev/null || { skip_this 'no xmllint'; return 0; }
	for page in "$BUILD"/html/*.html; do
		xmllint --html --noout "$page" 2>"$T/said"
		grep -v '^$' "$T/said" >"$T/said2" && { head -n 10 "$T/said2"; return 1; }
	done
	return 0
}
has_item() { grep -Eq "^=item .*B<$2>" "$1" || { echo "$1 has no item '$2'"; return 1; }; }
# The items of a section of a page.
items() { awk -v want="=head1 $2" '/^=head1/ { on = ($0 == want) } on' "$1" |
	sed -n 's/^=item B<\([a-z0-9_]*\)>.*/\1/p' | sort -u; }
# Names of options, those in blocks too.
options_of() { "$1" schema --json "$2" | jq -r '.. | objects | .properties? | objects | keys[]' | sort -u; }

t_sections() {
	for section in NAME SYNOPSIS DESCRIPTION 'ENABLE THE PLUGIN' 'PLUGIN OPTIONS' LIMITATIONS COMMANDS \
		TROUBLESHOOTING FILES 'SEE ALSO'; do
		file_has "$man/$1.8.pod" "^=head1 $section\$" || return 1
	done
	for section in NAME SYNOPSIS DESCRIPTION 'TASK OPTIONS' EXAMPLES 'SEE ALSO'; do
		file_has "$man/$1.5.pod" "^=head1 $section\$" || return 1
	done
}
t_options() {
	exe=$BUILD/plugins/$1
	for option in $(options_of "$exe" --task); do has_item "$man/$1.5.pod" "$option" || return 1; done
	for option in $(options_of "$exe" --plugin) state_dir log_collection; do has_item "$man/$1.8.pod" "$option" ||
		return 1; done
	# And no others.
	options_of "$exe" --task >"$T/known" && items "$man/$1.5.pod" 'TASK OPTIONS' | diff "$T/known" - &&
		options_of "$exe" --plugin >"$T/known" && items "$man/$1.8.pod" 'PLUGIN OPTIONS' | diff "$T/known" -
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
	# And no others.
	sort "$T/commands" >"$T/known" && items "$man/$1.8.pod" COMMANDS | diff "$T/known" - || return 1
	for option in $(grep -o 'B<--[a-z-]*>' "$man/$1.8.pod" | tr -d 'B<>' | sort -u); do
		"$exe" --help | grep -q -e "$option" || { echo "the manual has $option, --help has not"; return 1; }
	done
	"$exe" schema --json --plugin >"$T/plugin.json" && "$exe" schema --json --task >"$T/task.json" || return 1
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
	# And no others.
	sed -n '/^=head2 Checks of this host/,/^=head1/p' "$man/$1.8.pod" | grep '^=item' | grep -o 'B<[^>]*>' |
		sed 's/^B<//; s/>$//' | sort -u |
		comm -13 "$T/checks" - >"$T/more"
	[ ! -s "$T/more" ] || { echo 'the manual has checks that nothing makes:'; cat "$T/more"; return 1; }
}
t_functions() {
	nm -g --defined-only "$BUILD/libnomadplugin/libnomadplugin.a" 2>/dev/null |
		sed -n 's/.* [TDR] \(nomad_[a-z0-9][a-z0-9_]*[a-z0-9]\)$/\1/p' | sort -u >"$T/defined"
	sed -n 's/^static inline .*[ *]\(nomad_[a-z_]*\)(.*/\1/p' libnomadplugin/nomad/*.h >>"$T/defined"
	sort -u -o "$T/defined" "$T/defined"
	[ "$(wc -l <"$T/defined")" -gt 40 ] || { cat "$T/defined"; return 1; }
	while IFS= read -r function; do
		grep -Eq "^=item B<< .*[ *]$function\(" "$man"/nomad_*.3.pod ||
			{ echo "no page describes $function()"; return 1; }
	done <"$T/defined"
	for header in libnomadplugin/nomad/*.h; do libnomadplugin/man/header-pod --functions "$header"; done | sort -u |
		diff "$T/defined" -
}
# Each has a text, its own or that of the ones it stands with.
t_texts() {
	perl -ne '$item = $_ if /^=item/; $text = 1 if $item && !/^=/ && /\S/; if (/^=back/) { print $item if $item && !$text; $item = $text = "" }' \
		"$man"/nomad_*.3.pod >"$T/silent"
	[ ! -s "$T/silent" ] || { cat "$T/silent"; return 1; }
}
t_installed() {
	make --no-print-directory BUILD="$BUILD" DESTDIR="$T/root" PREFIX=/usr install-libnomadplugin >"$T/make" 2>&1 ||
		{ cat "$T/make"; return 1; }
	while IFS= read -r function; do
		page=$T/root/usr/share/man/man3/$function.3
		[ -s "$page" ] || { echo "there is no page $function(3)"; return 1; }
		other=$(sed -n 's/^\.so //p' "$page")
		[ -s "$T/root/usr/share/man/${other:-man3/$function.3}" ] ||
			{ echo "$function(3) leads to $other, which is not there"; return 1; }
	done <"$T/defined"
}
nomadinit=$BUILD/nomadinit/nomadinit
t_nomadinit() {
	[ -x "$nomadinit" ] || { skip_this 'nomadinit is not built'; return 0; }
	"$nomadinit" options | sed -n 's/^\([^ ][^:]*\): .*/\1/p' | sort -u >"$T/options"
	[ "$(wc -l <"$T/options")" -ge 20 ] || { cat "$T/options"; return 1; }
	sed -n '/^=head1 OPTIONS/,/^Kernel arguments/p' "$man/nomadinit.8.pod" |
		sed -n 's/^=item B<\([^>]*\)> (.*)$/\1/p' | sort -u |
		diff "$T/options" -
}
# In the synopsis, or told by the text as what PID 1 calls.
t_nomadinit_commands() {
	[ -x "$nomadinit" ] || { skip_this 'nomadinit is not built'; return 0; }
	"$nomadinit" help 2>&1 | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p' | sort >"$T/commands"
	[ "$(wc -l <"$T/commands")" -ge 9 ] || { cat "$T/commands"; return 1; }
	{
		awk '/^=head1/ { on = /SYNOPSIS/ } on' "$man/nomadinit.8.pod" | sed -n 's/^ nomadinit //p' |
			tr '|' '\n' | sed 's/^ *\([a-z-]*\).*/\1/'
		grep -o 'C<nomadinit [a-z-]*' "$man/nomadinit.8.pod" | sed 's/.* //'
	} | sort -u | diff "$T/commands" -
}
# The builder's own, by its text.
t_builder() {
	sed -n 's/^	\(--[a-z-]*\)).*/\1/p' nomadinit/image/build | sort -u >"$T/known"
	[ "$(wc -l <"$T/known")" -ge 15 ] || { cat "$T/known"; return 1; }
	{ sed -n '/^=head2 Building an image/,/^=head2 Order/p' nomadinit/nomadinit.pod | grep -o 'B<--[a-z-]*>' |
		tr -d 'B<>'
	grep '^ nomadinit/image/build' nomadinit/nomadinit.pod | grep -o -e '--[a-z-]*'; } | sort -u | diff "$T/known" -
}
t_runner() {
	sed -n 's/^	\(--[a-z]\{1,\}\)).*/\1/p' nomadinit/image/run | sort -u >"$T/known"
	[ "$(wc -l <"$T/known")" -ge 5 ] || { cat "$T/known"; return 1; }
	sed -n '1,/^=head1 DESCRIPTION/p' nomadinit/nomadinit.pod | grep 'image/run IMAGE' |
		grep -o -e '--[a-z]\{1,\}' | sort -u | diff "$T/known" -
}

run_test 'all manuals are built, as man pages and as HTML' t_made
run_test 'the markup of the manuals is valid' t_pod
run_test 'mandoc and groff report no problem' t_roff
run_test 'links in the HTML are valid' t_links
run_test 'the HTML is well-formed' t_html
drivers=0
for exe in "$BUILD"/plugins/nomad-driver-*; do
	[ -x "$exe" ] || skip_all 'no driver is built'
	drivers=$((drivers + 1)) name=$(basename "$exe")
	run_test "$name has complete manuals" t_sections "$name"
	run_test "$name: every option, and no other" t_options "$name"
	run_test "$name: every command and its options, and no other" t_commands "$name"
	run_test "$name: every error id, and no other" t_errors "$name"
	run_test "$name: every check of the host, and no other" t_checks "$name"
done
run_test 'every public function has a page' t_functions
run_test 'every page of a function has a text' t_texts
run_test 'each installed function has a page of its name' t_installed
run_test 'nomadinit: every option, and no other' t_nomadinit
run_test 'nomadinit: every command, and no other' t_nomadinit_commands
run_test 'the builder of images: every option, and no other' t_builder
run_test 'the runner of images: every option, and no other' t_runner
done_testing
