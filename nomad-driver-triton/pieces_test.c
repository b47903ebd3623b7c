/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fifo.h"
#include "triton.h"
#include "remains.h"
#include "verdict.h"

static void test_names(void **state)
{
	struct nomad_task_info info = {
		.id = (char *)"1A2B3C4D-0000-0000-0000-000000000000/task/0a1b2c3d",
		.alloc_id = (char *)"1a2b3c4d-0000-0000-0000-000000000000",
		.name = (char *)"task",
		.task_group_name = (char *)"group",
		.job_id = (char *)"job",
		.job_name = (char *)"web/periodic-1%n",
	};
	char *name = triton_instance_name(&info);
	(void)state;

	assert_string_equal(name, "web-periodic-1-n-group-task-1a2b3c4d-0a1b2c3d");
	free(name);
	info.job_name = (char *)"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
	name = triton_instance_name(&info);
	assert_int_equal(strlen(name), 63);
	assert_non_null(strstr(name, "-1a2b3c4d-0a1b2c3d"));
	free(name);
	info.job_name = info.task_group_name = info.name = (char *)"///";
	name = triton_instance_name(&info);
	assert_string_equal(name, "1a2b3c4d-0a1b2c3d");
	free(name);
}

static void test_env(void **state)
{
	struct nomad_map env = { 0 };
	char *text;
	(void)state;

	assert_int_equal(nomad_map_set(&env, "A", "b\"c"), 0);
	assert_int_equal(nomad_map_set(&env, "VAULT_TOKEN", "secret"), 0);
	assert_int_equal(nomad_map_set(&env, "NOMAD_TOKEN", "secret"), 0);
	text = triton_env_text(&env);
	assert_string_equal(text, "{\"A\":\"b\\\"c\"}");
	free(text);
	nomad_map_done(&env);
}

static void verdict(enum triton_state state, const char *action, bool expected, bool killed, bool deleted, int ends,
		    int code)
{
	const char *message = NULL;
	struct nomad_exit result;

	assert_int_equal(triton_machine_verdict(state, action, expected, killed, deleted, &result, &message), ends);
	if (ends)
		assert_int_equal(result.exit_code, code);
	assert_int_equal(message != NULL, ends && code == 1);
}

static void test_verdicts(void **state)
{
	(void)state;
	for (enum triton_state s = TRITON_PROVISIONING; s <= TRITON_UNKNOWN; s++)
		if (s != TRITON_STOPPED && s != TRITON_FAILED && s != TRITON_DELETED)
			verdict(s, "stop", true, true, true, 0, 0);
	verdict(TRITON_STOPPED, "", false, false, false, 1, 0);
	verdict(TRITON_STOPPED, "stop", false, false, false, 1, 1);
	verdict(TRITON_STOPPED, "stop", true, false, false, 1, 0);
	verdict(TRITON_STOPPED, "", false, false, true, 0, 0);
	verdict(TRITON_STOPPED, "", true, true, false, 1, 137);
	verdict(TRITON_DELETED, "", false, false, false, 1, 1);
	verdict(TRITON_DELETED, "", false, false, true, 1, 0);
	verdict(TRITON_DELETED, "", true, false, false, 1, 0);
	verdict(TRITON_DELETED, "", true, true, false, 1, 137);
	verdict(TRITON_FAILED, "", true, false, false, 1, 1);
}

static void test_machine(void **state)
{
	json_t *json = json_loads(
		"{\"id\":\"b8312894-aaf1-4f86-bc69-c1b33314b480\",\"name\":\"n\",\"state\":\"strange\",\"tags\":{\"a\":"
		"true,\"b\":7,"
		"\"c\":\"x\"},\"primaryIp\":\"10.0.0.1\",\"deletion_protection\":true,\"dns_names\":[\"d\"]}",
		0, NULL);
	struct triton_machine machine = { 0 };
	(void)state;

	assert_int_equal(triton_machine_parse(json, &machine), 0);
	assert_int_equal(machine.state, TRITON_UNKNOWN);
	assert_string_equal(nomad_map_get(&machine.tags, "a"), "true");
	assert_string_equal(nomad_map_get(&machine.tags, "b"), "7");
	assert_string_equal(nomad_map_get(&machine.tags, "c"), "x");
	assert_true(machine.deletion_protection);
	assert_string_equal(machine.dns_names[0], "d");
	triton_machine_done(&machine);
	json_object_set_new(json, "id", json_string("../x"));
	assert_int_equal(triton_machine_parse(json, &machine), -EPROTO);
	json_decref(json);
}

static void test_remains(void **state)
{
	struct triton_remains remains = { .task_id = strdup("t"), .name = strdup("n") }, back = { 0 };
	json_t *json;
	(void)state;

	assert_int_equal(nomad_map_set(&remains.records, "instance", "i"), 0);
	json = triton_remains_json(&remains);
	assert_int_equal(triton_remains_parse(json, &back), 0);
	assert_string_equal(back.task_id, "t");
	assert_string_equal(back.name, "n");
	assert_string_equal(nomad_map_get(&back.records, "instance"), "i");
	triton_remains_done(&back);
	json_object_set_new(json, "version", json_integer(2));
	assert_int_equal(triton_remains_parse(json, &back), -EINVAL);
	json_decref(json);
	triton_remains_done(&remains);
}

static void test_fifo(void **state)
{
	char dir[] = "/tmp/fifo-test.XXXXXX", path[64], link[64];
	int reader, fd;
	(void)state;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	snprintf(link, sizeof(link), "%s/link", dir);
	assert_int_equal(triton_fifo_open(NULL), -ENODEV);
	assert_int_equal(triton_fifo_open("/dev/null"), -ENODEV);
	assert_int_equal(triton_fifo_open(path), -ENODEV);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(triton_fifo_open(path), -ENXIO);
	assert_int_equal(triton_fifo_open(link), -ENODEV);
	reader = open(path, O_RDONLY | O_NONBLOCK);
	fd = triton_fifo_open(path);
	assert_true(fd >= 0);
	close(fd);
	close(reader);
	unlink(path);
	/* A file in its place is not written to. */
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(triton_fifo_open(path), -ENODEV);
	unlink(path);
	unlink(link);
	rmdir(dir);
}

static void test_position(void **state)
{
	char path[] = "/tmp/position-test.XXXXXX";
	struct triton_position position;
	(void)state;

	close(mkstemp(path));
	assert_int_equal(triton_position_open(&position, path, NULL), 0);
	assert_int_equal(position.count[1], 0);
	position.count[1] = 7;
	triton_position_close(&position);
	assert_int_equal(triton_position_open(&position, path, NULL), 0);
	assert_int_equal(position.count[1], 7);
	triton_position_close(&position);
	unlink(path);
}

static void test_signals(void **state)
{
	(void)state;
	assert_string_equal(triton_signal_name(15), "SIGTERM");
	assert_null(triton_signal_name(1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	 cmocka_unit_test(test_env),	 cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_machine),	 cmocka_unit_test(test_remains), cmocka_unit_test(test_fifo),
		cmocka_unit_test(test_position), cmocka_unit_test(test_signals),
	};

	return cmocka_run_group_tests_name("triton pieces", tests, NULL, NULL);
}
