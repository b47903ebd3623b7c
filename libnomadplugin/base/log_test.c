/* SPDX-License-Identifier: MPL-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static int saved_stderr, reader;

static int capture(void **state)
{
	int fds[2];

	(void)state;
	saved_stderr = dup(STDERR_FILENO);
	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	reader = fds[0];
	fcntl(reader, F_SETFL, O_NONBLOCK);
	nomad__log_setup(NOMAD__LOG_JSON, "test", NOMAD_LOG_TRACE);
	return 0;
}

static int release(void **state)
{
	(void)state;
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(reader);
	return 0;
}

/* The next lines, each of which has to be a JSON object of strings. */
static json_t *next_line(char *buffer, size_t size)
{
	ssize_t n = read(reader, buffer, size - 1);
	char *end;
	json_t *object;

	if (n <= 0)
		return NULL;
	buffer[n] = 0;
	end = strchr(buffer, '\n');
	assert_non_null(end);
	object = json_loadb(buffer, (size_t)(end - buffer), 0, NULL);
	assert_non_null(object);
	const char *key;
	json_t *value;
	json_object_foreach(object, key, value) assert_true(json_is_string(value));
	return object;
}

static void lines_are_json_of_strings(void **state)
{
	char buffer[8192];
	json_t *line;

	(void)state;
	nomad_log_kv(NOMAD_LOG_WARN, "a \"b\"\n\xff\x01", "task_id", "x\\y", "none", NULL, NULL);
	line = next_line(buffer, sizeof(buffer));
	assert_string_equal(json_string_value(json_object_get(line, "@level")), "warn");
	assert_string_equal(json_string_value(json_object_get(line, "@message")), "a \"b\"\n\xef\xbf\xbd\x01");
	assert_string_equal(json_string_value(json_object_get(line, "task_id")), "x\\y");
	assert_string_equal(json_string_value(json_object_get(line, "none")), "");
	assert_int_equal(strlen(json_string_value(json_object_get(line, "@timestamp"))), 27);
	json_decref(line);
}

static void long_values_are_cut_and_stay_json(void **state)
{
	char buffer[16384], value[8000];
	json_t *line;

	(void)state;
	for (size_t n = 3800; n < 4200; n++) {
		memset(value, '"', n);
		value[n] = 0;
		nomad_log_kv(NOMAD_LOG_INFO, value + n / 2, "k", value, "last", value, NULL);
		line = next_line(buffer, sizeof(buffer));
		assert_non_null(line);
		json_decref(line);
	}
	for (size_t n = 3700; n < 4100; n++) {
		memset(value, 'm', n);
		value[n] = 0;
		nomad_log_kv(NOMAD_LOG_INFO, value, "key", "value", NULL);
		line = next_line(buffer, sizeof(buffer));
		assert_non_null(line);
		json_decref(line);
	}
}

static void a_full_pipe_drops_and_says_so(void **state)
{
	static char buffer[1 << 20];
	char value[3000];
	json_t *line;
	int notes = 0;

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = 0;
	for (int i = 0; i < 100; i++)
		nomad_log_kv(NOMAD_LOG_INFO, "fill", "v", value, NULL);
	while (read(reader, buffer, sizeof(buffer)) > 0)
		;
	nomad_log(NOMAD_LOG_INFO, "after");
	ssize_t n = read(reader, buffer, sizeof(buffer) - 1);
	assert_true(n > 0);
	buffer[n] = 0;
	for (char *p = buffer, *end; (end = strchr(p, '\n')); p = end + 1) {
		line = json_loadb(p, (size_t)(end - p), 0, NULL);
		assert_non_null(line);
		notes += strstr(json_string_value(json_object_get(line, "@message")), "were lost") != NULL;
		json_decref(line);
	}
	assert_int_equal(notes, 1);
}

static void a_level_below_the_threshold_is_silent(void **state)
{
	char buffer[64];

	(void)state;
	nomad__log_setup(NOMAD__LOG_JSON, "test", NOMAD_LOG_ERROR);
	nomad_log(NOMAD_LOG_WARN, "no");
	assert_true(read(reader, buffer, sizeof(buffer)) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_are_json_of_strings, capture, release),
		cmocka_unit_test_setup_teardown(long_values_are_cut_and_stay_json, capture, release),
		cmocka_unit_test_setup_teardown(a_full_pipe_drops_and_says_so, capture, release),
		cmocka_unit_test_setup_teardown(a_level_below_the_threshold_is_silent, capture, release),
	};

	return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
