/* SPDX-License-Identifier: MPL-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "dhcp.h"
#include "util.h"

static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
static const char *why;

struct packet {
	uint8_t b[1500];
	size_t len;
};

static void option(struct packet *p, uint8_t code, const void *data, size_t len)
{
	p->len = (size_t)(nomad__dhcp_put(p->b + p->len, code, data, len) - p->b);
}

static void begin(struct packet *p, uint32_t xid, enum nomad__dhcp_type type, const char *address)
{
	uint32_t ip = inet_addr(address);
	uint8_t t = (uint8_t)type;

	p->len = (size_t)(nomad__dhcp_begin(p->b, sizeof(p->b), 2) - p->b);
	memcpy(p->b + NOMAD__DHCP_XID, &xid, 4);
	memcpy(p->b + NOMAD__DHCP_YIADDR, &ip, 4);
	memcpy(p->b + NOMAD__DHCP_CHADDR, mac, 6);
	option(p, NOMAD__DHCP_TYPE, &t, 1);
}

static void option_ip(struct packet *p, uint8_t code, const char *ip)
{
	uint32_t v = inet_addr(ip);

	option(p, code, &v, 4);
}

static void option_u32(struct packet *p, uint8_t code, uint32_t v)
{
	v = htonl(v);
	option(p, code, &v, 4);
}

static void usual(struct packet *p, uint32_t xid, enum nomad__dhcp_type type)
{
	begin(p, xid, type, "192.0.2.7");
	option_ip(p, 1, "255.255.255.0");
	option_ip(p, 3, "192.0.2.1");
	option_ip(p, 6, "192.0.2.2");
	option_ip(p, 54, "192.0.2.1");
	option_u32(p, 51, 3600);
}

static int parse(struct packet *p, struct dhcp_lease *l)
{
	p->b[p->len] = 255;
	return dhcp_parse(p->b, p->len + 1, 42, mac, l, &why);
}

static void an_ordinary_lease_is_understood(void **state)
{
	struct dhcp_lease l;
	struct packet p;

	(void)state;
	usual(&p, 42, NOMAD__DHCP_ACK);
	option(&p, 12, "node7", 5);
	option(&p, 15, "example.com.", 12);
	option(&p, 26, "\x05\x78", 2);
	assert_int_equal(parse(&p, &l), NOMAD__DHCP_ACK);
	assert_int_equal(l.address, inet_addr("192.0.2.7"));
	assert_int_equal(l.prefix, 24);
	assert_int_equal(l.n_routes, 1);
	assert_int_equal(l.routes[0].via, inet_addr("192.0.2.1"));
	assert_int_equal(l.dns[0], inet_addr("192.0.2.2"));
	assert_string_equal(l.hostname, "node7");
	assert_string_equal(l.domain, "example.com");
	assert_int_equal(l.mtu, 1400);
	assert_int_equal(l.t1_s, 1800);
	assert_int_equal(l.t2_s, 3150);
}

static void classless_routes_replace_the_router(void **state)
{
	static const uint8_t routes[] = { 0, 192, 0, 2, 9, 16, 10, 5, 192, 0, 2, 8, 32, 198, 51, 100, 1, 0, 0, 0, 0 };
	struct dhcp_lease l;
	struct packet p;

	(void)state;
	usual(&p, 42, NOMAD__DHCP_ACK);
	option(&p, 121, routes, sizeof(routes));
	assert_int_equal(parse(&p, &l), NOMAD__DHCP_ACK);
	assert_int_equal(l.n_routes, 3);
	assert_int_equal(l.routes[0].via, inet_addr("192.0.2.9"));
	assert_int_equal(l.routes[1].to, inet_addr("10.5.0.0"));
	assert_int_equal(l.routes[1].prefix, 16);
	assert_int_equal(l.routes[2].via, 0);
}

static void a_server_that_lies_is_not_believed(void **state)
{
	static const char *const addresses[] = { "0.0.0.0",	    "127.0.0.1", "224.0.0.1",
						 "255.255.255.255", "192.0.2.0", "192.0.2.255" };
	struct dhcp_lease l;
	struct packet p;
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(addresses); i++) {
		usual(&p, 42, NOMAD__DHCP_OFFER);
		*(uint32_t *)(void *)(p.b + 16) = inet_addr(addresses[i]);
		assert_int_equal(parse(&p, &l), -EINVAL);
	}
	begin(&p, 42, NOMAD__DHCP_OFFER, "192.0.2.7");
	option_ip(&p, 1, "255.0.255.0");
	option_u32(&p, 51, 60);
	assert_int_equal(parse(&p, &l), -EINVAL);
	begin(&p, 42, NOMAD__DHCP_OFFER, "192.0.2.7");
	option_ip(&p, 1, "0.0.0.0");
	option_u32(&p, 51, 60);
	assert_int_equal(parse(&p, &l), -EINVAL);
	/* no lease time */
	begin(&p, 42, NOMAD__DHCP_OFFER, "192.0.2.7");
	option_ip(&p, 54, "192.0.2.1");
	assert_int_equal(parse(&p, &l), -EINVAL);
	/* somebody else's answer */
	usual(&p, 43, NOMAD__DHCP_OFFER);
	assert_int_equal(parse(&p, &l), -EBADMSG);
	usual(&p, 42, NOMAD__DHCP_OFFER);
	p.b[33]++;
	assert_int_equal(parse(&p, &l), -EBADMSG);
	usual(&p, 42, NOMAD__DHCP_DISCOVER);
	assert_int_equal(parse(&p, &l), -EBADMSG);
}

static void times_are_brought_into_order(void **state)
{
	struct dhcp_lease l;
	struct packet p;

	(void)state;
	usual(&p, 42, NOMAD__DHCP_ACK);
	option_u32(&p, 58, 9000);
	option_u32(&p, 59, 8000);
	assert_int_equal(parse(&p, &l), NOMAD__DHCP_ACK);
	assert_true(l.t1_s < l.t2_s && l.t2_s < l.lease_s);
	usual(&p, 42, NOMAD__DHCP_ACK);
	option_u32(&p, 51, 1);
	assert_int_equal(parse(&p, &l), NOMAD__DHCP_ACK);
	assert_int_equal(l.lease_s, 20);
	assert_true(l.t1_s >= 5 && l.t1_s < l.t2_s && l.t2_s < l.lease_s);
	usual(&p, 42, NOMAD__DHCP_ACK);
	option_u32(&p, 51, 0xffffffff);
	assert_int_equal(parse(&p, &l), NOMAD__DHCP_ACK);
	assert_true(l.lease_s < 0x7fffffff);
}

static void names_that_are_none_are_dropped(void **state)
{
	struct dhcp_lease l;
	struct packet p;

	(void)state;
	usual(&p, 42, NOMAD__DHCP_ACK);
	option(&p, 12, "a;reboot", 8);
	option(&p, 15, "a\nb", 3);
	assert_int_equal(parse(&p, &l), NOMAD__DHCP_ACK);
	assert_string_equal(l.hostname, "");
	assert_string_equal(l.domain, "");
}

static void any_cut_or_changed_packet_is_survived(void **state)
{
	struct dhcp_lease l;
	struct packet p, q;
	unsigned int seed = 1, turn;
	size_t i;

	(void)state;
	usual(&p, 42, NOMAD__DHCP_ACK);
	option(&p, 52, "\x03", 1); /* options in sname and file as well */
	option(&p, 121, "\x20\x01\x02\x03\x04\x05\x06\x07\x08", 9);
	for (i = 0; i <= p.len; i++) {
		/* in memory of just that size, so that a sanitizer sees a byte too much */
		uint8_t *cut = malloc(i ? i : 1);

		assert_non_null(cut);
		memcpy(cut, p.b, i);
		dhcp_parse(cut, i, 42, mac, &l, &why);
		free(cut);
	}
	for (turn = 0; turn < 200000; turn++) {
		q = p;
		for (i = 0; i < 4; i++) {
			seed = seed * 1103515245 + 12345;
			q.b[44 + seed / 65536 % (p.len - 44)] = (uint8_t)(seed >> 8);
		}
		dhcp_parse(q.b, q.len, 42, mac, &l, &why);
	}
}

/* ---- The state machine ------------------------------------------------------------- */

static struct {
	uint8_t packet[DHCP_PACKET_MAX];
	unsigned int sent, changed;
	uint32_t to;
	bool has_lease;
} seen;

static void on_send(void *data, const void *packet, size_t len, uint32_t from, uint32_t to)
{
	(void)data;
	(void)from;
	assert_true(len >= 300 && len <= DHCP_PACKET_MAX);
	memcpy(seen.packet, packet, len);
	seen.sent++;
	seen.to = to;
}

static void on_changed(void *data, const struct dhcp_lease *lease)
{
	(void)data;
	seen.changed++;
	seen.has_lease = lease != NULL;
}

static void fire(struct dhcp_client *c)
{
	loop_timer_stop(&c->timer);
	c->timer.fn(c->timer.data);
}

static struct dhcp_client start(void)
{
	struct dhcp_client c = { .send = on_send, .changed = on_changed };

	memcpy(c.mac, mac, 6);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(loop_init(), 0);
	return c;
}

static int answer(struct dhcp_client *c, enum nomad__dhcp_type type)
{
	struct packet p;

	usual(&p, c->xid, type);
	p.b[p.len++] = 255;
	return dhcp_input(c, p.b, p.len, &why);
}

static void bind_client(struct dhcp_client *c)
{
	dhcp_start(c);
	fire(c);
	assert_int_equal(seen.packet[242], NOMAD__DHCP_DISCOVER);
	assert_int_equal(answer(c, NOMAD__DHCP_OFFER), 0);
	fire(c);
	assert_int_equal(c->state, DHCP_REQUESTING);
	assert_int_equal(seen.packet[242], NOMAD__DHCP_REQUEST);
	assert_int_equal(answer(c, NOMAD__DHCP_ACK), 0);
	assert_int_equal(c->state, DHCP_BOUND);
	assert_true(seen.has_lease);
}

static void a_lease_is_got_renewed_rebound_and_lost(void **state)
{
	struct dhcp_client c = start();

	(void)state;
	bind_client(&c);
	assert_int_equal(answer(&c, NOMAD__DHCP_ACK), -EAGAIN);
	c.bound_ms -= 1801 * 1000; /* T1 */
	fire(&c);
	assert_int_equal(c.state, DHCP_RENEWING);
	assert_int_equal(seen.to, inet_addr("192.0.2.1"));
	assert_int_equal(answer(&c, NOMAD__DHCP_ACK), 0);
	assert_int_equal(c.state, DHCP_BOUND);
	c.bound_ms -= 3151 * 1000; /* T2 */
	fire(&c);
	assert_int_equal(c.state, DHCP_REBINDING);
	assert_int_equal(seen.to, 0);
	/* Not more: a machine that has just started has no earlier time. */
	c.bound_ms -= (3601 - 3151) * 1000;
	fire(&c);
	assert_int_equal(c.state, DHCP_SELECTING);
	assert_false(seen.has_lease);
	assert_int_equal(seen.packet[242], NOMAD__DHCP_DISCOVER);
	dhcp_stop(&c);
}

static void a_refusal_begins_anew(void **state)
{
	struct dhcp_client c = start();

	(void)state;
	bind_client(&c);
	c.bound_ms -= 1801 * 1000;
	fire(&c);
	assert_int_equal(answer(&c, NOMAD__DHCP_NAK), 0);
	assert_int_equal(c.state, DHCP_SELECTING);
	assert_false(seen.has_lease);
	dhcp_stop(&c);
}

static void silence_is_asked_again_for_ever(void **state)
{
	struct dhcp_client c = start();
	int i;

	(void)state;
	dhcp_start(&c);
	for (i = 0; i < 50; i++) {
		fire(&c);
		assert_int_equal(c.state, DHCP_SELECTING);
		assert_true(c.timer.at_ms <= util_now_ms() + 41000);
	}
	assert_int_equal(seen.sent, 50);
	assert_int_equal(answer(&c, NOMAD__DHCP_OFFER), 0);
	/* the server that offered is silent now */
	for (i = 0; i < 5; i++)
		fire(&c);
	assert_int_equal(c.state, DHCP_SELECTING);
	dhcp_stop(&c);
}

static void another_address_than_offered_is_refused(void **state)
{
	struct dhcp_client c = start();
	struct packet p;

	(void)state;
	dhcp_start(&c);
	fire(&c);
	assert_int_equal(answer(&c, NOMAD__DHCP_OFFER), 0);
	fire(&c);
	usual(&p, c.xid, NOMAD__DHCP_ACK);
	p.b[19] = 99;
	p.b[p.len++] = 255;
	assert_int_equal(dhcp_input(&c, p.b, p.len, &why), -EINVAL);
	assert_int_equal(c.state, DHCP_REQUESTING);
	assert_int_equal(seen.changed, 0);
	dhcp_stop(&c);
}

static void the_cable_comes_back(void **state)
{
	struct dhcp_client c = start();
	int i;

	(void)state;
	bind_client(&c);
	dhcp_stop(&c);
	dhcp_start(&c);
	fire(&c);
	assert_int_equal(c.state, DHCP_REBOOTING);
	assert_int_equal(answer(&c, NOMAD__DHCP_ACK), 0);
	assert_int_equal(c.state, DHCP_BOUND);
	dhcp_stop(&c);
	dhcp_start(&c);
	for (i = 0; i < 4; i++)
		fire(&c);
	assert_int_equal(c.state, DHCP_SELECTING);
	assert_true(c.has_lease);
	dhcp_stop(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ordinary_lease_is_understood),
		cmocka_unit_test(classless_routes_replace_the_router),
		cmocka_unit_test(a_server_that_lies_is_not_believed),
		cmocka_unit_test(times_are_brought_into_order),
		cmocka_unit_test(names_that_are_none_are_dropped),
		cmocka_unit_test(any_cut_or_changed_packet_is_survived),
		cmocka_unit_test(a_lease_is_got_renewed_rebound_and_lost),
		cmocka_unit_test(a_refusal_begins_anew),
		cmocka_unit_test(silence_is_asked_again_for_ever),
		cmocka_unit_test(another_address_than_offered_is_refused),
		cmocka_unit_test(the_cable_comes_back),
	};

	return cmocka_run_group_tests_name("dhcp", tests, NULL, NULL);
}
