/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/error_class.h"
#include "nomad/error.h"

static void test_rows_are_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < nomad__error_classes_count; i++) {
		const struct nomad__error_class *class = &nomad__error_classes[i];

		assert_int_equal(strncmp(class->id, "nd-", 3), 0);
		assert_int_equal(strspn(class->id, "abcdefghijklmnopqrstuvwxyz-"), strlen(class->id));
		assert_int_equal(class->meaning[strlen(class->meaning) - 1], '.');
		assert_int_equal(class->remedy[strlen(class->remedy) - 1], '.');
		assert_int_not_equal(class->codes[0], 0);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(class->id, nomad__error_classes[j].id);
	}
}

static void test_a_code_has_one_class(void **state)
{
	(void)state;
	for (size_t i = 0; i < nomad__error_classes_count; i++)
		for (size_t j = 0;
		     j < NOMAD_ARRAY_LEN(nomad__error_classes[i].codes) && nomad__error_classes[i].codes[j]; j++)
			assert_ptr_equal(nomad__error_class_of(nomad__error_classes[i].codes[j]),
					 &nomad__error_classes[i]);
}

/* These are known outside: a change of one is a change of the interface. */
static void test_ids_are_stable(void **state)
{
	static const struct {
		int code;
		const char *id;
	} want[] = {
		{ EINVAL, "nd-invalid" },
		{ ENOENT, "nd-missing" },
		{ EEXIST, "nd-exists" },
		{ EPERM, "nd-denied" },
		{ EOPNOTSUPP, "nd-unsupported" },
		{ ECANCELED, "nd-cancelled" },
		{ ETIMEDOUT, "nd-timeout" },
		{ ENOSPC, "nd-full" },
		{ EBUSY, "nd-busy" },
		{ ECONNREFUSED, "nd-network" },
		{ EIO, "nd-failed" },
		{ EPROTO, "nd-failed" },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(want); i++) {
		struct nomad_error *err = NULL;

		assert_int_equal(nomad_error_set(&err, want[i].code, "x"), -want[i].code);
		assert_string_equal(nomad_error_id(err), want[i].id);
		nomad_error_free(err);
	}
	assert_string_equal(nomad_error_id(NULL), "nd-failed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_are_whole),
		cmocka_unit_test(test_a_code_has_one_class),
		cmocka_unit_test(test_ids_are_stable),
	};

	return cmocka_run_group_tests_name("base/error_class", tests, NULL, NULL);
}
