#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The table of bundled sources, and what fetch does with files: no network, nothing built.
. test/lib.sh
requires awk sha256sum jq tar
table=.packaging/static/sources.tsv
# Days that a bundled version may be older than the newest one, and that nobody may have looked at the registries.
max_behind=365
max_unchecked=180

rows() { awk -F '\t' '!/^#/ && $1 != "name"' "$table"; }
days() { echo $(($(date -u -d "$1" +%s) / 86400)); }

t_whole() {
	rows | awk -F '\t' 'NF != 12 { print $1 ": " NF " columns"; bad = 1 }
		$5 !~ /^[0-9a-f]+$/ || length($5) != 64 { print $1 ": no SHA-256"; bad = 1 }
		$3 !~ /^(pypi|debian)$/ { print $1 ": registry " $3; bad = 1 }
		{ for (i = 1; i <= NF; i++) if ($i == "") { print $1 ": column " i " is empty"; bad = 1 } }
		END { exit bad || NR < 5 }'
}
t_new_enough() {
	today=$(days "${STATIC_TODAY:-now}")
	rows | cut -f1,2,7-10 | while read -r name version released newest newest_released checked; do
		[ $((today - $(days "$checked"))) -le $max_unchecked ] ||
			{ echo "$name: look for a newer version than $newest of $checked; then set the date"; exit 1; }
		[ "$version" != "$newest" ] || continue
		# Without its date, the newest is taken to be of the day on which it was seen.
		[ "$newest_released" != - ] || newest_released=$checked
		[ "$released" != - ] || { echo "$name is not the newest, so its date is needed"; exit 1; }
		behind=$(($(days "$newest_released") - $(days "$released")))
		[ "$behind" -le $max_behind ] ||
			{ echo "$name $version is $behind days older than $newest: update it"; exit 1; }
	done
}
# A table with one small source that is there already, and one changed byte.
t_fetch() {
	mkdir -p "$T/packaging" "$T/top/cache" "$T/thing" && cp .packaging/static/fetch "$T/packaging/" &&
		echo text >"$T/thing/file" && tar -C "$T" -czf "$T/top/cache/thing.tar.gz" thing || return 1
	sum=$(sha256sum "$T/top/cache/thing.tar.gz" | cut -d' ' -f1)
	printf 'thing\t1\tdebian\tthing.tar.gz\t%s\n' "$sum" >"$T/packaging/sources.tsv"
	"$T/packaging/fetch" "$T/top" thing && is "$(cat "$T/top/src/thing/file")" text
}
t_other_sum() {
	printf x >>"$T/top/cache/thing.tar.gz"
	! "$T/packaging/fetch" "$T/top" thing 2>"$T/err" && file_has "$T/err" 'its SHA-256 is not'
}
t_unknown() { ! "$T/packaging/fetch" "$T/top" nothing 2>"$T/err" && file_has "$T/err" "unknown source 'nothing'"; }
t_sbom() {
	mkdir -p "$T/x86_64/plugins" "$T/aarch64/plugins" && echo a >"$T/x86_64/plugins/nomad-driver-nspawn" &&
		echo b >"$T/aarch64/plugins/nomad-driver-nspawn" &&
		VERSION=1 .packaging/static/sbom "$T"/*/plugins/* >"$T/sbom" &&
		jq -e -f test/ship/sbom.jq "$T/sbom" || return 1
	for name in grpcio abseil-cpp musl protobuf-c jansson msgpack-c; do
		licence=$(jq -r --arg n "$name" '.packages[] | select(.name == $n).licenseDeclared' "$T/sbom")
		case $licence in '' | NOASSERTION) echo "$name has no licence"; return 1 ;; esac
	done
}

run_test 'each source has version, file, sum, licence and dates' t_whole
run_test 'no bundled version is too old' t_new_enough
run_test 'fetch unpacks a file with the right sum' t_fetch
run_test 'fetch refuses a file with another sum' t_other_sum
run_test 'fetch refuses a name that is not in the table' t_unknown
run_test 'the bill of materials names all parts with licences' t_sbom
done_testing
