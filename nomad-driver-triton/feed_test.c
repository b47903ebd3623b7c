/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "feed.h"

static void test_parse(void **state)
{
	static const unsigned char text[] = { 0x81, 5, 'h', 'e', 'l', 'l', 'o', 0x89, 0 };
	unsigned char large[4 + 300] = { 0x81, 126, 300 >> 8, 300 & 0xff };
	struct triton_frame frame;

	(void)state;
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(triton_frame_parse(text, i, &frame), 0);
	assert_int_equal(triton_frame_parse(text, sizeof(text), &frame), 7);
	assert_true(frame.last);
	assert_int_equal(frame.opcode, 1);
	assert_int_equal(frame.size, 5);
	assert_memory_equal(frame.data, "hello", 5);
	assert_int_equal(triton_frame_parse(text + 7, 2, &frame), 2);
	assert_int_equal(frame.opcode, 9);
	assert_int_equal(triton_frame_parse(large, 3, &frame), 0);
	assert_int_equal(triton_frame_parse(large, sizeof(large), &frame), sizeof(large));
	assert_int_equal(frame.size, 300);
}

static void test_refused(void **state)
{
	static const unsigned char masked[] = { 0x81, 0x85, 1, 2, 3, 4 }, reserved[] = { 0xc1, 0 },
				   long_ping[] = { 0x89, 126, 0, 200 }, ping_piece[] = { 0x09, 0 },
				   huge[] = { 0x81, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct triton_frame frame;

	(void)state;
	assert_int_equal(triton_frame_parse(masked, sizeof(masked), &frame), -EPROTO);
	assert_int_equal(triton_frame_parse(reserved, sizeof(reserved), &frame), -EPROTO);
	assert_int_equal(triton_frame_parse(long_ping, sizeof(long_ping), &frame), -EPROTO);
	assert_int_equal(triton_frame_parse(ping_piece, sizeof(ping_piece), &frame), -EPROTO);
	assert_int_equal(triton_frame_parse(huge, sizeof(huge), &frame), -EPROTO);
}

static void test_make(void **state)
{
	unsigned char frame[125 + TRITON_FRAME_ROOM];
	size_t n = triton_frame_make(1, "abcde", 5, 0x01020304, frame);

	(void)state;
	assert_int_equal(n, 11);
	assert_int_equal(frame[0], 0x81);
	assert_int_equal(frame[1], 0x85);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(frame[6 + i] ^ (i % 4 + 1), "abcde"[i]);
}

static void test_message(void **state)
{
	static const char good[] = "{\"changedResourceId\": \"01234567-89ab-cdef-0123-456789abcdef\"}", *const bad[] = {
		"", "x", "[]", "{\"changedResourceId\": 1}", "{\"changedResourceId\": \"../../etc\"}"
	};
	char *id = triton_feed_machine(good, strlen(good));

	(void)state;
	assert_string_equal(id, "01234567-89ab-cdef-0123-456789abcdef");
	free(id);
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(bad); i++)
		assert_null(triton_feed_machine(bad[i], strlen(bad[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_make),
		cmocka_unit_test(test_message),
	};

	return cmocka_run_group_tests_name("feed", tests, NULL, NULL);
}
