#!/usr/bin/perl
# SPDX-License-Identifier: MPL-2.0
# Put one certificate into an OVMF variable store as PK, KEK and db, and turn Secure Boot on.
# usage: enroll.pl CERTIFICATE.pem <OVMF_VARS.fd >ENROLLED.fd
#
# The store: a firmware volume header, a variable store header (28 bytes), then variables, each aligned to 4:
# 0x55aa, state, attributes, counter, time, key index, sizes, vendor (60 bytes), name in UTF-16, data.
use strict;
use warnings;
use MIME::Base64;

binmode STDIN;
binmode STDOUT;
my ($cert) = do { local (@ARGV, $/) = (shift); <> } =~ /-----BEGIN CERTIFICATE-----(.*?)-----END/s
	or die "no certificate\n";
$cert = decode_base64($cert);
my $fd = do { local $/; <STDIN> };

sub guid {
	my @p = split /-/, shift;
	return pack('VvvH4H12', hex $p[0], hex $p[1], hex $p[2], $p[3], $p[4]);
}
my $global = guid('8be4df61-93ca-11d2-aa0d-00e098032b8c');
my $security = guid('d719b2cb-3d3a-4596-a3bc-dad00e67656f');
my $enable = guid('f0a30bc7-af08-4556-99c4-001009c93a44');
my $x509 = guid('a5c059a1-94e4-4aa7-87b5-ab155c2bf072');
my $owner = guid('5a5a5a5a-5a5a-4a5a-8a5a-5a5a5a5a5a5a');

my $at = unpack('v', substr($fd, 0x30, 2));
substr($fd, $at, 16) eq guid('aaf32c78-947b-439a-a180-2e144ec37792') or die "no authenticated variable store\n";
my $end = $at + unpack('V', substr($fd, $at + 16, 4));
$at += 28;
while (substr($fd, $at, 2) eq "\xaa\x55") {
	my ($name_size, $data_size) = unpack('VV', substr($fd, $at + 36, 8));
	$at += 60 + $name_size + $data_size;
	$at = ($at + 3) & ~3;
}

sub add {
	my ($name, $vendor, $attributes, $data, $time) = @_;
	$name = join('', map { "$_\0" } split(//, $name)) . "\0\0";
	my $v = pack('vCCVx8', 0x55aa, 0x3f, 0, $attributes) . ($time ? pack('vCCCCCx9', 2024, 1, 1, 0, 0, 0) : "\0" x 16)
		. pack('VVV', 0, length $name, length $data) . $vendor . $name . $data;
	$v .= "\xff" x (-length($v) % 4);
	$at + length $v <= $end or die "the store is full\n";
	substr($fd, $at, length $v) = $v;
	$at += length $v;
}
my $list = $x509 . pack('VVV', 28 + 16 + length $cert, 0, 16 + length $cert) . $owner . $cert;
add('PK', $global, 0x27, $list, 1);
add('KEK', $global, 0x27, $list, 1);
add('db', $security, 0x27, $list, 1);
add('SecureBootEnable', $enable, 3, "\1", 0);
print $fd;
