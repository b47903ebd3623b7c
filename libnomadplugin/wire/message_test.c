/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/message.h"

static void utf8_is_told_from_what_is_not(void **state)
{
	static const struct {
		const char *text, *repaired;
	} rows[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "a\xff"
		  "b",
		  "a?b" },
		{ "\xc3", "?" },
		{ "\xe2\x82", "??" },
		{ "\xc0\xaf", "??" },		/* overlong */
		{ "\xed\xa0\x80", "???" },	/* a surrogate */
		{ "\xf4\x90\x80\x80", "????" }, /* beyond U+10FFFF */
		{ "\xf5x", "?x" },
		{ "\x80\xc3\xa4\x80", "?\xc3\xa4?" },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		char *text = strdup(rows[i].text);
		bool wrong = strcmp(rows[i].text, rows[i].repaired) != 0;

		assert_int_equal(nomad__utf8_repair(text), wrong);
		assert_string_equal(text, rows[i].repaired);
		assert_int_equal(nomad__utf8_prefix(text, strlen(text)), strlen(text));
		free(text);
	}
}

struct bytes {
	uint8_t *data;
	size_t size;
};

static void *bytes_alloc(void *ud, size_t size)
{
	struct bytes *bytes = ud;

	bytes->size = size;
	return bytes->data = malloc(size ? size : 1);
}

static void *no_alloc(void *ud, size_t size)
{
	(void)ud;
	(void)size;
	return NULL;
}

static void wrong_strings_are_repaired_wherever_they_are(void **state)
{
	Pb__FingerprintResponse fp = PB__FINGERPRINT_RESPONSE__INIT;
	Pb__FingerprintResponse__AttributesEntry entry = PB__FINGERPRINT_RESPONSE__ATTRIBUTES_ENTRY__INIT;
	Pb__FingerprintResponse__AttributesEntry *entries[] = { &entry };
	Pb__Attribute value = PB__ATTRIBUTE__INIT;
	Pb__FingerprintResponse *read;
	struct bytes bytes;

	(void)state;
	value.value_case = PB__ATTRIBUTE__VALUE_STRING_VAL;
	value.string_val = (char *)"v\xff";
	entry.key = (char *)"k\xfe";
	entry.value = &value;
	fp.attributes = entries;
	fp.n_attributes = 1;
	fp.health_description = (char *)"caf\xe9";
	assert_int_equal(nomad__message_pack(&fp.base, no_alloc, NULL), -ENOMEM);
	assert_int_equal(nomad__message_pack(&fp.base, bytes_alloc, &bytes), 0);
	read = pb__fingerprint_response__unpack(NULL, bytes.size, bytes.data);
	assert_string_equal(read->health_description, "caf?");
	assert_string_equal(read->attributes[0]->key, "k?");
	assert_string_equal(read->attributes[0]->value->string_val, "v?");
	assert_string_equal(value.string_val, "v\xff"); /* ours is untouched */
	pb__fingerprint_response__free_unpacked(read, NULL);
	free(bytes.data);

	/* An integer in the oneof is not read as a string. */
	value.value_case = PB__ATTRIBUTE__VALUE_INT_VAL;
	value.int_val = 0x1234;
	assert_int_equal(nomad__message_pack(&fp.base, bytes_alloc, &bytes), 0);
	free(bytes.data);
}

static void malformed_bytes_name_the_message(void **state)
{
	struct nomad_error *err = NULL;
	ProtobufCMessage *message = NULL;

	(void)state;
	assert_int_equal(nomad__message_unpack(&pb__start_task_request__descriptor, "\x0a\x7f", 2, &message, &err),
			 -EINVAL);
	assert_non_null(strstr(nomad_error_message(err), "StartTaskRequest"));
	nomad_error_free(err);
	err = NULL;
	assert_null(message);
	/* A string of proto3 is UTF-8: TaskConfig.id, in a StartTaskRequest. */
	assert_int_equal(nomad__message_unpack(&pb__start_task_request__descriptor,
					       "\x0a\x05\x0a\x03"
					       "a\xc3\xa9",
					       7, &message, NULL),
			 0);
	nomad__message_free(message);
	message = NULL;
	assert_int_equal(nomad__message_unpack(&pb__start_task_request__descriptor,
					       "\x0a\x05\x0a\x03"
					       "a\xc3z",
					       7, &message, &err),
			 -EINVAL);
	assert_non_null(strstr(nomad_error_message(err), "UTF-8"));
	nomad_error_free(err);
	assert_null(message);
	assert_int_equal(nomad__message_unpack(&pb__start_task_request__descriptor, NULL, 0, &message, NULL), 0);
	nomad__message_free(message);
	nomad__message_free(NULL);
}

/* Two bytes on the wire are an entry of more than 50 in memory. */
static void memory_is_bounded(void **state)
{
	size_t size = 40 << 20;
	uint8_t *config = malloc(size + 16);
	struct nomad_error *err = NULL;
	ProtobufCMessage *message = NULL;

	(void)state;
	assert_non_null(config);
	for (size_t i = 0; i < size; i += 2)
		memcpy(config + i, "\x22\x00", 2); /* env {} */
	assert_int_equal(nomad__message_unpack(&pb__task_config__descriptor, config, size, &message, &err), -EINVAL);
	nomad_error_free(err);
	free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(utf8_is_told_from_what_is_not),
		cmocka_unit_test(wrong_strings_are_repaired_wherever_they_are),
		cmocka_unit_test(malformed_bytes_name_the_message),
		cmocka_unit_test(memory_is_bounded),
	};

	return cmocka_run_group_tests_name("wire/message", tests, NULL, NULL);
}
