#!/usr/bin/perl
# SPDX-License-Identifier: MPL-2.0
# A time server that at first answers with lies only, then with lies and the truth plus an hour.
# usage: time.pl ADDRESS
use strict;
use warnings;
use Socket;
$| = 1;
socket(my $s, PF_INET, SOCK_DGRAM, 0) or die;
setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
bind($s, pack_sockaddr_in(123, inet_aton(shift))) or die "bind: $!";
my $asked = 0;
while (my $from = recv($s, my $q, 2000, 0)) {
	next if length $q < 48;
	$asked++;
	my $answer = sub {
		my ($stratum, $now, $cookie, $len) = @_;
		my $stamp = pack('NN', $now + 2208988800, 0);
		my $text = pack('CCCC', 4 << 3 | 4, $stratum, 6, 0xec) . ("\0" x 8) . 'LIAR' . $stamp . $cookie . $stamp . $stamp;
		send($s, substr($text, 0, $len), 0, $from);
	};
	my $cookie = substr($q, 40, 8);
	my $now = time + 3600;
	$answer->(2, $now + 86400, 'guessed!', 48);    # no answer to what was asked
	$answer->(2, 1000000000, $cookie, 48);         # before the image was built
	$answer->(2, $now + 86400, $cookie, 47);       # too short
	$answer->(0, $now + 86400, $cookie, 48) if $asked == 1;    # "go away"
	$answer->(2, $now, $cookie, 48) if $asked > 1;
	print "asked $asked\n";
}
