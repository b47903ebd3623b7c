#!/usr/bin/perl
# SPDX-License-Identifier: MPL-2.0
# A DHCP server that lies in a new way each time it is asked, and tells the truth in the end.
# usage: liar.pl INTERFACE    (its address is 203.0.113.1)
use strict;
use warnings;
use Socket;
my $interface = shift;
$| = 1;
socket(my $s, PF_INET, SOCK_DGRAM, 0) or die;
setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
setsockopt($s, SOL_SOCKET, SO_BROADCAST, 1);
setsockopt($s, SOL_SOCKET, 25, $interface) or die;    # SO_BINDTODEVICE
bind($s, pack_sockaddr_in(67, INADDR_ANY)) or die;
my $asked = 0;

sub option { my ($code, $data) = @_; return pack('CC', $code, length $data) . $data }

while (1) {
	my $from = recv($s, my $q, 2000, 0);
	next if !defined $from || length $q < 240;
	my ($type) = substr($q, 240) =~ /^\x35\x01(.)/s or next;
	$type = ord $type;
	my $lie = $type == 1 ? $asked++ : $asked;
	my ($ip, $mask, $lease) = ('203.0.113.77', '255.255.255.0', 600);
	$ip = '127.0.0.1' if $lie == 0;
	$mask = '255.0.255.0' if $lie == 1;
	$ip = '224.0.0.5' if $lie == 2;
	my $answer = pack('C4a4nn', 2, 1, 6, 0, substr($q, 4, 4), 0, 0x8000) . inet_aton('0.0.0.0') . inet_aton($ip)
		. inet_aton('203.0.113.1') . inet_aton('0.0.0.0') . substr($q, 28, 16) . ("\0" x 192) . "\x63\x82\x53\x63";
	$answer .= option(53, chr($type == 1 ? 2 : 5)) . option(1, inet_aton($mask)) . option(54, inet_aton('203.0.113.1'))
		. option(51, pack('N', $lease)) . option(12, 'x;reboot')
		. option(6, inet_aton('127.0.0.9') . inet_aton('203.0.113.1'));
	$answer .= "\x79\xff\x21" if $lie == 3;    # an option longer than the packet
	$answer .= "\xff";
	$answer = substr($answer, 0, 250) if $lie == 3;
	send($s, $answer, 0, pack_sockaddr_in(68, inet_aton('255.255.255.255')));
	print "type $type lie $lie\n";
}
