/* SPDX-License-Identifier: MPL-2.0 */
#include "base/dhcp_options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void what_is_written_is_read_back(void **state)
{
	uint8_t packet[400], name[100], code, *p;
	const uint8_t *at = packet + NOMAD__DHCP_OPTIONS, *data;
	size_t size, length;

	(void)state;
	memset(packet, 7, sizeof(packet));
	memset(name, 'a', sizeof(name));
	p = nomad__dhcp_begin(packet, sizeof(packet), 2);
	p = nomad__dhcp_put(p, NOMAD__DHCP_TYPE, "\2", 1);
	*p++ = 0; /* padding */
	p = nomad__dhcp_put(p, NOMAD__DHCP_HOSTNAME, name, sizeof(name));
	length = nomad__dhcp_end(packet, p);
	assert_int_equal(length, NOMAD__DHCP_OPTIONS + 3 + 1 + 102 + 1);
	assert_true(nomad__dhcp_is_packet(packet, length, 2));
	assert_int_equal(packet[NOMAD__DHCP_XID], 0);
	assert_int_equal(nomad__dhcp_next(&at, packet + length, &code, &data, &size), 1);
	assert_int_equal(code, NOMAD__DHCP_TYPE);
	assert_int_equal(size, 1);
	assert_int_equal(*data, 2);
	assert_int_equal(nomad__dhcp_next(&at, packet + length, &code, &data, &size), 1);
	assert_int_equal(code, NOMAD__DHCP_HOSTNAME);
	assert_int_equal(size, sizeof(name));
	assert_memory_equal(data, name, size);
	assert_int_equal(nomad__dhcp_next(&at, packet + length, &code, &data, &size), 0);
	/* An end that is not marked is one. */
	assert_int_equal(nomad__dhcp_next(&at, at, &code, &data, &size), 0);
}

static void an_option_beyond_the_end_is_an_error(void **state)
{
	static const uint8_t cut[] = { NOMAD__DHCP_MASK, 4, 255, 255, 255 }, alone[] = { 0, NOMAD__DHCP_MASK };
	const uint8_t *at = cut, *data;
	uint8_t code;
	size_t size;

	(void)state;
	assert_int_equal(nomad__dhcp_next(&at, cut + sizeof(cut), &code, &data, &size), -EBADMSG);
	at = alone;
	assert_int_equal(nomad__dhcp_next(&at, alone + sizeof(alone), &code, &data, &size), -EBADMSG);
}

static void only_a_packet_is_one(void **state)
{
	static const size_t matters[] = { NOMAD__DHCP_OP, 1, 2, NOMAD__DHCP_COOKIE, NOMAD__DHCP_OPTIONS - 1 };
	uint8_t packet[NOMAD__DHCP_MIN];
	size_t i;

	(void)state;
	/* A short one is filled up. */
	assert_int_equal(nomad__dhcp_end(packet, nomad__dhcp_begin(packet, sizeof(packet), 1)), sizeof(packet));
	assert_true(nomad__dhcp_is_packet(packet, sizeof(packet), 1));
	assert_true(nomad__dhcp_is_packet(packet, NOMAD__DHCP_OPTIONS, 1));
	assert_false(nomad__dhcp_is_packet(packet, NOMAD__DHCP_OPTIONS - 1, 1));
	for (i = 0; i < sizeof(matters) / sizeof(matters[0]); i++) {
		packet[matters[i]] ^= 8;
		assert_false(nomad__dhcp_is_packet(packet, sizeof(packet), 1));
		packet[matters[i]] ^= 8;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(an_option_beyond_the_end_is_an_error),
		cmocka_unit_test(only_a_packet_is_one),
	};

	return cmocka_run_group_tests_name("dhcp_options", tests, NULL, NULL);
}
