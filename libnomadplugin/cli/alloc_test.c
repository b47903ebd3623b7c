/* SPDX-License-Identifier: MPL-2.0
 *
 * A job file, and the allocation that is made of it without an agent. */
#include "cli/alloc.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char text[] =
	"{\"Job\": {\"ID\": \"web\", \"Datacenters\": [\"home\"], \"Meta\": {\"a\": \"job\", \"b\": \"job\", "
	"\"odd-key\": \"1\"},"
	" \"TaskGroups\": [{\"Name\": \"g\", \"Meta\": {\"b\": \"group\", \"c\": \"group\"},"
	"  \"Networks\": [{\"ReservedPorts\": [{\"Label\": \"http-in\", \"Value\": 8080, \"To\": 80}],"
	"                 \"DynamicPorts\": [{\"Label\": \"x\", \"To\": -1, \"HostNetwork\": \"192.0.2.1\"}, "
	"{\"Label\": \"y\"}, {\"Label\": \"six\", \"HostNetwork\": \"2001:db8::1\"}]}],"
	"  \"Tasks\": [{\"Name\": \"t\", \"Driver\": \"mine\", \"Meta\": {\"c\": \"task\"}, \"KillTimeout\": "
	"7000000000,"
	"    \"KillSignal\": \"SIGINT\", \"Env\": {\"GREETING\": \"hi ${NOMAD_TASK_NAME} ${nope} "
	"${env[\\\"NOMAD_DC\\\"]} ${\"},"
	"    \"Resources\": {\"CPU\": 200, \"MemoryMB\": 64, \"MemoryMaxMB\": 128,"
	"      \"Networks\": [{\"MBits\": 10, \"DynamicPorts\": [{\"Label\": \"own\"}, {\"Label\": \"y\"}]}]},"
	"    \"Config\": {\"list\": [\"${NOMAD_META_c}\"], \"map\": {\"k\": \"${GREETING}\"}, \"n\": 5}},"
	"   {\"Name\": \"other\", \"Driver\": \"docker\"}]}]}}";

static int load(const char *json, struct nomad__job *job, struct nomad_error **err)
{
	char path[] = "/tmp/nomad-job-test-XXXXXX";
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, json, strlen(json)), strlen(json));
	close(fd);
	r = nomad__job_load(path, "mine", job, err);
	unlink(path);
	return r;
}

static void test_job(void **state)
{
	static const char *const bad[] = {
		"",
		"[",
		"{}",
		"[]",
		"{\"Job\": 5}",
		"{\"Job\": {\"TaskGroups\": {}}}",
		"{\"Job\": {\"TaskGroups\": []}}",
		"{\"TaskGroups\": [{\"Name\": \"g\", \"Tasks\": [{\"Name\": \"a/b\", \"Driver\": \"mine\"}]}]}",
		"{\"TaskGroups\": [{\"Tasks\": [{\"Name\": \"a\", \"Driver\": \"mine\"}]}]}",
		"{\"TaskGroups\": [{\"Name\": \"g\", \"Tasks\": [5]}]}",
		"{\"TaskGroups\": [{\"Name\": \"g\", \"Tasks\": [{\"Name\": \"a\", \"Driver\": \"docker\"}]}]}",
	};
	struct nomad__job job;

	(void)state;
	assert_int_equal(load(text, &job, NULL), 0);
	assert_int_equal(job.n_tasks, 1);
	assert_int_equal(job.n_others, 1);
	assert_string_equal(job.id, "web");
	assert_string_equal(job.name, "web");
	assert_string_equal(job.namespace_name, "default");
	assert_string_equal(job.datacenter, "home");
	assert_string_equal(job.tasks[0].name, "t");
	nomad__job_done(&job);
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(bad); i++) {
		struct nomad_error *err = NULL;

		assert_int_equal(load(bad[i], &job, &err), -EINVAL);
		assert_non_null(strstr(nomad_error_message(err), "read"));
		nomad_error_free(err);
	}
}

static void test_alloc(void **state)
{
	const struct nomad_driver image = { .name = "mine", .fs_isolation = NOMAD_FS_IMAGE }, none = { .name = "mine" };
	struct nomad__alloc alloc;
	struct nomad__job job;
	const struct nomad_map *env = &alloc.info.env;
	NOMAD_AUTO_FREE char *root = NULL, *path = NULL;
	struct stat st;

	(void)state;
	assert_int_equal(load(text, &job, NULL), 0);
	assert_int_equal(nomad__alloc_new(&image, &job, &job.tasks[0], NULL, &alloc, NULL), 0);
	assert_string_equal(nomad_map_get(env, "NOMAD_TASK_DIR"), "/local");
	assert_string_equal(nomad_map_get(env, "NOMAD_SECRETS_DIR"), "/secrets");
	assert_null(nomad_map_get(env, "PATH"));
	assert_string_equal(nomad_map_get(env, "NOMAD_META_a"), "job");
	assert_string_equal(nomad_map_get(env, "NOMAD_META_b"), "group");
	assert_string_equal(nomad_map_get(env, "NOMAD_META_c"), "task");
	assert_string_equal(nomad_map_get(env, "NOMAD_META_odd_key"), "1");
	assert_string_equal(nomad_map_get(env, "NOMAD_PORT_http_in"), "80");
	assert_string_equal(nomad_map_get(env, "NOMAD_HOST_PORT_http_in"), "8080");
	assert_string_equal(nomad_map_get(env, "NOMAD_ADDR_http_in"), "127.0.0.1:8080");
	assert_string_equal(nomad_map_get(env, "NOMAD_IP_x"), "192.0.2.1");
	assert_string_equal(nomad_map_get(env, "NOMAD_IP_six"), "2001:db8::1");
	assert_memory_equal(nomad_map_get(env, "NOMAD_ADDR_six"), "[2001:db8::1]:", 14);
	assert_string_equal(nomad_map_get(env, "NOMAD_CPU_LIMIT"), "200");
	assert_string_equal(nomad_map_get(env, "GREETING"), "hi t ${nope} home ${");
	/* Those of the group, and of the task's own network block the label that is new. */
	assert_int_equal(alloc.info.resources.n_ports, 5);
	assert_string_equal(alloc.info.resources.ports[4].label, "own");
	assert_non_null(nomad_map_get(env, "NOMAD_HOST_PORT_own"));
	assert_in_range(alloc.info.resources.ports[1].value, 1, 65535);
	assert_int_equal(alloc.info.resources.ports[1].to, 0);
	assert_int_not_equal(alloc.info.resources.ports[1].value, alloc.info.resources.ports[2].value);
	assert_int_equal(alloc.info.resources.memory_limit_bytes, 128 << 20);
	assert_int_equal(alloc.kill_timeout_ns, INT64_C(7000000000));
	assert_string_equal(alloc.kill_signal, "SIGINT");
	assert_string_equal(json_string_value(json_array_get(json_object_get(alloc.config, "list"), 0)), "task");
	assert_string_equal(json_string_value(json_object_get(json_object_get(alloc.config, "map"), "k")),
			    "hi t ${nope} home ${");
	path = nomad_strdupf("%s/t/local", alloc.info.alloc_dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(stat(alloc.info.stdout_path, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	root = strdup(alloc.root);
	nomad__alloc_done(&alloc);
	assert_int_equal(access(root, F_OK), -1);
	assert_int_equal(nomad__alloc_new(&none, &job, &job.tasks[0], NULL, &alloc, NULL), 0);
	assert_memory_equal(nomad_map_get(env, "NOMAD_TASK_DIR"), alloc.info.alloc_dir, strlen(alloc.info.alloc_dir));
	nomad__alloc_done(&alloc);
	nomad__job_done(&job);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_job), cmocka_unit_test(test_alloc) };

	return cmocka_run_group_tests_name("alloc", tests, NULL, NULL);
}
