/* SPDX-License-Identifier: MPL-2.0 */
/* Parts of the network that are pure: packets by hand, DNS, NTP, netlink messages, resolv.conf. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "dns.h"
#include "net.h"
#include "netlink.h"
#include "ntp.h"
#include "packet.h"
#include "util.h"

static void addresses_are_parsed(void **state)
{
	struct net_address a;

	(void)state;
	assert_int_equal(net_address_parse("192.0.2.7/24", &a), 0);
	assert_int_equal(a.prefix, 24);
	assert_int_equal(net_address_parse("2001:db8::1", &a), 0);
	assert_int_equal(a.family, AF_INET6);
	assert_int_equal(a.prefix, 128);
	assert_int_equal(net_address_parse("192.0.2.7/33", &a), -EINVAL);
	assert_int_equal(net_address_parse("192.0.2/24", &a), -EINVAL);
	assert_int_equal(net_address_parse("node/24", &a), -EINVAL);
	assert_int_equal(net_address_parse("", &a), -EINVAL);
}

static void wrapped_packets_unwrap(void **state)
{
	uint8_t buf[1500];
	size_t len, at, n, i;

	(void)state;
	len = packet_wrap(buf, "hello world", 11, 0);
	assert_int_equal(packet_unwrap(buf, len, 1, &at, &n), 0);
	assert_int_equal(n, 11);
	assert_memory_equal(buf + at, "hello world", 11);
	for (i = 0; i < len; i++)
		assert_int_equal(packet_unwrap(buf, i, 1, &at, &n), -EBADMSG);
	buf[at] ^= 1;
	assert_int_equal(packet_unwrap(buf, len, 1, &at, &n), -EBADMSG);
	assert_int_equal(packet_unwrap(buf, len, 0, &at, &n), 0);
	buf[0] = 0x4f; /* options longer than the packet says */
	assert_int_equal(packet_unwrap(buf, len, 0, &at, &n), -EBADMSG);
}

static void dns_answers_are_read(void **state)
{
	static const uint8_t tail[] = { 0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 3, 1,   'x', 0,	  /* alias */
					0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0,	  2, 9 }; /* address */
	uint8_t p[512], *cut;
	struct net_address a[2];
	size_t len, i;

	(void)state;
	len = dns_build(p, 7, "time.example.com", false);
	assert_int_equal(len, 12 + 18 + 4);
	p[2] |= 0x80;
	p[7] = 2;
	memcpy(p + len, tail, sizeof(tail));
	len += sizeof(tail);
	assert_int_equal(dns_parse(p, len, 7, "time.example.com", false, a, 2), 1);
	assert_int_equal(a[0].bytes[3], 9);
	assert_int_equal(dns_parse(p, len, 8, "time.example.com", false, a, 2), -EBADMSG);
	assert_int_equal(dns_parse(p, len, 7, "evil.example.com", false, a, 2), -EBADMSG);
	for (i = 0; i < len; i++) {
		cut = malloc(i ? i : 1);
		assert_non_null(cut);
		memcpy(cut, p, i);
		assert_true(dns_parse(cut, i, 7, "time.example.com", false, a, 2) < 1);
		free(cut);
	}
	p[3] = 3;
	assert_int_equal(dns_parse(p, len, 7, "time.example.com", false, a, 2), -ENOENT);
	p[3] = 2;
	assert_int_equal(dns_parse(p, len, 7, "time.example.com", false, a, 2), -EAGAIN);
	assert_int_equal(dns_build(p, 7, "not a name", false), 0);
}

/* 2024-01-01 00:00:00 UTC is 3913056000 s after 1900 */
#define THEN_S 1704067200ll
#define THEN_NTP 3913056000u

static void put_time(uint8_t *p, uint32_t s)
{
	s = htonl(s);
	memcpy(p, &s, 4);
}

static void ntp_answers_are_judged(void **state)
{
	uint8_t p[NTP_PACKET] = { 4 << 3 | 4, 2 };
	uint64_t cookie = 0x1122334455667788;
	const int64_t s = 1000000000;
	int64_t offset;

	(void)state;
	memcpy(p + 24, &cookie, 8);
	put_time(p + 32, THEN_NTP);
	put_time(p + 40, THEN_NTP);
	assert_int_equal(ntp_parse(p, sizeof(p), cookie, (THEN_S - 101) * s, (THEN_S - 99) * s, 0, &offset), 0);
	assert_int_equal(offset / s, 100);
	assert_int_equal(ntp_parse(p, sizeof(p), cookie + 1, 0, 0, 0, &offset), -EBADMSG);
	assert_int_equal(ntp_parse(p, sizeof(p) - 1, cookie, 0, 0, 0, &offset), -EBADMSG);
	/* before the image was built */
	assert_int_equal(ntp_parse(p, sizeof(p), cookie, 0, 0, (THEN_S + 1) * s, &offset), -EBADMSG);
	/* More than 20 years after the image was built. */
	assert_int_equal(ntp_parse(p, sizeof(p), cookie, 0, 0, (THEN_S - 21ll * 365 * 86400) * s, &offset), -EBADMSG);
	p[1] = 0; /* go away */
	assert_int_equal(ntp_parse(p, sizeof(p), cookie, 0, 0, 0, &offset), -EAGAIN);
	p[1] = 2;
	p[0] |= 0xc0; /* does not know the time */
	assert_int_equal(ntp_parse(p, sizeof(p), cookie, 0, 0, 0, &offset), -EAGAIN);
	p[0] = 4 << 3 | 3; /* a question */
	assert_int_equal(ntp_parse(p, sizeof(p), cookie, 0, 0, 0, &offset), -EBADMSG);
	/* after 2036 */
	p[0] = 4 << 3 | 4;
	put_time(p + 32, 1000);
	put_time(p + 40, 1000);
	assert_int_equal(ntp_parse(p, sizeof(p), cookie, THEN_S * s, THEN_S * s, THEN_S * s, &offset), 0);
	assert_true(offset > 12ll * 365 * 86400 * s);
}

static struct net_link got;
static int links, servers;

static void on_link(void *data, const struct net_link *l, bool is_gone)
{
	(void)data;
	(void)is_gone;
	got = *l;
	links++;
}

static void on_rdnss(void *data, int index, const uint8_t (*list)[16], size_t n, uint32_t life)
{
	(void)data;
	(void)index;
	(void)list;
	(void)life;
	servers += (int)n;
}

static void netlink_messages_are_read(void **state)
{
	static const struct netlink_events to = { .link = on_link, .rdnss = on_rdnss };
	union {
		struct nlmsghdr h;
		uint8_t b[128];
	} m = { .h = { .nlmsg_type = RTM_NEWLINK } };
	struct ifinfomsg *info = NLMSG_DATA(&m.h);
	struct rtattr *a;
	size_t i, len;

	(void)state;
	info->ifi_index = 2;
	info->ifi_type = 1;
	info->ifi_flags = 0x41;
	a = IFLA_RTA(info);
	a->rta_type = 3; /* IFLA_IFNAME */
	a->rta_len = RTA_LENGTH(5);
	memcpy(RTA_DATA(a), "eth0", 5);
	len = NLMSG_LENGTH(sizeof(*info)) + RTA_ALIGN(a->rta_len);
	m.h.nlmsg_len = (uint32_t)len;
	netlink_parse(&m, len, &to, NULL);
	assert_int_equal(links, 1);
	assert_string_equal(got.name, "eth0");
	assert_true(got.has_carrier && got.is_up && got.is_ethernet);
	for (i = 0; i < len; i++)
		netlink_parse(&m, i, &to, NULL);
	/* What stands behind a last attribute that is not padded is not read. */
	m.h.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof(*info)) + a->rta_len);
	memcpy((char *)a + RTA_ALIGN(a->rta_len), a, RTA_LENGTH(5));
	memcpy((char *)RTA_DATA(a) + RTA_ALIGN(a->rta_len), "evil", 5);
	netlink_parse(&m, m.h.nlmsg_len, &to, NULL);
	assert_string_equal(got.name, "eth0");
	m.h.nlmsg_len = (uint32_t)len;
	a->rta_len = 60000;
	netlink_parse(&m, len, &to, NULL);
	m.h.nlmsg_type = RTM_NEWNDUSEROPT;
	memset(info, 0, 64);
	((uint8_t *)info)[0] = AF_INET6;
	((uint8_t *)info)[16] = 25;
	((uint8_t *)info)[17] = 3;
	m.h.nlmsg_len = NLMSG_LENGTH(16 + 24);
	netlink_parse(&m, m.h.nlmsg_len, &to, NULL);
	assert_int_equal(servers, 1);
	((uint8_t *)info)[17] = 30; /* says more than there is */
	netlink_parse(&m, m.h.nlmsg_len, &to, NULL);
	assert_int_equal(servers, 1);
}

static void resolv_conf_has_three_servers(void **state)
{
	const char *const list[] = { "192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.4", NULL };
	const char *const domains[] = { "example.com", NULL };
	char *const search[] = { (char *)(uintptr_t) "first.example", NULL };
	char buf[512];

	(void)state;
	assert_true(net_format_resolv(buf, sizeof(buf), list, search, domains) > 0);
	assert_string_equal(buf, "search first.example example.com\nnameserver 192.0.2.1\nnameserver "
				 "192.0.2.2\nnameserver 2001:db8::1\n");
	assert_int_equal(net_format_resolv(buf, 20, list, NULL, NULL), -ENOSPC);
}

static void a_large_step_takes_two_answers(void **state)
{
	const int64_t s = 1000000000;

	(void)state;
	assert_true(ntp_agrees(false, 0, s / 10));
	assert_true(ntp_agrees(false, 0, -s / 10));
	assert_false(ntp_agrees(false, 0, 3600 * s));
	assert_false(ntp_agrees(false, 0, -3600 * s));
	assert_true(ntp_agrees(true, 3600 * s, 3600 * s + s / 2));
	assert_false(ntp_agrees(true, 3600 * s, 3602 * s));
	assert_false(ntp_agrees(true, 3600 * s, -3600 * s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_large_step_takes_two_answers), cmocka_unit_test(addresses_are_parsed),
		cmocka_unit_test(wrapped_packets_unwrap),	  cmocka_unit_test(dns_answers_are_read),
		cmocka_unit_test(ntp_answers_are_judged),	  cmocka_unit_test(netlink_messages_are_read),
		cmocka_unit_test(resolv_conf_has_three_servers),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
