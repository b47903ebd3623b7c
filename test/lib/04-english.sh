#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Plain English: no construction of english.tsv (a pattern of grep -P, a tab,
# better words), no misspelt word, short sentences in pages.  Folders that are
# not rewritten yet have a maximum below, which may only fall.
. test/lib.sh
requires git perl
codespell_version=2.4.3
# Misspelt on purpose, or a name of others.
ignored=alue,atmost,caf,comand,gost,importd,isnt,lable,tru,unsecure

texts() {	# PATHSPEC...
	git ls-files -co --exclude-standard -- "$@" ':!*.svg' ':!*.tsv' ':!*.dict' ':!*/corpus/*' ':!LICENSE' \
		':!*/licences/*' ':!test/lib/04-english.sh' | sort -u |
		while IFS= read -r f; do [ ! -f "$f" ] || echo "$f"; done
}
hits() {	# PATHSPEC...: one line for each
	texts "$@" >"$T/texts"
	while IFS="$(printf '\t')" read -r pattern better; do
		xargs grep -nHP -e "$pattern" <"$T/texts" | sed "s|\$|   [better: $better]|"
	done <test/lib/english.tsv | sort -t: -k1,1 -k2,2n -u
}
at_most() {	# MAXIMUM WHAT: what was found is on stdin, a line each
	cat >"$T/found"
	n=$(wc -l <"$T/found")
	[ "$n" -le "$1" ] || { head -n 40 "$T/found"; echo "$2: $n, at most $1"; return 1; }
	[ "$n" -eq "$1" ] || echo "# $2: $n; lower the maximum in test/lib/04-english.sh"
}

# Folders with their own maximum; the rest of the tree has none left.
left='nomad-driver-build=59 nomad-driver-nspawn=105 nomad-driver-triton=73 nomadinit=77 test=213'
t_patterns() {
	printf 'whoever asks\nthis is no file\nthere is no file\nit is no longer in vain\n' >"$T/sample"
	while IFS="$(printf '\t')" read -r pattern better; do
		[ -n "$better" ] || { echo "$pattern: no better words"; return 1; }
		grep -nP -e "$pattern" "$T/sample"
		[ $? -le 1 ] || { echo "$pattern: not a pattern"; return 1; }
	done <test/lib/english.tsv >"$T/said"
	is "$(cut -d: -f1 "$T/said" | sort -u | tr '\n' ' ')" '1 2 4 '
}
t_done() {
	set -- .
	for row in $left; do set -- "$@" ":!${row%=*}"; done
	{ hits "$@"; hits test/lib test/pot test/README.md; } | at_most 0 'constructions to replace'
}
t_left() {
	for row in $left; do
		set -- "${row%=*}"
		[ "$1" != test ] || set -- test ':!test/lib' ':!test/pot' ':!test/README.md'
		hits "$@" | at_most "${row#*=}" "${row%=*}" || return 1
	done
}
# Average words of a sentence, and sentences of more than 30 words.
t_sentences() {
	texts '*.md' '*.pod' libnomadplugin/man/driver-pod | xargs perl test/lib/sentences.pl >"$T/pages"
	[ "$(wc -l <"$T/pages")" -ge 20 ] || return 1
	awk '$3 > 15' "$T/pages" | at_most 0 'pages with more than 15 words in an average sentence' &&
		awk '{ for (i = 0; i < $4; i++) print }' "$T/pages" | at_most 18 'sentences of more than 30 words'
}
t_spelling() {
	codespell=$BUILD/codespell/bin/codespell
	"$codespell" --version 2>/dev/null | grep -qx "$codespell_version" || {
		rm -rf "$BUILD/codespell"
		python3 -m venv "$BUILD/codespell" >"$T/pip" 2>&1 &&
			"$BUILD/codespell/bin/pip" install -q --disable-pip-version-check \
			"codespell==$codespell_version" >"$T/pip" 2>&1 ||
			{ skip_this "no codespell $codespell_version: $(tail -n 1 "$T/pip")"; return 0; }
	}
	texts . | xargs "$codespell" --ignore-words-list "$ignored"
}

run_test 'each pattern is valid and has better words' t_patterns
run_test 'rewritten folders have no construction of the list' t_done
run_test 'other folders have no more than before' t_left
run_test 'sentences in pages are short' t_sentences
run_test 'codespell finds no misspelt word' t_spelling
done_testing
