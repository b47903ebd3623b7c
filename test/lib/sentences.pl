#!/usr/bin/env perl
# SPDX-License-Identifier: MPL-2.0
# Prints for each page: FILE, its sentences, the words of an average sentence,
# and the sentences of more than 30 words.  Headings, tables and code do not
# count.
# usage: sentences.pl PAGE...      .md and POD
use strict;
use warnings;

for my $file (@ARGV) {
	open my $in, '<', $file or die "sentences.pl: $file: $!\n";
	my ($fence, $text) = (0, '');
	while (<$in>) {
		$fence = !$fence, next if /^```/;
		next if $fence || ($file =~ /\.md$/ ? /^( {4,}\S|\|)/ : /^[ \t]/);
		$text .= " .\n" if /^(?:=|#|\s*$|\s*(?:\d+\.|-) )/;
		$text .= $_ unless /^[=#]/;
	}
	$text =~ s/\b(e\.g|i\.e|etc)\./$1/g;
	my ($words, $long) = (0, 0);
	my @sentences = grep { (() = /[A-Za-z]{2,}/g) >= 3 } split /(?<=[.!?;:])[\s)]+/, $text or next;
	for (@sentences) {
		my $n = () = /\S*[A-Za-z0-9]\S*/g;
		$words += $n;
		$long++ if $n > 30;
	}
	printf "%s %d %.1f %d\n", $file, scalar @sentences, $words / @sentences, $long;
}
