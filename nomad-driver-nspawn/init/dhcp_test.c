/* SPDX-License-Identifier: MPL-2.0
 *
 * What a DHCP client is told; and whatever it sends, nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common.c"
#include "dhcp.c"

static struct lease lease = { .mac = { 2, 1, 2, 3, 4, 5 }, .bits = 32 };
static unsigned char message[PACKET], reply[PACKET];
static size_t size;

static int set_up(void **state)
{
	(void)state;
	inet_pton(AF_INET, "10.88.0.2", &lease.address);
	inet_pton(AF_INET, "10.88.0.1", &lease.gateway);
	lease.bits = 32;
	(void)nomad__dhcp_begin(message, sizeof(message), 1);
	message[4] = 0xaa; /* number of the exchange */
	memcpy(message + NOMAD__DHCP_CHADDR, lease.mac, 6);
	size = NOMAD__DHCP_OPTIONS;
	return 0;
}

static void add(int code, const void *data, size_t n)
{
	size = (size_t)(nomad__dhcp_put(message + size, (enum nomad__dhcp_option)code, data, n) - message);
}

static void ask(unsigned char kind)
{
	add(NOMAD__DHCP_TYPE, &kind, 1);
}

/* The reply's kind; 0 for none. */
static int told(void)
{
	const unsigned char *kind;
	size_t n;

	message[size++] = NOMAD__DHCP_END;
	n = answer(&lease, message, size, reply);
	if (!n)
		return 0;
	assert_in_range(n, NOMAD__DHCP_MIN, PACKET);
	assert_int_equal(reply[NOMAD__DHCP_OP], 2);
	assert_int_equal(reply[4], 0xaa);
	kind = option(reply, n, NOMAD__DHCP_TYPE, 1);
	assert_non_null(kind);
	return *kind;
}

static void test_offer(void **state)
{
	const unsigned char *routes;

	(void)state;
	ask(NOMAD__DHCP_DISCOVER);
	assert_int_equal(told(), NOMAD__DHCP_OFFER);
	assert_memory_equal(reply + NOMAD__DHCP_YIADDR, &lease.address, 4);
	assert_memory_equal(option(reply, NOMAD__DHCP_MIN, NOMAD__DHCP_MASK, 4), "\xff\xff\xff\xff", 4);
	assert_memory_equal(option(reply, NOMAD__DHCP_MIN, NOMAD__DHCP_ROUTER, 4), &lease.gateway, 4);
	/* The router first, then everything through it. */
	routes = option(reply, NOMAD__DHCP_MIN, NOMAD__DHCP_ROUTES, 14);
	assert_memory_equal(routes, "\x20\x0a\x58\0\x01\0\0\0\0\0\x0a\x58\0\x01", 14);
}

static void test_zone(void **state)
{
	(void)state;
	lease.bits = 24;
	ask(NOMAD__DHCP_DISCOVER);
	assert_int_equal(told(), NOMAD__DHCP_OFFER);
	assert_memory_equal(option(reply, NOMAD__DHCP_MIN, NOMAD__DHCP_MASK, 4), "\xff\xff\xff\0", 4);
	assert_null(option(reply, NOMAD__DHCP_MIN, NOMAD__DHCP_ROUTES, 14));
}

static void test_request(void **state)
{
	uint32_t other = htonl(0x0a580009);

	ask(NOMAD__DHCP_REQUEST);
	add(NOMAD__DHCP_REQUESTED, &lease.address, 4);
	add(NOMAD__DHCP_SERVER, &lease.gateway, 4);
	assert_int_equal(told(), NOMAD__DHCP_ACK);
	set_up(state);
	ask(NOMAD__DHCP_REQUEST);
	add(NOMAD__DHCP_REQUESTED, &other, 4);
	assert_int_equal(told(), NOMAD__DHCP_NAK);
	assert_memory_equal(reply + NOMAD__DHCP_YIADDR, "\0\0\0\0", 4);
	assert_null(option(reply, NOMAD__DHCP_MIN, NOMAD__DHCP_LEASE, 4));
	/* One that renews says it in another place. */
	set_up(state);
	ask(NOMAD__DHCP_REQUEST);
	memcpy(message + NOMAD__DHCP_CIADDR, &other, 4);
	assert_int_equal(told(), NOMAD__DHCP_NAK);
	set_up(state);
	ask(NOMAD__DHCP_REQUEST);
	memcpy(message + NOMAD__DHCP_CIADDR, &lease.address, 4);
	assert_int_equal(told(), NOMAD__DHCP_ACK);
	set_up(state);
	ask(NOMAD__DHCP_INFORM);
	assert_int_equal(told(), NOMAD__DHCP_ACK);
	assert_null(option(reply, NOMAD__DHCP_MIN, NOMAD__DHCP_LEASE, 4));
}

static void test_not_ours(void **state)
{
	uint32_t other = htonl(0x0a580009);

	ask(NOMAD__DHCP_REQUEST);
	add(NOMAD__DHCP_SERVER, &other, 4);
	assert_int_equal(told(), 0);
	set_up(state);
	ask(NOMAD__DHCP_DISCOVER);
	message[NOMAD__DHCP_CHADDR + 5]++;
	assert_int_equal(told(), 0);
	set_up(state);
	ask(NOMAD__DHCP_DISCOVER);
	message[NOMAD__DHCP_OP] = 2;
	assert_int_equal(told(), 0);
	set_up(state);
	ask(NOMAD__DHCP_DISCOVER);
	message[NOMAD__DHCP_COOKIE]++;
	assert_int_equal(told(), 0);
	set_up(state);
	ask(7); /* it gives it back */
	assert_int_equal(told(), 0);
	set_up(state);
	assert_int_equal(told(), 0);
}

static void test_malformed(void **state)
{
	unsigned char *exact;
	size_t n, i, round;

	/* Cut anywhere, in memory that ends there. */
	ask(NOMAD__DHCP_REQUEST);
	add(NOMAD__DHCP_REQUESTED, &lease.address, 4);
	add(NOMAD__DHCP_SERVER, &lease.gateway, 4);
	for (n = 0; n < size; n++) {
		exact = malloc(n ? n : 1);
		assert_non_null(exact);
		memcpy(exact, message, n);
		(void)answer(&lease, exact, n, reply);
		free(exact);
	}
	/* An option that is longer than what is left, and of another length than it has to be. */
	set_up(state);
	message[size++] = NOMAD__DHCP_TYPE;
	message[size++] = 200;
	assert_int_equal(answer(&lease, message, size, reply), 0);
	set_up(state);
	add(NOMAD__DHCP_TYPE, "\1\1", 2);
	assert_int_equal(told(), 0);
	srandom(7);
	for (round = 0; round < 20000; round++) {
		set_up(state);
		n = NOMAD__DHCP_OPTIONS + (size_t)random() % 64;
		exact = malloc(n);
		assert_non_null(exact);
		memcpy(exact, message, NOMAD__DHCP_OPTIONS);
		for (i = NOMAD__DHCP_OPTIONS; i < n; i++)
			exact[i] = (unsigned char)(random() % 5 ? random() % 60 : random());
		assert_true(answer(&lease, exact, n, reply) <= PACKET);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_offer, set_up),	cmocka_unit_test_setup(test_zone, set_up),
		cmocka_unit_test_setup(test_request, set_up),	cmocka_unit_test_setup(test_not_ours, set_up),
		cmocka_unit_test_setup(test_malformed, set_up),
	};

	return cmocka_run_group_tests_name("nspawn/init/dhcp", tests, NULL, NULL);
}
