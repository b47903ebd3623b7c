/* SPDX-License-Identifier: MPL-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "nomad/base.h"
#include "nomad/error.h"

static void maps_keep_order_and_replace(void **state)
{
	struct nomad_map map = { 0 }, copy;

	(void)state;
	assert_int_equal(nomad_map_set(&map, "b", "1"), 0);
	assert_int_equal(nomad_map_set(&map, "a", "2"), 0);
	assert_int_equal(nomad_map_set(&map, "b", "3"), 0);
	assert_int_equal(map.count, 2);
	assert_string_equal(map.pairs[0].key, "b");
	assert_string_equal(nomad_map_get(&map, "b"), "3");
	assert_null(nomad_map_get(&map, "c"));
	assert_int_equal(nomad_map_copy(&copy, &map), 0);
	nomad_map_remove(&map, "b");
	assert_int_equal(map.count, 1);
	assert_string_equal(map.pairs[0].key, "a");
	assert_string_equal(nomad_map_get(&copy, "b"), "3");
	nomad_map_done(&map);
	nomad_map_done(&copy);
	nomad_map_done(NULL);
}

static void int_maps_tell_absent_from_zero(void **state)
{
	struct nomad_int_map map = { 0 };
	int64_t value = 7;

	(void)state;
	assert_int_equal(nomad_int_map_set(&map, "http", 0), 0);
	assert_true(nomad_int_map_get(&map, "http", &value));
	assert_int_equal(value, 0);
	assert_false(nomad_int_map_get(&map, "https", &value));
	nomad_int_map_done(&map);
}

static void vectors_grow_and_copy(void **state)
{
	NOMAD_AUTO_STRV char **v = NULL;
	NOMAD_AUTO_STRV char **copy = NULL;

	(void)state;
	assert_int_equal(nomad_strv_count(NULL), 0);
	assert_int_equal(nomad_strv_add(&v, "a"), 0);
	assert_int_equal(nomad_strv_addf(&v, "%d", 5), 0);
	assert_int_equal(nomad_strv_count((const char *const *)v), 2);
	copy = nomad_strv_copy((const char *const *)v);
	assert_string_equal(copy[1], "5");
	assert_null(copy[2]);
}

static void errors_wrap_from_outer_to_inner(void **state)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;

	(void)state;
	assert_int_equal(nomad_error_errno(&err, ENOENT, "open '%s'", "/x"), -ENOENT);
	assert_int_equal(nomad_error_wrap(&err, "start machine '%s'", "web"), -ENOENT);
	assert_string_equal(nomad_error_message(err), "start machine 'web': open '/x': no such file or directory");
	assert_int_equal(nomad_error_code(err), ENOENT);
	assert_false(nomad_error_is_retryable(err));
	assert_int_equal(nomad_error_retryable(&err), -ENOENT);
	assert_true(nomad_error_is_retryable(err));
}

static void errors_are_one_line_and_null_means_do_not_care(void **state)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;

	(void)state;
	assert_int_equal(nomad_error_set(NULL, EINVAL, "x"), -EINVAL);
	assert_int_equal(nomad_error_wrap(NULL, "x"), -EINVAL);
	nomad_error_set(&err, EIO, "a\nb\r\tc");
	assert_string_equal(nomad_error_message(err), "a b  c");
	nomad_error_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_keep_order_and_replace),
		cmocka_unit_test(int_maps_tell_absent_from_zero),
		cmocka_unit_test(vectors_grow_and_copy),
		cmocka_unit_test(errors_wrap_from_outer_to_inner),
		cmocka_unit_test(errors_are_one_line_and_null_means_do_not_care),
	};

	return cmocka_run_group_tests_name("base/base", tests, NULL, NULL);
}
