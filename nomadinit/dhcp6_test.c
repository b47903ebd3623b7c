/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "dhcp6.h"
#include "util.h"

static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
static uint8_t sent[DHCP6_PACKET_MAX];
static size_t sent_len;
static int n_changed;
static bool is_lost;

static void on_send(void *data, const void *packet, size_t len)
{
	(void)data;
	memcpy(sent, packet, len);
	sent_len = len;
}

static void on_changed(void *data, const struct dhcp6_lease *lease)
{
	(void)data;
	n_changed++;
	is_lost = !lease;
}

/* An answer to what was sent, of the given type, with an address of the given lifetimes. */
static size_t answer(uint8_t *out, uint8_t type, uint32_t preferred, uint32_t valid, uint8_t status)
{
	static const uint8_t client[] = { 0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 1 }, server[] = { 0, 2, 0, 2, 7, 7 };
	uint8_t ia[] = { 0,
			 3,
			 0,
			 46,
			 0,
			 0,
			 0,
			 1,
			 0,
			 0,
			 0,
			 0,
			 0,
			 0,
			 0,
			 0,
			 0,
			 5,
			 0,
			 24,
			 0x20,
			 1,
			 0xd,
			 0xb8,
			 0,
			 0,
			 0,
			 0,
			 0,
			 0,
			 0,
			 0,
			 0,
			 0,
			 0,
			 9,
			 0,
			 0,
			 (uint8_t)(preferred >> 8),
			 (uint8_t)preferred,
			 0,
			 0,
			 (uint8_t)(valid >> 8),
			 (uint8_t)valid,
			 0,
			 13,
			 0,
			 2,
			 0,
			 status };
	uint8_t dns[20] = { 0, 23, 0, 16, 0x20, 1, 0xd, 0xb8, [19] = 0x53 };
	size_t n = 4;

	memcpy(out, sent, 4);
	out[0] = type;
	memcpy(out + n, client, sizeof(client));
	n += sizeof(client);
	memcpy(out + n, server, sizeof(server));
	n += sizeof(server);
	memcpy(out + n, ia, sizeof(ia));
	n += sizeof(ia);
	memcpy(out + n, dns, sizeof(dns));
	return n + sizeof(dns);
}

static struct dhcp6_client start(void)
{
	struct dhcp6_client c = { .send = on_send, .changed = on_changed };

	loop_init();
	memcpy(c.mac, mac, 6);
	n_changed = 0;
	is_lost = false;
	return c;
}

static void an_address_is_asked_for_and_renewed(void **state)
{
	struct dhcp6_client c = start();
	uint8_t packet[DHCP6_PACKET_MAX];
	size_t len;

	(void)state;
	dhcp6_start(&c, true);
	assert_int_equal(sent[0], DHCP6_SOLICIT);
	len = answer(packet, DHCP6_ADVERTISE, 100, 200, 0);
	assert_int_equal(dhcp6_input(&c, packet, len), 0);
	assert_int_equal(sent[0], DHCP6_REQUEST);
	len = answer(packet, DHCP6_REPLY, 100, 200, 0);
	assert_int_equal(dhcp6_input(&c, packet, len), 0);
	assert_int_equal(n_changed, 1);
	assert_true(c.has_lease && c.lease.has_address);
	assert_int_equal(c.lease.address[15], 9);
	assert_int_equal(c.lease.n_dns, 1);
	assert_int_equal(c.lease.t1_s, 50);
	assert_int_equal(c.lease.t2_s, 80);
	/* Again: nothing was asked. */
	assert_int_equal(dhcp6_input(&c, packet, len), -EBADMSG);
	c.timer.fn(&c);
	assert_int_equal(sent[0], DHCP6_RENEW);
	c.bound_ms -= 81000;
	c.timer.fn(&c);
	assert_int_equal(sent[0], DHCP6_REBIND);
	len = answer(packet, DHCP6_REPLY, 100, 200, 0);
	assert_int_equal(dhcp6_input(&c, packet, len), 0);
	assert_int_equal(c.state, DHCP6_BOUND);
	c.timer.fn(&c);
	c.bound_ms -= 201000;
	c.timer.fn(&c);
	assert_true(is_lost);
	assert_int_equal(sent[0], DHCP6_SOLICIT);
	dhcp6_stop(&c);
}

static void no_address_means_going_on_asking(void **state)
{
	struct dhcp6_client c = start();
	uint8_t packet[DHCP6_PACKET_MAX];
	size_t len;

	(void)state;
	dhcp6_start(&c, true);
	len = answer(packet, DHCP6_ADVERTISE, 100, 200, 2); /* NoAddrsAvail */
	assert_int_equal(dhcp6_input(&c, packet, len), -EBADMSG);
	assert_int_equal(c.state, DHCP6_SOLICITING);
	len = answer(packet, DHCP6_ADVERTISE, 300, 200, 0); /* lifetimes that cannot be */
	assert_int_equal(dhcp6_input(&c, packet, len), -EBADMSG);
	len = answer(packet, DHCP6_REPLY, 100, 200, 0); /* not asked for */
	assert_int_equal(dhcp6_input(&c, packet, len), -EBADMSG);
	assert_int_equal(n_changed, 0);
	dhcp6_stop(&c);
}

static void name_servers_alone(void **state)
{
	struct dhcp6_client c = start();
	uint8_t packet[DHCP6_PACKET_MAX];
	size_t len;

	(void)state;
	dhcp6_start(&c, false);
	assert_int_equal(sent[0], DHCP6_INFORMATION_REQUEST);
	len = answer(packet, DHCP6_REPLY, 100, 200, 0);
	assert_int_equal(dhcp6_input(&c, packet, len), 0);
	assert_false(c.lease.has_address);
	assert_int_equal(c.lease.n_dns, 1);
	/* Then a router says that there are addresses as well. */
	dhcp6_start(&c, true);
	assert_int_equal(sent[0], DHCP6_SOLICIT);
	dhcp6_stop(&c);
}

static void what_is_cut_or_for_others_is_not_taken(void **state)
{
	struct dhcp6_client c = start();
	uint8_t packet[DHCP6_PACKET_MAX], other[6] = { 2, 0, 0, 0, 0, 2 };
	struct dhcp6_lease l;
	size_t len, i;

	(void)state;
	dhcp6_start(&c, true);
	len = answer(packet, DHCP6_ADVERTISE, 100, 200, 0);
	assert_int_equal(dhcp6_parse(packet, len, c.xid, mac, &l), DHCP6_ADVERTISE);
	assert_int_equal(dhcp6_parse(packet, len, c.xid ^ 1, mac, &l), -EBADMSG);
	assert_int_equal(dhcp6_parse(packet, len, c.xid, other, &l), -EBADMSG);
	/* Cut between two options it may be whole. */
	for (i = 0; i < len; i++)
		if (i < 24 || (i > 24 && i != 74))
			assert_int_equal(dhcp6_parse(packet, i, c.xid, mac, &l), -EBADMSG);
	dhcp6_stop(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_asked_for_and_renewed),
		cmocka_unit_test(no_address_means_going_on_asking),
		cmocka_unit_test(name_servers_alone),
		cmocka_unit_test(what_is_cut_or_for_others_is_not_taken),
	};

	return cmocka_run_group_tests_name("dhcp6", tests, NULL, NULL);
}
