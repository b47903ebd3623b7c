# SPDX-License-Identifier: MPL-2.0
# usage: includes.pl ARCHITECTURE.md TREE BUILD <list of .d files
# Prints each include that the table does not allow; fails if there is one, or if table or list are empty.
use strict;
use warnings;
my ($rules, $tree, $build) = @ARGV;

# "a/*" as a pattern; a folder means everything in it.
sub pattern {
	my $p = quotemeta shift;
	$p =~ s/\\\*/[^\/]*/g;
	return $p =~ /\/$/ ? $p : "$p\$";
}
sub full { my $n = shift; return $n =~ /^(nomad-driver|nomadinit|test)/ ? $n : "libnomadplugin/$n" }

my (@rows, %libraries);
open(my $md, '<', $rules) or die "$rules: $!\n";
while (<$md>) {
	my ($files, $may) = /^\| `([^`]+)` \| ([^|]*)\|/ or next;
	last if @rows && !/\|.*\|.*\|/;
	my @tokens = $may =~ /`([^`]+)`/g;
	my %row = (files => $files, own => pattern(full($files)));
	for (@tokens) {
		if (/^<(.*)>$/) { (my $l = $1) =~ s/\*$//; push @{$row{libs}}, $l; $libraries{$l} = 1 }
		else { push @{$row{may}}, pattern(full($_)) }
	}
	push @rows, \%row;
}
# The longest one first.
@rows = sort { length $b->{files} <=> length $a->{files} } @rows;

sub row_of {
	my $file = shift;
	for (@rows) { return $_ if $file =~ /^$_->{own}/ }
	return;
}
sub lib_of { my $h = shift; for (keys %libraries) { return $_ if index($h, $_) == 0 } return }

my (%seen, $bad, $checked);
sub complain { my $m = shift; print "$m\n" unless $seen{$m}++; $bad = 1 }
sub libs_in {
	my ($file, $row) = @_;
	return if $seen{"<$file"}++;
	open(my $f, '<', "$tree/$file") or return;
	while (<$f>) {
		my ($h) = /^\s*#\s*include\s*<([^>]+)>/ or next;
		my $lib = lib_of($h);
		complain("$file: $h, which row $row->{files} does not allow")
			if defined $lib && !grep { $_ eq $lib } @{$row->{libs}};
	}
}

while (my $d = <STDIN>) {
	chomp $d;
	open(my $f, '<', $d) or next;
	my ($source, @headers) = do {
		local $/;
		my ($rule) = split /\n(?!.*\\\n)[^\n]*:\n/, <$f>;
		$rule =~ s/\\\n//g;
		$rule =~ s/^[^:]*://;
		grep { !m{^/} } split ' ', $rule;
	};
	# Of a file that is gone.
	next unless defined $source && -e "$tree/$source";
	next if $source =~ m{^libnomadplugin/.*_test\.c$};
	my $row = row_of($source) or next;
	$checked++;
	libs_in($source, $row);
	(my $folder = $source) =~ s{[^/]*$}{};
	(my $top = $source) =~ s{^((?:libnomadplugin/)?[^/]*/).*}{$1};
	for my $h (@headers) {
		next unless $h =~ /\.h$/;
		$h =~ s{^\./}{};
		$h =~ s{^\Q$build\E/}{};	# generated: its folder's
		1 while $h =~ s{[^/.]+/\.\./}{};
		my $mine = $row->{own};
		next if $h =~ /^\Q$folder\E/ || ($h =~ /^$mine/ && $mine =~ /\/$/);
		next if $h =~ m{^\Q$top\E} && $folder =~ m{/os/};
		next if grep { $h =~ /^$_/ } @{$row->{may}};
		(my $short = $h) =~ s{^libnomadplugin/}{};
		complain("$source: $short, which row $row->{files} does not allow");
	}
	# A header's own libraries count where the header is.
	for my $h (@headers) {
		next unless -e "$tree/$h";
		my $r = row_of($h) or next;
		libs_in($h, $r) unless $h =~ /(^|\/)testing\.h$/;
	}
}
die "no rule read from $rules\n" unless @rows > 5;
die "no .d file read\n" unless $checked;
print "$checked files\n" unless $bad;
exit($bad ? 1 : 0);
