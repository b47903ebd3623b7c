#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# No option without a test: the table in README.md names one for each of the schema, and it exists; so do those of the
# other.
. test/lib.sh
. test/nspawn/lib-nspawn.sh
requires jq
[ -x "$DRIVER" ] || skip_all "no $DRIVER"
table=test/nspawn/README.md
options() {
	"$DRIVER" schema --json --task | jq -r '(.properties | keys[]), (."$defs" | to_entries[] | .key as $block |
		.value.properties | keys[] | "\($block).\(.)")'
	"$DRIVER" schema --json --plugin | jq -r '.properties | keys[]' | grep -vxE "$LIBRARY_OPTIONS" |
		sed 's/^/plugin /'
}
options >"$T/options"
covered() {
	row=$(grep -F "| \`$1\` | " $table) || { echo "no row for $1 in $table"; return 1; }
	script=$(echo "$row" | cut -d'`' -f4) && title=$(echo "$row" | sed 's/^| [^|]* | [^|]* | \(.*\) |$/\1/')
	grep -qF "run_test '$title' " "test/nspawn/$script.sh" || { echo "no test '$title' in $script"; return 1; }
}
t_all() { is "$([ "$(wc -l <"$T/options")" -gt 40 ] && echo many)" many &&
	for o in $(tr ' ' + <"$T/options"); do covered "$(echo "$o" | tr + ' ')" || return 1; done; }
t_rows() {
	sed -n 's/^| `\([^`]*\)` | `[0-9].*/\1/p' $table | while read -r o; do
		grep -qxF "$o" "$T/options" || { echo "$o is no option"; exit 1; }
	done
}
t_others() {
	sed '1,/^## What is no option/d' "$table" | sed -n 's/^| [^|]* | `\([0-9][^`]*\)` | \(.*\) |$/\1 \2/p' \
		>"$T/others"
	is "$([ "$(wc -l <"$T/others")" -gt 15 ] && echo many)" many || return 1
	while read -r script title; do
		case $title in
		Test*) grep -q "^func $title(" test/conformance/*.go ;;
		*) grep -qF "run_test '$title' " "test/nspawn/$script.sh" ;;
		esac || { echo "no test '$title' in $script"; return 1; }
	done <"$T/others"
}
run_test 'each option has a test of its effect' t_all
run_test 'each row of the table is an option' t_rows
run_test 'what is no option has its test' t_others
done_testing
