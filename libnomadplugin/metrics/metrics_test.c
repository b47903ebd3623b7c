/* SPDX-License-Identifier: MPL-2.0 */
#include "metrics/metrics.h"

#include "supervisor/testing.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/loop.h"
#include "base/pool.h"
#include "nomad/error.h"
#include "nomad/metrics.h"

static void count_tasks(void *ud, struct nomad__task_counts *ret)
{
	(void)ud;
	*ret = (struct nomad__task_counts){ .starting = 5, .running = 6, .stopping = 7, .exited = 8 };
}

static struct nomad__metrics *metrics_of(const char *driver)
{
	struct nomad__metrics *metrics = nomad__metrics_new(driver, "1", count_tasks, NULL);

	assert_non_null(metrics);
	return metrics;
}

static char *text_of(struct nomad__metrics *metrics)
{
	struct nomad__openmetrics om;

	assert_int_equal(nomad__metrics_text(metrics, &om), 0);
	return om.text;
}

static void has(struct nomad__metrics *metrics, const char *line)
{
	NOMAD_AUTO_FREE char *text = text_of(metrics);
	NOMAD_AUTO_FREE char *whole = nomad_strdupf("\n%s\n", line);

	if (!strstr(text, whole))
		fail_msg("there is no line %s in\n%s", line, text);
}

/* ---- Form ---- */

static void test_form(void **state)
{
	struct nomad__openmetrics om = { .driver = "a\"b\\c\nd" };

	(void)state;
	nomad__openmetrics_family(&om, NOMAD__COUNTER, "log_bytes", "bytes", "With \"quotes\",\na line and a \\.");
	nomad__openmetrics_int(&om, "_total", UINT64_MAX, "x", "y", NULL);
	nomad__openmetrics_family(&om, NOMAD__GAUGE, "age_seconds", "seconds", "Age.");
	nomad__openmetrics_seconds(&om, "", INT64_C(1000000001), NULL);
	assert_int_equal(nomad__openmetrics_end(&om), 0);
	assert_string_equal(om.text,
			    "# TYPE nomad_driver_log_bytes counter\n# UNIT nomad_driver_log_bytes bytes\n"
			    "# HELP nomad_driver_log_bytes With \\\"quotes\\\",\\na line and a \\\\.\n"
			    "nomad_driver_log_bytes_total{driver=\"a\\\"b\\\\c\\nd\",x=\"y\"} 18446744073709551615\n"
			    "# TYPE nomad_driver_age_seconds gauge\n# UNIT nomad_driver_age_seconds seconds\n"
			    "# HELP nomad_driver_age_seconds "
			    "Age.\nnomad_driver_age_seconds{driver=\"a\\\"b\\\\c\\nd\"} 1.000000001\n# EOF\n");
	nomad__openmetrics_done(&om);
}

static void test_histogram(void **state)
{
	static const int64_t durations[] = { -5,	0,	    1000000,	 1000001,     2500000,
					     999999999, 1000000000, 30000000000, 30000000001, INT64_MAX / 4 };
	struct nomad__openmetrics om = { .driver = "d" };
	struct nomad__latency latency = { 0 };

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(durations); i++)
		nomad__latency_add(&latency, durations[i]);
	nomad__openmetrics_family(&om, NOMAD__HISTOGRAM, "x_seconds", "seconds", "X.");
	nomad__openmetrics_latency(&om, &latency, "a", "b", "c", "d");
	assert_int_equal(nomad__openmetrics_end(&om), 0);
#define BUCKET(le, n) "\nnomad_driver_x_seconds_bucket{driver=\"d\",a=\"b\",c=\"d\",le=\"" le "\"} " n "\n"
	assert_non_null(strstr(om.text, BUCKET("0.001", "3")));
	assert_non_null(strstr(om.text, BUCKET("0.0025", "5")));
	assert_non_null(strstr(om.text, BUCKET("0.5", "5")));
	assert_non_null(strstr(om.text, BUCKET("1.0", "7")));
	assert_non_null(strstr(om.text, BUCKET("30.0", "8")));
	assert_non_null(strstr(om.text, BUCKET("+Inf", "10")));
	assert_non_null(strstr(om.text, "\nnomad_driver_x_seconds_count{driver=\"d\",a=\"b\",c=\"d\"} 10\n"));
	nomad__openmetrics_done(&om);
}

/* ---- Counting ---- */

static const struct nomad__rpc rpcs[] = { { "/a.B/Start", true }, { "/a.B/Wait", false }, { "/c.D/Never", true } };

static const char *code_name(unsigned code)
{
	return code ? "FAILED" : "OK";
}

static void *call_often(void *arg)
{
	for (int i = 0; i < 10000; i++) {
		nomad__metrics_call_begins(arg, 0);
		nomad__metrics_call_ends(arg, 0, i % 10 == 0 ? 5 : 0, i * 1000);
		nomad__metric_add(arg, NOMAD__EVENTS_DROPPED, 1);
	}
	return NULL;
}

static void test_calls(void **state)
{
	struct nomad__metrics *metrics = metrics_of("script");
	pthread_t threads[4];
	NOMAD_AUTO_FREE char *text = NULL;

	(void)state;
	assert_int_equal(nomad__metrics_calls(metrics, rpcs, NOMAD_ARRAY_LEN(rpcs), code_name), 0);
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_often, metrics), 0);
	for (int i = 0; i < 20; i++) /* looked at meanwhile: open calls are never fewer than none */
		free(text_of(metrics));
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	nomad__metrics_call_begins(metrics, 1);
	nomad__metrics_call_begins(metrics, 3);
	nomad__metrics_call_ends(metrics, 3, 99, 0);
#define OF_START "{driver=\"script\",grpc_service=\"a.B\",grpc_method=\"Start\""
	has(metrics, "nomad_driver_grpc_server_started_total" OF_START "} 40000");
	has(metrics, "nomad_driver_grpc_server_handled_total" OF_START ",grpc_code=\"OK\"} 36000");
	has(metrics, "nomad_driver_grpc_server_handled_total" OF_START ",grpc_code=\"FAILED\"} 4000");
	has(metrics, "nomad_driver_grpc_server_in_flight" OF_START "} 0");
	has(metrics,
	    "nomad_driver_grpc_server_in_flight{driver=\"script\",grpc_service=\"a.B\",grpc_method=\"Wait\"} 1");
	has(metrics, "nomad_driver_grpc_server_handled_total{driver=\"script\",grpc_service=\"unknown\",grpc_method="
		     "\"unknown\",grpc_code=\"FAILED\"} 1");
	has(metrics, "nomad_driver_grpc_server_handling_seconds_count" OF_START "} 40000");
	has(metrics, "nomad_driver_grpc_server_handling_seconds_bucket" OF_START ",le=\"0.001\"} 4004");
	for (int i = 0; i < 4; i++) {
		static const char *const states[] = { "starting", "running", "stopping", "exited" };
		NOMAD_AUTO_FREE char *line =
			nomad_strdupf("nomad_driver_tasks{driver=\"script\",state=\"%s\"} %d", states[i], 5 + i);

		has(metrics, line);
	}
	has(metrics, "nomad_driver_task_events_dropped_total{driver=\"script\"} 40000");
	text = text_of(metrics);
	assert_null(strstr(text, "handling_seconds_count{driver=\"script\",grpc_service=\"a.B\",grpc_method=\"Wait\""));
	assert_null(strstr(text, "Never"));
	nomad__metrics_free(metrics);
}

static void test_own(void **state)
{
	struct nomad__metrics *metrics = metrics_of("build");
	struct nomad_counter *a, *b;
	struct nomad_error *err = NULL;
	static const struct {
		const char *name, *help, *label, *value;
		int error;
	} bad[] = {
		{ "info", "H.", NULL, NULL, EEXIST }, /* nomad_driver_build_info is the library's */
		{ "", "H.", NULL, NULL, EINVAL },
		{ "1a", "H.", NULL, NULL, EINVAL },
		{ "a-b", "H.", NULL, NULL, EINVAL },
		{ "a_total", "H.", NULL, NULL, EINVAL },
		{ "a_", "H.", NULL, NULL, EINVAL },
		{ "A", "H.", NULL, NULL, EINVAL },
		{ "c", "", NULL, NULL, EINVAL },
		{ "c", "H.", "l", NULL, EINVAL },
		{ "c", "H.", "driver", "x", EINVAL },
		{ "pulls", "H.", NULL, NULL, EINVAL },
		{ "pulls", "H.", "other", "x", EINVAL },
		{ "a234567890123456789012345678901234567890123456789", "H.", NULL, NULL, EINVAL },
	};

	(void)state;
	a = nomad__metrics_counter(metrics, "pulls", "Images got.", "result", "ok", &err);
	b = nomad__metrics_counter(metrics, "steps", "Steps.", NULL, NULL, &err);
	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(nomad__metrics_counter(metrics, "pulls", "Images got.", "result", "\"fail\"", &err));
	assert_ptr_equal(nomad__metrics_counter(metrics, "pulls", "Images got.", "result", "ok", &err), a);
	nomad_counter_add(a, 2);
	nomad_counter_add(b, 1);
	nomad_counter_add(NULL, 1);
	has(metrics, "# TYPE nomad_driver_build_pulls counter\n# HELP nomad_driver_build_pulls Images got.\n"
		     "nomad_driver_build_pulls_total{driver=\"build\",result=\"ok\"} 2\n"
		     "nomad_driver_build_pulls_total{driver=\"build\",result=\"\\\"fail\\\"\"} 0\n# TYPE "
		     "nomad_driver_build_steps counter");
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(bad); i++) {
		assert_null(
			nomad__metrics_counter(metrics, bad[i].name, bad[i].help, bad[i].label, bad[i].value, &err));
		assert_int_equal(nomad_error_code(err), bad[i].error);
		nomad_error_free(NOMAD_TAKE_PTR(err));
	}
	for (int i = 0; i < 100; i++) {
		char value[16];

		snprintf(value, sizeof(value), "%d", i);
		if (!nomad__metrics_counter(metrics, "many", "Too many.", "n", value, &err))
			break;
	}
	assert_int_equal(nomad_error_code(err), ENOSPC);
	nomad_error_free(err);
	has(metrics, "nomad_driver_build_many_total{driver=\"build\",n=\"60\"} 0");
	nomad__metrics_free(metrics);
}

static void test_interval(void **state)
{
	static const struct {
		const char *text;
		int64_t s;
	} cases[] = {
		{ "15s", 15 }, { "1", 1 },	{ "2m", 120 }, { "24h", 86400 }, { "86400s", 86400 },
		{ "25h", -1 }, { "86401", -1 }, { "0s", -1 },  { "", -1 },	 { "s", -1 },
		{ "-1s", -1 }, { "1.5s", -1 },	{ "1 s", -1 }, { "500ms", -1 },	 { "99999999999999999999s", -1 },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(cases); i++)
		assert_int_equal(nomad__metrics_interval(cases[i].text),
				 cases[i].s < 0 ? -EINVAL : cases[i].s * 1000000000);
}

/* ---- The socket ---- */

static char test_base[64], socket_path[128], file_path[128];
static int descriptors_before;

/* A plugin, as far as metrics see it. */
struct shown {
	struct nomad__metrics *metrics;
	struct nomad__loop *loop;
	struct nomad__pool *pool;
	struct nomad__metrics_server *server;
};

static void settled(void *ud)
{
	__atomic_store_n((bool *)ud, true, __ATOMIC_SEQ_CST);
}

/* What was posted to the loop before has run. */
static void settle(struct nomad__loop *loop)
{
	bool done = false;

	assert_int_equal(nomad__loop_post(loop, settled, &done), 0);
	wait_until(__atomic_load_n(&done, __ATOMIC_SEQ_CST));
}

static struct shown show(void)
{
	static struct nomad__metrics_config config = { socket_path, file_path, (char *)"1s" };
	struct shown s = { .metrics = metrics_of("script") };

	assert_int_equal(nomad__metrics_calls(s.metrics, rpcs, NOMAD_ARRAY_LEN(rpcs), code_name), 0);
	assert_int_equal(nomad__loop_new(&s.loop), 0);
	assert_int_equal(nomad__pool_new(4, &s.pool), 0);
	s.server = nomad__metrics_start(s.metrics, &config, s.loop, s.pool);
	assert_non_null(s.server);
	settle(s.loop);
	return s;
}

static void hide(struct shown *s)
{
	nomad__pool_stop(s->pool);
	nomad__metrics_stop(s->server);
	nomad__loop_free(s->loop);
	nomad__pool_free(s->pool);
	nomad__metrics_free(s->metrics);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(test_base, "/tmp/nomad-metrics-test-XXXXXX");
	snprintf(socket_path, sizeof(socket_path), "%s/run/metrics.sock", mkdtemp(test_base) ? test_base : "");
	snprintf(file_path, sizeof(file_path), "%s/metrics.prom", test_base);
	descriptors_before = count_entries("/proc/self/fd");
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	assert_int_equal(count_entries("/proc/self/fd"), descriptors_before);
	snprintf(command, sizeof(command), "rm -rf '%s'", test_base);
	return system(command);
}

static int try_connect(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, socket_path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int connected(void)
{
	int fd = -1;

	wait_until((fd = try_connect()) >= 0);
	return fd;
}

/* What comes until the end, which has to come. */
static size_t read_end(int fd, char *text, size_t size)
{
	size_t used = 0;
	ssize_t n;

	while ((n = recv(fd, text + used, size - 1 - used, 0)) > 0)
		used += (size_t)n;
	text[used] = 0;
	return used;
}

static char answer[1 << 18];

static bool answers(void)
{
	int fd = connected();
	size_t n = read_end(fd, answer, sizeof(answer));

	close(fd);
	return n > 7 && strncmp(answer, "# TYPE ", 7) == 0 && strcmp(answer + n - 7, "\n# EOF\n") == 0;
}

static void test_socket(void **state)
{
	struct shown s;
	struct stat st;

	(void)state;
	s = show();
	assert_true(answers());
	assert_int_equal(stat(socket_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	wait_until(access(file_path, F_OK) == 0);
	assert_int_equal(stat(file_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	hide(&s);
	assert_int_equal(access(socket_path, F_OK), -1);
	assert_int_equal(access(file_path, F_OK), -1);
}

/* The longest text that can be fits, though nobody reads it yet. */
static void test_longest(void **state)
{
	static const char family[] = "a23456789012345678901234567890123456789012345678";
	struct nomad__rpc many[32];
	struct shown s = { .metrics = metrics_of("script") };
	struct nomad__metrics_config config = { socket_path, NULL, (char *)"1s" };
	struct nomad_error *err = NULL;
	int fd;

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(many); i++)
		many[i] = (struct nomad__rpc){ "/hashicorp.nomad.plugins.drivers.proto.Driver/ALongMethod", true };
	assert_int_equal(nomad__metrics_calls(s.metrics, many, NOMAD_ARRAY_LEN(many), code_name), 0);
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(many); i++)
		for (unsigned code = 0; code < 17; code++) {
			nomad__metrics_call_begins(s.metrics, i);
			nomad__metrics_call_ends(s.metrics, i, code, 0);
		}
	for (int i = 10; i < 74; i++) {
		char value[49];

		snprintf(value, sizeof(value), "%d%s", i, family + 2);
		assert_non_null(nomad__metrics_counter(s.metrics, family, "Long.", "label", value, &err));
	}
	assert_int_equal(nomad__loop_new(&s.loop), 0);
	assert_int_equal(nomad__pool_new(1, &s.pool), 0);
	s.server = nomad__metrics_start(s.metrics, &config, s.loop, s.pool);
	fd = connected();
	settle(s.loop); /* accepted at the latest in the round after this one */
	settle(s.loop);
	assert_true(read_end(fd, answer, sizeof(answer)) > 150000);
	assert_non_null(strstr(answer, "\n# EOF\n"));
	close(fd);
	hide(&s);
}

/* Clients that say something, go at once, or read nothing, cost nothing. */
static void test_rude_clients(void **state)
{
	struct shown s;
	int idle[100], before;

	(void)state;
	s = show();
	assert_true(answers());
	before = count_entries("/proc/self/fd");
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(idle); i++)
		idle[i] = connected();
	for (int i = 0; i < 500; i++) {
		int fd = connected();

		if (i % 2)
			(void)!send(fd, answer, (size_t)i * 16, MSG_NOSIGNAL | MSG_DONTWAIT);
		close(fd);
	}
	assert_true(answers());
	wait_until(count_entries("/proc/self/fd") <= before + (int)NOMAD_ARRAY_LEN(idle));
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(idle); i++)
		close(idle[i]);
	hide(&s);
}

static bool listens(void)
{
	int fd = try_connect();

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* What is there already: left by a dead one, of a living one, anything else. */
static void test_taken(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct shown s, second;
	struct stat st, after;
	char dir[128];
	int fd;

	(void)state;
	snprintf(dir, sizeof(dir), "%s/run", test_base);
	assert_int_equal(mkdir(dir, 0755), 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(address.sun_path, socket_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	s = show();
	assert_true(answers());
	assert_int_equal(stat(socket_path, &st), 0);
	second = show();
	assert_int_equal(stat(socket_path, &after), 0);
	assert_int_equal(st.st_ino, after.st_ino);
	assert_true(answers());
	/* The second gets it when the first has gone, or somebody has removed it. */
	hide(&s);
	wait_until(listens());
	assert_int_equal(unlink(socket_path), 0);
	wait_until(listens());
	hide(&second);

	/* A file and a symlink stay as they are. */
	fd = open(socket_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "mine", 4), 4);
	close(fd);
	assert_int_equal(symlink(socket_path, file_path), 0);
	s = show();
	assert_false(listens());
	hide(&s);
	assert_int_equal(lstat(file_path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(lstat(socket_path, &st), 0);
	assert_true(S_ISREG(st.st_mode) && st.st_size == 4);
	assert_int_equal(unlink(socket_path), 0);
	assert_int_equal(symlink("/nonexistent", socket_path), 0);
	s = show();
	hide(&s);
	assert_int_equal(lstat(socket_path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));

	/* A directory where others could put another socket in its place. */
	assert_int_equal(unlink(socket_path), 0);
	assert_int_equal(chmod(dir, 0777), 0);
	s = show();
	assert_false(listens());
	hide(&s);
}

/* ---- The file ---- */

static void test_file(void **state)
{
	struct nomad_error *err = NULL;
	struct stat st, first;
	char path[128], new_path[136], text[16];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/m.prom", test_base);
	snprintf(new_path, sizeof(new_path), "%s.new", path);
	assert_int_equal(nomad__metrics_write(path, "longer\n", 7, &first, &err), 0);
	assert_int_equal(nomad__metrics_write(path, "short\n", 6, &st, &err), 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof(text)), 6);
	close(fd);
	assert_int_equal(access(new_path, F_OK), -1);
	nomad__metrics_remove(path, &first); /* it is another one by now */
	assert_int_equal(access(path, F_OK), 0);
	nomad__metrics_remove(path, &st);
	assert_int_equal(access(path, F_OK), -1);

	/* The temporary file of a killed plugin is used again, files of others are not. */
	fd = open(new_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "half of something", 17), 17);
	close(fd);
	assert_int_equal(nomad__metrics_write(path, "whole\n", 6, &st, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 6);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(symlink(path, new_path), 0);
	assert_true(nomad__metrics_write(path, "bad\n", 4, &st, &err) < 0);
	nomad_error_free(NOMAD_TAKE_PTR(err));
	assert_int_equal(unlink(new_path), 0);
	assert_int_equal(link(path, new_path), 0);
	assert_int_equal(nomad__metrics_write(path, "bad\n", 4, &st, &err), -EEXIST);
	nomad_error_free(NOMAD_TAKE_PTR(err));
	assert_int_equal(unlink(new_path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 6);

	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(nomad__metrics_write(path, "bad\n", 4, &st, &err), -EEXIST);
	nomad_error_free(NOMAD_TAKE_PTR(err));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(nomad__metrics_write("/nonexistent/x", "bad\n", 4, &st, &err), -ENOENT);
	nomad_error_free(err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_interval),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_own),
#define IN_PLACE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		IN_PLACE(test_socket),
		IN_PLACE(test_longest),
		IN_PLACE(test_rude_clients),
		IN_PLACE(test_taken),
		IN_PLACE(test_file),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
