/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "docker.h"
#include "triton.h"

struct sink {
	char out[256], err[256];
	size_t n_out, n_err;
};

static void take(void *ud, int fd, const void *data, size_t size)
{
	struct sink *sink = ud;

	if (fd == 1) {
		memcpy(sink->out + sink->n_out, data, size);
		sink->n_out += size;
	} else {
		memcpy(sink->err + sink->n_err, data, size);
		sink->n_err += size;
	}
}

/* However it is cut, the same comes out. */
static void test_frames(void **state)
{
	static const char stream[] = "\1\0\0\0\0\0\0\5hello\2\0\0\0\0\0\0\3err\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1!";
	(void)state;

	for (size_t cut = 1; cut < sizeof(stream); cut++) {
		struct triton_demux demux = { 0 };
		struct sink sink = { .n_out = 0 };

		for (size_t at = 0; at < sizeof(stream) - 1; at += cut) {
			size_t n = sizeof(stream) - 1 - at < cut ? sizeof(stream) - 1 - at : cut;

			assert_int_equal(triton_demux_feed(&demux, stream + at, n, take, &sink), 0);
		}
		assert_int_equal(sink.n_out, 6);
		assert_memory_equal(sink.out, "hello!", 6);
		assert_int_equal(sink.n_err, 3);
		assert_memory_equal(sink.err, "err", 3);
		assert_int_equal(demux.left + demux.head_size, 0);
	}
}

static void test_no_frames(void **state)
{
	struct triton_demux demux = { 0 }, raw = { .raw = true };
	struct sink sink = { .n_out = 0 };
	(void)state;

	assert_int_equal(triton_demux_feed(&demux, "HTTP/1.1", 8, take, &sink), -EPROTO);
	assert_int_equal(triton_demux_feed(&raw, "HTTP/1.1", 8, take, &sink), 0);
	assert_memory_equal(sink.out, "HTTP/1.1", 8);
}

static void test_uuid(void **state)
{
	char uuid[37];
	(void)state;

	assert_int_equal(triton_docker_uuid("b8312894aaf14f86bc69c1b33314b480ffffffffffffffffffffffffffffffff", uuid),
			 0);
	assert_string_equal(uuid, "b8312894-aaf1-4f86-bc69-c1b33314b480");
	assert_true(triton_docker_uuid("b83128", uuid) < 0);
	assert_true(triton_docker_uuid("B8312894aaf14f86bc69c1b33314b480", uuid) < 0);
}

static void test_auth(void **state)
{
	struct triton_auth auth = { .username = (char *)"u", .password = (char *)"p?>~" };
	char *text = triton_docker_auth(&auth);
	(void)state;

	assert_string_equal(text, "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InA_Pn4ifQ==");
	free(text);
}

static void test_small_body(void **state)
{
	struct triton_docker_image image = { .name = (char *)"busybox" };
	struct triton_docker_task task = { .image = &image };
	struct nomad_block_list none = { 0 };
	struct nomad_map env = { 0 };
	struct triton_docker_spec spec = {
		.task = &task, .volumes = &none, .env = &env, .package = "p", .task_id = "t", .alloc_id = "a"
	};
	json_t *body = NULL;
	char *text;
	(void)state;

	assert_int_equal(triton_docker_body(&spec, &body, NULL), 0);
	text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(text,
			    "{\"Env\":[],\"HostConfig\":{\"RestartPolicy\":{\"MaximumRetryCount\":0,\"Name\":\"no\"}},"
			    "\"Image\":\"busybox:latest\",\"Labels\":{\"com.joyent.package\":\"p\",\"nomad.alloc\":"
			    "\"a\",\"nomad.driver\":\"triton\",\"nomad.task\":\"t\"},"
			    "\"OpenStdin\":false,\"StdinOnce\":false,\"Tty\":false}");
	free(text);
	json_decref(body);
	/* No UTF-8: refused, not cut. */
	assert_int_equal(nomad_map_set(&env, "A", "\xff"), 0);
	assert_int_equal(triton_docker_body(&spec, &body, NULL), -EINVAL);
	nomad_map_done(&env);
}

static void test_stats(void **state)
{
	json_t *json = json_loads(
		"{\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":300},\"system_cpu_usage\":2000,\"online_cpus\":2},"
		"\"precpu_stats\":{\"cpu_usage\":{\"total_usage\":100},\"system_cpu_usage\":1000},"
		"\"memory_stats\":{\"usage\":4096,\"stats\":{\"rss\":1024,\"cache\":2048}}}",
		0, NULL);
	struct nomad_stats stats = { 0 };
	(void)state;

	assert_int_equal(triton_stats_parse(json, &stats), 0);
	assert_true(stats.cpu_percent > 39.9 && stats.cpu_percent < 40.1);
	assert_int_equal(stats.usage_bytes, 4096);
	assert_int_equal(stats.rss_bytes, 1024);
	assert_int_equal(stats.measured, NOMAD_STAT_CPU | NOMAD_STAT_USAGE | NOMAD_STAT_RSS | NOMAD_STAT_CACHE);
	json_decref(json);
	json = json_object();
	stats = (struct nomad_stats){ 0 };
	assert_int_equal(triton_stats_parse(json, &stats), 0);
	assert_int_equal(stats.measured, 0);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames), cmocka_unit_test(test_no_frames),  cmocka_unit_test(test_uuid),
		cmocka_unit_test(test_auth),   cmocka_unit_test(test_small_body), cmocka_unit_test(test_stats),
	};

	return cmocka_run_group_tests_name("triton docker", tests, NULL, NULL);
}
