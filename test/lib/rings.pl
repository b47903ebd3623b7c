# SPDX-License-Identifier: MPL-2.0
# usage: rings.pl ARCHITECTURE.md <what "nm -A -g" prints for the objects of one program
# Prints the cycles among the objects (an object needs another that defines a symbol it uses), except pairs that the
# table of rings names, then "N rings". Fails if N is not 0.
use strict;
use warnings;
my (%allowed, %defined_in, %uses, %needs);
open(my $md, '<', $ARGV[0]) or die "$ARGV[0]: $!\n";
while (<$md>) {
	$allowed{join ' ', sort $1, $2} = 1 if /^\| `([^` ]+\.c)` `([^` ]+\.c)` \| \w/;
}
while (<STDIN>) {
	my ($object, $type, $symbol) = /^(.*?\.o):\s*[0-9a-f]*\s+(\w) (\S+)$/ or next;
	if ($type =~ /[UvwV]/ && $type ne 'V') { push @{$uses{$object}}, $symbol }
	else { $defined_in{$symbol} = $object }
	$needs{$object} ||= {};
}
die "no objects\n" unless %needs;
for my $o (keys %uses) {
	for (@{$uses{$o}}) { $needs{$o}{$defined_in{$_}} = $_ if defined $defined_in{$_} && $defined_in{$_} ne $o }
}

# Tarjan's strongly connected components.
my (%index, %low, %on, @stack, @rings);
my $n = 0;
no warnings 'recursion';
sub visit {
	my $o = shift;
	$index{$o} = $low{$o} = ++$n;
	push @stack, $o;
	$on{$o} = 1;
	for my $p (sort keys %{$needs{$o}}) {
		if (!$index{$p}) { visit($p); $low{$o} = $low{$p} if $low{$p} < $low{$o} }
		elsif ($on{$p} && $index{$p} < $low{$o}) { $low{$o} = $index{$p} }
	}
	return if $low{$o} != $index{$o};
	my @ring;
	do { push @ring, pop @stack; delete $on{$ring[-1]} } until $ring[-1] eq $o;
	push @rings, [sort @ring] if @ring > 1;
}
for (sort keys %needs) { visit($_) unless $index{$_} }

sub source { (my $s = shift) =~ s/\.o$/.c/; $s =~ s{^libnomadplugin/}{}; return $s }
my $bad = 0;
for my $ring (@rings) {
	next if @$ring == 2 && $allowed{join ' ', sort map { source($_) } @$ring};
	$bad++;
	print 'ring of ', scalar @$ring, ":\n";
	my %in = map { $_ => 1 } @$ring;
	for my $o (@$ring) {
		print "  ", source($o), ' needs ', join(', ', map { source($_) . " ($needs{$o}{$_})" } grep { $in{$_} } sort keys %{$needs{$o}}), "\n";
	}
}
print "$bad rings\n";
exit($bad ? 1 : 0);
