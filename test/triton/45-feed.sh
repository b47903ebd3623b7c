#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The change feed: what it tells is seen at once, the list is asked for less
# often, and nothing depends on it.
. test/lib.sh
. test/triton/lib-triton.sh
require_standin
make_keys
shards 5
start_site
id_of() { machines '.[0].id' | tr -d '"'; }
feeds() { control GET /requests | jq '[.[] | select((.path | endswith("/changefeed")) and .status == 101)] | length'; }
_has_feeds() { [ "$(feeds)" -ge "$1" ]; }
lists() { control GET /requests | jq '[.[] | select(.method == "GET" and (.path | contains("tag.nomad_driver")))] | length'; }
feed() { control POST /set "{\"changefeed\": $1}" >/dev/null; }
# with_interval SECONDS: of the list
with_interval() { jq ".poll_interval = $1" "$T/plugin.json" >"$T/p.json" && mv "$T/p.json" "$T/plugin.json"; }

t_told() { # far sooner than any list could
	feed true; with_interval 300
	run "$(cloud_config)" && up && wait_for 60 'the feed is there' _has_feeds 1 && sleep 1 &&
	control POST "/machine/$(id_of)/delete" >/dev/null && finish 60 && [ "$STATUS" -ne 0 ] && file_has "$T/err" 'deleted, not by Nomad' && nothing_left
}
t_less() {
	feed true; with_interval 1
	run "$(cloud_config)" && up && wait_for 60 'the feed is there' _has_feeds 1 && sleep 3 && control POST /forget '{}' >/dev/null && sleep 16 &&
	_n=$(lists) && { [ "$_n" -le 6 ] || { echo "$_n lists in 16 s"; return 1; }; } && stop && nothing_left
}
t_breaks() { # a purge is what this feed does not tell; the list that follows its end does
	feed true; with_interval 300
	run "$(cloud_config)" && up && wait_for 60 'the feed is there' _has_feeds 1 && sleep 1 && control POST /forget '{}' >/dev/null &&
	control POST "/machine/$(id_of)/purge" >/dev/null && feed false && finish 60 && [ "$STATUS" -ne 0 ] && [ "$(lists)" -ge 1 ] && nothing_left
}
t_again() {
	feed true; with_interval 300
	run "$(cloud_config)" && up && wait_for 60 'the feed is there' _has_feeds 1 && control POST /cut '{}' >/dev/null &&
	wait_for 60 'the feed is there again' _has_feeds 2 && sleep 1 && control POST "/machine/$(id_of)/delete" >/dev/null && finish 60 && nothing_left
}
t_none() { # a data centre without one is not asked again and again
	feed false; with_interval 1
	run "$(cloud_config)" && up && sleep 8 && is "$(control GET /requests | jq '[.[] | select(.path | endswith("/changefeed"))] | length')" 1 && stop && nothing_left
}
deal 'a change is seen when the feed tells of it' t_told
deal 'with a feed the list is asked for less often' t_less
deal 'when the feed breaks off the list is asked for' t_breaks
deal 'a feed that broke off is opened again' t_again
deal 'a data centre without a feed is asked once' t_none
all_dealt
