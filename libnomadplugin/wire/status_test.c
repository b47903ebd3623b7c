/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "wire/status.h"

static void errnos_become_codes(void **state)
{
	static const struct {
		int errnum;
		grpc_status_code code;
	} rows[] = {
		{ EINVAL, GRPC_STATUS_INVALID_ARGUMENT },
		{ ENOENT, GRPC_STATUS_NOT_FOUND },
		{ EEXIST, GRPC_STATUS_ALREADY_EXISTS },
		{ EACCES, GRPC_STATUS_PERMISSION_DENIED },
		{ EPERM, GRPC_STATUS_PERMISSION_DENIED },
		{ ENOSYS, GRPC_STATUS_UNIMPLEMENTED },
		{ EOPNOTSUPP, GRPC_STATUS_UNIMPLEMENTED },
		{ ECANCELED, GRPC_STATUS_CANCELLED },
		{ ETIMEDOUT, GRPC_STATUS_DEADLINE_EXCEEDED },
		{ ENOMEM, GRPC_STATUS_RESOURCE_EXHAUSTED },
		{ ENOSPC, GRPC_STATUS_RESOURCE_EXHAUSTED },
		{ EMFILE, GRPC_STATUS_RESOURCE_EXHAUSTED },
		{ EIO, GRPC_STATUS_INTERNAL },
		{ ECONNREFUSED, GRPC_STATUS_INTERNAL },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct nomad_error *err = NULL;
		struct nomad__status status;
		char text[64];

		(void)nomad_error_set(&err, rows[i].errnum, "pull image 'x'");
		nomad__status_of(err, &status);
		assert_int_equal(status.code, rows[i].code);
		snprintf(text, sizeof(text), "pull image 'x' [%s]", nomad_error_id(err));
		assert_string_equal(status.message, text);
		assert_null(status.details);
		nomad__status_done(&status);
		nomad_error_free(err);
	}
	/* The host waits three seconds at each UNAVAILABLE. */
	for (int errnum = 1; errnum < 200; errnum++)
		assert_int_not_equal(nomad__status_code(errnum), GRPC_STATUS_UNAVAILABLE);
	assert_string_equal(nomad__status_name(GRPC_STATUS_NOT_FOUND), "NOT_FOUND");
	assert_string_equal(nomad__status_name(GRPC_STATUS_UNAUTHENTICATED), "UNAUTHENTICATED");
	assert_string_equal(nomad__status_name((grpc_status_code)99), "UNKNOWN");
}

/* Byte for byte what Go's library makes of a recoverable error. */
static void a_retryable_error_has_its_110_bytes(void **state)
{
	static const char expected[] = "\x08\x09"
				       "\x12\x17"
				       "pull failed [nd-failed]"
				       "\x1a\x51"
				       "\x0a\x4b"
				       "type.googleapis.com/hashicorp.nomad.plugins.shared.structs.RecoverableError"
				       "\x12\x02\x08\x01";
	struct nomad_error *err = NULL;
	struct nomad__status status;

	(void)state;
	(void)nomad_error_set(&err, EIO, "pull failed");
	(void)nomad_error_retryable(&err);
	nomad__status_of(err, &status);
	assert_int_equal(sizeof(expected) - 1, 110);
	assert_int_equal(status.code, GRPC_STATUS_FAILED_PRECONDITION);
	assert_int_equal(status.details_size, 110);
	assert_memory_equal(status.details, expected, 110);
	nomad__status_done(&status);
	nomad_error_free(err);
}

static void long_messages_are_cut_between_characters(void **state)
{
	struct nomad__status status;
	char text[6001];

	(void)state;
	for (int shift = 0; shift < 4; shift++) {
		memset(text, 'a', shift);
		for (size_t i = shift; i + 1 < sizeof(text); i += 2)
			memcpy(text + i, "\xc3\xa4", 2);
		text[sizeof(text) - 1 - (shift & 1)] = '\0';
		nomad__status_set(&status, GRPC_STATUS_INTERNAL, text);
		assert_in_range(strlen(status.message), 4093, 4096);
		assert_null(strchr(status.message, '?'));
		nomad__status_done(&status);
	}
}

static void a_long_message_keeps_its_id(void **state)
{
	struct nomad_error *err = NULL;
	struct nomad__status status;
	char text[6001];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	(void)nomad_error_set(&err, ENOENT, "%s", text);
	nomad__status_of(err, &status);
	assert_string_equal(status.message + strlen(status.message) - strlen("aa [nd-missing]"), "aa [nd-missing]");
	nomad__status_done(&status);
	nomad_error_free(err);
}

static void no_error_at_all_is_internal(void **state)
{
	struct nomad__status status;

	(void)state;
	nomad__status_of(NULL, &status);
	assert_int_equal(status.code, GRPC_STATUS_INTERNAL);
	assert_non_null(status.message);
	nomad__status_done(&status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errnos_become_codes),
		cmocka_unit_test(a_retryable_error_has_its_110_bytes),
		cmocka_unit_test(long_messages_are_cut_between_characters),
		cmocka_unit_test(a_long_message_keeps_its_id),
		cmocka_unit_test(no_error_at_all_is_internal),
	};

	return cmocka_run_group_tests_name("wire/status", tests, NULL, NULL);
}
