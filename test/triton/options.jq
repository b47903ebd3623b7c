# SPDX-License-Identifier: MPL-2.0
# The names of all options of a schema, those of blocks with a dot.
. as $root |
def ref: [.. | objects | select(has("$ref")) | ."$ref"] | first // null;
def leaves($p): to_entries[] | .key as $k | (.value | ref) as $r |
	if $r then $root["$defs"][$r | sub("^#/[$]defs/"; "")].properties |
	leaves($p + $k + ".") else $p + $k end;
.properties | leaves("")
