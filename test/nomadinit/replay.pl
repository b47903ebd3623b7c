#!/usr/bin/perl
# SPDX-License-Identifier: MPL-2.0
# A metadata service on loopback, as strict as the real one, or broken in one way.
# usage: replay.pl PROVIDER VARIANT [ADDRESS [PORT]]     prints its port; each request goes to stderr
#   VARIANT: plain, or one or more of, joined by '+':
#     none        no user-data            slow      the first requests get no answer for 2 s
#     busy        503, then 429, first    early     410 and 404 first
#     expire      tokens live 1 s and one request waits longer
#     chunked     chunks of odd sizes     bytes     one byte at a time
#     redirect    302 to elsewhere        large     a body above every limit
#     endless     headers without end     hang      headers, then silence
#     cut         half of a body          garbage   no HTTP
#     nomark      no header that proves the service
#     foreign     user-data that is not ours         gzip base64 mime   its other forms
#     evil        values that no configuration may take
use strict;
use warnings;
use IO::Socket::INET;
use IO::Compress::Gzip qw(gzip);
use MIME::Base64;
use Socket qw(IPPROTO_TCP TCP_NODELAY SOL_SOCKET SO_LINGER);

my ($provider, $variants, $address, $port) = @ARGV;
my %is = map { $_ => 1 } split /\+/, $variants;
my $json = '{"nomadinit": {"log_bytes": 65536}, "region": "from-user-data"}';
my $user_data = $json;
$user_data = "#cloud-config\nhostname: proxmox-name\nmanage_etc_hosts: true\nruncmd:\n  - [ls, -l]\n" if $is{foreign};
if ($is{mime}) {
	$user_data = "Content-Type: multipart/mixed; boundary=\"==b==\"\nMIME-Version: 1.0\n\n--==b==\n"
		. "Content-Type: text/x-shellscript\n\n#!/bin/sh\nexit\n--==b==\nContent-Type: text/plain\n"
		. "Content-Transfer-Encoding: base64\n\n" . encode_base64("#nomadinit\n$json\n") . "--==b==--\n";
}
if ($is{gzip}) { my $z; gzip(\$user_data, \$z); $user_data = $z }
$user_data = encode_base64($user_data) if $is{base64};
$user_data = undef if $is{none};

my $evil = $is{evil};
my $name = $evil ? '-x$(reboot)' : 'node-1';
my $mac = '02:00:00:00:00:01';
my ($requests, %tokens, $reported) = (0);

sub text { defined $_[0] ? (200, $_[0]) : (404, 'no') }

# Each gets method, path, headers (names in small letters), body; returns status, body, header lines.
my %services = (
	ec2 => sub {
		my ($method, $path, $h) = @_;
		return (403, '') if $h->{'x-forwarded-for'};
		if ($method eq 'PUT') {
			return (403, '') if $path ne '/latest/api/token';
			my $ttl = $h->{'x-aws-ec2-metadata-token-ttl-seconds'} // '';
			return (400, '') unless $ttl =~ /^\d+$/ && $ttl >= 1 && $ttl <= 21600;
			my $token = 'AQ' . int(rand 1e9) . '==';
			$tokens{$token} = time + ($is{expire} ? 1 : $ttl);
			return (200, $is{evil} ? "$token\r\nX-Evil: 1" : $token);
		}
		my $until = $tokens{$h->{'x-aws-ec2-metadata-token'} // ''};
		return (401, '') unless $until && $until >= time;
		sleep 3 if $is{expire} && $path =~ /instance-type/ && !$is{slept}++;
		my %keys = ('instance-id' => 'i-0123', 'local-hostname' => $name, 'placement/region' => 'eu-west-1',
			'placement/availability-zone' => 'eu-west-1a', 'instance-type' => 't3.small',
			'network/interfaces/macs/' => "$mac/", "network/interfaces/macs/$mac/ipv6s" => "2001:db8::7\n2001:db8::8");
		return text($user_data) if $path eq '/latest/user-data';
		return $path =~ m{^/latest/meta-data/(.*)} ? text($keys{$1}) : (404, '');
	},
	gce => sub {
		my ($method, $path, $h) = @_;
		my @mark = $is{nomark} ? () : ('Metadata-Flavor: Google');
		return (403, '', @mark) if $h->{'x-forwarded-for'} || ($h->{'metadata-flavor'} // '') ne 'Google';
		my %keys = (id => '4711', hostname => $name, zone => 'projects/1/zones/europe-west1-b',
			'machine-type' => 'projects/1/machineTypes/e2-small', 'attributes/user-data' => $user_data,
			'network-interfaces/?recursive=true&alt=json' => qq([{"mac": "$mac", "mtu": 1460, "ip": "10.1.0.2",
				"ipv6": ["2001:db8::9"], "gatewayIpv6": "fe80::1"}]));
		return ($path =~ m{^/computeMetadata/v1/instance/(.*)} ? text($keys{$1}) : (404, ''), @mark);
	},
	azure => sub {
		my ($method, $path, $h) = @_;
		return (400, '') if ($h->{metadata} // '') ne 'true' || $h->{'x-forwarded-for'};
		return (400, '{"newest-versions": ["2021-02-01"]}') unless $path =~ /[?&]api-version=20\d\d-\d\d-\d\d(&|$)/;
		return (404, '') unless $path =~ m{^/metadata/instance\?};
		my $data = defined $user_data ? encode_base64($user_data, '') : '';
		my $n = $evil ? '..' : $name;
		return (200, qq({"compute": {"vmId": "vm-1", "name": "$n", "location": "westeurope", "zone": "",
			"vmSize": "B1s", "osProfile": {"computerName": ""}, "userData": "$data"},
			"network": {"interface": [{"macAddress": "020000000001", "ipv4": {"ipAddress":
			[{"privateIpAddress": "10.0.0.4"}], "subnet": [{"address": "10.0.0.0", "prefix": "24"}]},
			"ipv6": {"ipAddress": [{"privateIpAddress": "2001:db8::4"}]}}]}}));
	},
	wireserver => sub {
		my ($method, $path, $h, $body) = @_;
		return (400, '') unless ($h->{'x-ms-version'} // '') =~ /^20\d\d-\d\d-\d\d$/ && $h->{'x-ms-agent-name'};
		if ($method eq 'GET') {
			return (404, '') unless $path =~ m{^/machine/?\?comp=goalstate$};
			return (200, '<GoalState/>') if $evil;
			return (200, qq(<?xml version="1.0"?><w:GoalState xmlns:w="urn:x"><w:Version>2012-11-30</w:Version>
				<w:Incarnation>7</w:Incarnation><w:Container><w:ContainerId> c&amp;1 </w:ContainerId>
				<w:RoleInstanceList><w:RoleInstance a="b"><w:InstanceId>i&lt;2</w:InstanceId>
				</w:RoleInstance></w:RoleInstanceList></w:Container></w:GoalState>));
		}
		return (404, '') unless $method eq 'POST' && $path =~ m{^/machine/?\?comp=health$};
		return (415, '') unless ($h->{'content-type'} // '') =~ m{^text/xml};
		$body =~ s/>\s+</></g;
		return (400, '') unless $body =~ m{^(<\?xml[^>]*\?>)?<Health><GoalStateIncarnation>7</GoalStateIncarnation>
			<Container><ContainerId>c&amp;1</ContainerId><RoleInstanceList><Role><InstanceId>i&lt;2</InstanceId>
			<Health><State>Ready</State></Health></Role></RoleInstanceList></Container></Health>$}x;
		print STDERR "ready was reported\n";
		return (200, '');
	},
	openstack => sub {
		my ($method, $path) = @_;
		my %keys = ('meta_data.json' => qq({"uuid": "u-1", "hostname": "@{[$evil ? '-x-' : $name]}", "availability_zone": "nova"}),
			'network_data.json' => qq({"links": [{"id": "l0", "type": "ovs", "ethernet_mac_address": "$mac", "mtu": 1450},
				{"id": "bond0", "type": "bond", "bond_links": ["l0"], "bond_mode": "802.3ad"},
				{"id": "vlan5", "type": "vlan", "vlan_id": 5, "vlan_link": "bond0"}, {"id": "tun", "type": "whatever"}],
				"networks": [{"link": "l0", "type": "ipv4", "ip_address": "10.5.0.3", "netmask": "255.255.255.0",
				"routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.5.0.1"},
				{"network": "10.9.0.0", "netmask": "255.255.0.0", "gateway": "10.5.0.2"}],
				"services": [{"type": "dns", "address": "10.5.0.53"}]},
				{"link": "vlan5", "type": "ipv4_dhcp"}, {"link": "none", "type": "ipv4_dhcp"}]}), user_data => $user_data);
		return $path =~ m{^/openstack/latest/(.*)} ? text($keys{$1}) : (404, '');
	},
	digitalocean => sub {
		my ($method, $path) = @_;
		return (404, '') unless $path eq '/metadata/v1.json';
		my $data = defined $user_data ? $user_data =~ s/(["\\])/\\$1/gr =~ s/\n/\\n/gr : '';
		return (200, qq({"droplet_id": 99, "hostname": "@{[$evil ? 'x/../y' : $name]}", "region": "fra1", "user_data": "$data",
			"dns": {"nameservers": ["67.207.67.3"]}, "interfaces": {"public": [{"mac": "$mac",
			"ipv4": {"ip_address": "203.0.113.5", "netmask": "255.255.240.0", "gateway": "203.0.113.1"},
			"ipv6": {"ip_address": "2001:db8::5", "cidr": 64, "gateway": "2001:db8::1"}}],
			"private": [{"mac": "02:00:00:00:00:02", "ipv4": {"ip_address": "10.110.0.3",
			"netmask": "255.255.0.0", "gateway": "10.110.0.1"}}]}}));
	},
	hetzner => sub {
		my ($method, $path) = @_;
		return text($user_data) if $path eq '/hetzner/v1/userdata';
		my %keys = ('instance-id' => '42', hostname => $name, region => 'eu-central', 'availability-zone' => 'fsn1-dc14',
			'network-config' => "config:\n- mac_address: $mac\n  name: eth0\n  subnets:\n  - dns_nameservers:\n"
			. "    - 2a01:4ff:ff00::add:1\n    ipv4: true\n    type: dhcp\n  - address: 2001:db8:1::1/64\n"
			. "    gateway: fe80::1\n    ipv6: true\n    type: static\n  type: physical\nversion: 1\n");
		return $path =~ m{^/hetzner/v1/metadata/(.*)} ? text($keys{$1}) : (404, '');
	},
	oracle => sub {
		my ($method, $path, $h) = @_;
		return (404, '') if ($h->{authorization} // '') ne 'Bearer Oracle';
		my $data = defined $user_data ? encode_base64($user_data, '') : '';
		return (200, qq({"id": "ocid1", "hostname": "@{[$evil ? '' : $name]}", "canonicalRegionName": "eu-frankfurt-1",
			"availabilityDomain": "EUZg:AD-1", "shape": "VM.A1", "metadata": {"user_data": "$data"}}))
			if $path eq '/opc/v2/instance/';
		return (200, qq([{"macAddr": "$mac", "privateIp": "10.0.0.2", "virtualRouterIp": "10.0.0.1",
			"subnetCidrBlock": "10.0.0.0/24"}, {"macAddr": "02:00:00:00:00:02", "privateIp": "10.0.7.2",
			"virtualRouterIp": "10.0.7.1", "subnetCidrBlock": "10.0.7.0/24", "ipv6Addresses": ["2001:db8::6"],
			"ipv6VirtualRouterIp": "fe80::2"}])) if $path eq '/opc/v2/vnics/';
		return (404, '');
	},
	vultr => sub {
		my ($method, $path) = @_;
		return text($user_data) if $path eq '/latest/user-data';
		return $path eq '/v1.json' ? (200, qq({"instance-v2-id": "v2", "hostname": "@{[$evil ? 'a..b' : $name]}", "region":
			{"regioncode": "AMS"}, "interfaces": [{"mac": "$mac", "network-type": "public", "ipv4":
			{"address": "203.0.113.9"}, "ipv6": {"address": "2001:db8::3", "prefix": "64"}}]})) : (404, '');
	},
	exoscale => sub {
		my ($method, $path) = @_;
		my %keys = ('meta-data/instance-id' => 'exo-1', 'meta-data/local-hostname' => $name, 'user-data' => $user_data,
			'meta-data/availability-zone' => 'ch-gva-2', 'meta-data/service-offering' => 'Tiny');
		return $path =~ m{^/1\.0/(.*)} ? text($keys{$1}) : (404, '');
	},
);

sub put {
	my ($c, $data) = @_;
	if ($is{bytes}) { for (split //, $data) { syswrite $c, $_; select undef, undef, undef, 0.0002 } }
	else { print $c $data }
}

sub serve {
	my $c = shift;
	setsockopt $c, IPPROTO_TCP, TCP_NODELAY, 1;
	$c->autoflush(1);
	my $line = <$c> // return;
	my ($method, $path) = $line =~ m{^(GET|PUT|POST) (/\S*) HTTP/1\.1\r\n$} or return put($c, "HTTP/1.1 400 x\r\n\r\n");
	my %h;
	while (defined(my $l = <$c>)) {
		last if $l eq "\r\n";
		$l =~ /^([!-9;-~]+): ?(.*)\r\n$/ or return put($c, "HTTP/1.1 400 x\r\n\r\n");
		$h{lc $1} = $2;
	}
	my $body = '';
	read $c, $body, $h{'content-length'} if $h{'content-length'};
	print STDERR "$method $path\n";
	return put($c, "HTTP/1.1 400 no host\r\n\r\n") unless $h{host};
	my $n = $requests++;
	sleep 2 if $is{slow} && $n == 0;
	return put($c, "HTTP/1.1 " . ($n ? 429 : 503) . " busy\r\nContent-Length: 0\r\n\r\n") if $is{busy} && $n < 2;
	return put($c, "HTTP/1.1 " . ($n ? 404 : 410) . " early\r\nContent-Length: 0\r\n\r\n") if $is{early} && $n < 2;
	return put($c, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n") if $is{redirect};
	return put($c, "\x16\x03\x01 no http at all\r\n\r\n" x 3) if $is{garbage};
	if ($is{endless}) { local $SIG{PIPE} = 'IGNORE'; print $c "HTTP/1.1 200 OK\r\n"; print $c "X: y\r\n" x 99 for 1 .. 999; return }
	if ($is{hang}) { print $c "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"; sleep 30; return }
	if ($is{reset}) { setsockopt $c, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0); return }
	my ($status, $text, @more) = $services{$provider}->($method, $path, \%h, $body);
	$text = 'x' x 400_000 if $is{large};
	my $head = join "\r\n", "HTTP/1.1 $status whatever", 'sErVeR: replay', 'Content-Type: text/plain', @more;
	return put($c, "$head\r\nContent-Length: 9999\r\n\r\n$text") if $is{cut};
	if ($is{chunked}) {
		my ($out, $i) = ('', 1);
		while ($text =~ /(.{1,7})/sg) { $out .= sprintf "%x%s\r\n%s\r\n", length $1, $i++ % 2 ? '' : ';x=y', $1 }
		return put($c, "$head\r\nTransfer-Encoding: Chunked\r\n\r\n${out}0\r\nTrailer: x\r\n\r\n");
	}
	# Every other answer ends with the connection.
	put($c, $n % 2 ? "$head\r\n\r\n$text" : "$head\r\ncontent-length: " . length($text) . "\r\n\r\n$text");
}

$SIG{PIPE} = 'IGNORE';
my $listen = IO::Socket::INET->new(Listen => 8, LocalAddr => $address // '127.0.0.1', LocalPort => $port // 0,
	ReuseAddr => 1) or die "cannot listen: $!";
$| = 1;
print $listen->sockport, "\n";
while (my $c = $listen->accept) { serve($c); close $c }
