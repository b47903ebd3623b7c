/* SPDX-License-Identifier: MPL-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schema/everything.h"

static void redacted(const char *in, size_t in_size, const char *out, size_t out_size)
{
	struct nomad_error *err = NULL;
	void *data = NULL, *config = NULL;
	size_t size = 0;

	if (nomad__config_redact(&everything_schema, in, in_size, &data, &size, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
	assert_int_equal(size, out_size);
	assert_memory_equal(data, out, size);
	/* what is kept can be read again */
	assert_int_equal(nomad__config_decode(&everything_schema, "stored config", data, size, NOMAD__DECODE_STORED,
					      &config, NULL),
			 0);
	nomad__config_free(&everything_schema, config);
	free(data);
}
#define REDACTED(in, out) redacted(in, sizeof(in) - 1, out, sizeof(out) - 1)

static void secrets_are_left_out(void **state)
{
	(void)state;
	REDACTED("", "\x80");
	REDACTED("\xc0", "\x80");
	REDACTED("\x80", "\x80");
	REDACTED("\x83\xa4"
		 "text\xa1"
		 "a\xa5"
		 "token\xa3"
		 "abc\xa3"
		 "env\x81\xa1"
		 "a\xa1"
		 "b",
		 "\x81\xa4"
		 "text\xa1"
		 "a");
	REDACTED("\x81\xa6"
		 "branch\x82\xa3"
		 "url\xa1"
		 "u\xa8"
		 "password\xa1"
		 "p",
		 "\x81\xa6"
		 "branch\x81\xa3"
		 "url\xa1"
		 "u");
	REDACTED("\x81\xa6"
		 "branch\xc0",
		 "\x80");
	REDACTED("\x82\xa4"
		 "text\xc0\xa3"
		 "map\x80",
		 "\x81\xa3"
		 "map\x80");
	REDACTED("\x81\xa5"
		 "mount\x91\x81\xa4"
		 "name\xa1"
		 "n",
		 "\x81\xa5"
		 "mount\x91\x81\xa4"
		 "name\xa1"
		 "n");
	REDACTED("\x81\xa3"
		 "map\x91\x81\xa1"
		 "k\xa1"
		 "v",
		 "\x81\xa3"
		 "map\x91\x81\xa1"
		 "k\xa1"
		 "v");
}

static void what_is_unknown_may_be_secret(void **state)
{
	(void)state;
	REDACTED("\x82\xa4"
		 "text\xa1"
		 "a\xa8"
		 "passwort\xa1"
		 "p",
		 "\x81\xa4"
		 "text\xa1"
		 "a");
	REDACTED("\x81\xa6"
		 "branch\xa1"
		 "p",
		 "\x81\xa6"
		 "branch\xc0");
}

static void bad_bytes_are_refused(void **state)
{
	static const char *const inputs[] = { "\x81", "\x05", "\xa1x", "\x81\x01\x01", "\xdf\xff\xff\xff\xff" };

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(inputs); i++) {
		struct nomad_error *err = NULL;
		void *data = &err;
		size_t size = 7;

		assert_int_equal(
			nomad__config_redact(&everything_schema, inputs[i], strlen(inputs[i]), &data, &size, &err),
			-EINVAL);
		assert_non_null(strstr(nomad_error_message(err), "config to store: "));
		assert_ptr_equal(data, &err);
		assert_int_equal(size, 7);
		nomad_error_free(err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_are_left_out),
		cmocka_unit_test(what_is_unknown_may_be_secret),
		cmocka_unit_test(bad_bytes_are_refused),
	};

	return cmocka_run_group_tests_name("schema/redact", tests, NULL, NULL);
}
