/* SPDX-License-Identifier: MPL-2.0 */
#include "core/testing.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "nomad/metrics.h"

static struct nomad_plugin *plugin_of(const char *name)
{
	static struct nomad_driver driver;
	struct nomad_plugin *plugin;

	driver = script_driver;
	driver.name = name;
	plugin = nomad__plugin_new(&driver, NULL);
	assert_non_null(plugin);
	return plugin;
}

static char *text_of(struct nomad_plugin *plugin)
{
	struct nomad__openmetrics om;

	assert_int_equal(nomad__metrics_text(plugin, &om), 0);
	return om.text;
}

static void has(struct nomad_plugin *plugin, const char *line)
{
	NOMAD_AUTO_FREE char *text = text_of(plugin);
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
	struct nomad_plugin *plugin = plugin_of("script");
	pthread_t threads[4];
	NOMAD_AUTO_FREE char *text = NULL;

	(void)state;
	assert_false(nomad__metrics_wanted(plugin));
	assert_int_equal(nomad__metrics_calls(plugin, rpcs, NOMAD_ARRAY_LEN(rpcs), code_name), 0);
	assert_true(nomad__metrics_wanted(plugin));
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_often, plugin), 0);
	for (int i = 0; i < 20; i++) /* looked at meanwhile: open calls are never fewer than none */
		free(text_of(plugin));
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	nomad__metrics_call_begins(plugin, 1);
	nomad__metrics_call_begins(plugin, 3);
	nomad__metrics_call_ends(plugin, 3, 99, 0);
#define OF_START "{driver=\"script\",grpc_service=\"a.B\",grpc_method=\"Start\""
	has(plugin, "nomad_driver_grpc_server_started_total" OF_START "} 40000");
	has(plugin, "nomad_driver_grpc_server_handled_total" OF_START ",grpc_code=\"OK\"} 36000");
	has(plugin, "nomad_driver_grpc_server_handled_total" OF_START ",grpc_code=\"FAILED\"} 4000");
	has(plugin, "nomad_driver_grpc_server_in_flight" OF_START "} 0");
	has(plugin,
	    "nomad_driver_grpc_server_in_flight{driver=\"script\",grpc_service=\"a.B\",grpc_method=\"Wait\"} 1");
	has(plugin, "nomad_driver_grpc_server_handled_total{driver=\"script\",grpc_service=\"unknown\",grpc_method="
		    "\"unknown\",grpc_code=\"FAILED\"} 1");
	has(plugin, "nomad_driver_grpc_server_handling_seconds_count" OF_START "} 40000");
	has(plugin, "nomad_driver_grpc_server_handling_seconds_bucket" OF_START ",le=\"0.001\"} 4004");
	has(plugin, "nomad_driver_task_events_dropped_total{driver=\"script\"} 40000");
	text = text_of(plugin);
	assert_null(strstr(text, "handling_seconds_count{driver=\"script\",grpc_service=\"a.B\",grpc_method=\"Wait\""));
	assert_null(strstr(text, "Never"));
	nomad__plugin_free(plugin);
}

static void test_own(void **state)
{
	struct nomad_plugin *plugin = plugin_of("build");
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
	a = nomad_counter_new(plugin, "pulls", "Images got.", "result", "ok", &err);
	b = nomad_counter_new(plugin, "steps", "Steps.", NULL, NULL, &err);
	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(nomad_counter_new(plugin, "pulls", "Images got.", "result", "\"fail\"", &err));
	assert_ptr_equal(nomad_counter_new(plugin, "pulls", "Images got.", "result", "ok", &err), a);
	nomad_counter_add(a, 2);
	nomad_counter_add(b, 1);
	nomad_counter_add(NULL, 1);
	has(plugin, "# TYPE nomad_driver_build_pulls counter\n# HELP nomad_driver_build_pulls Images got.\n"
		    "nomad_driver_build_pulls_total{driver=\"build\",result=\"ok\"} 2\n"
		    "nomad_driver_build_pulls_total{driver=\"build\",result=\"\\\"fail\\\"\"} 0\n# TYPE "
		    "nomad_driver_build_steps counter");
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(bad); i++) {
		assert_null(nomad_counter_new(plugin, bad[i].name, bad[i].help, bad[i].label, bad[i].value, &err));
		assert_int_equal(nomad_error_code(err), bad[i].error);
		nomad_error_free(NOMAD_TAKE_PTR(err));
	}
	for (int i = 0; i < 100; i++) {
		char value[16];

		snprintf(value, sizeof(value), "%d", i);
		if (!nomad_counter_new(plugin, "many", "Too many.", "n", value, &err))
			break;
	}
	assert_int_equal(nomad_error_code(err), ENOSPC);
	nomad_error_free(err);
	has(plugin, "nomad_driver_build_many_total{driver=\"build\",n=\"60\"} 0");
	nomad__plugin_free(plugin);
}

/* ---- Tasks ---- */

static void test_tasks(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *exits = id_of("exits/1"), *killed = id_of("killed/1"), *runs = id_of("runs/1"),
		   *fails = id_of("fails/1");
	struct nomad__started handle = { 0 }, other = { 0 };
	struct nomad_error *err = NULL;

	(void)state;
	must_start(plugin, exits, "{\"script\": \"exit 3\"}", &other);
	assert_int_equal(must_wait(plugin, exits, NULL).exit_code, 3);
	nomad__started_done(&other);
	must_start(plugin, killed, "{\"script\": \"kill -9 $$\"}", &other);
	assert_int_equal(must_wait(plugin, killed, NULL).signal, 9);
	nomad__started_done(&other);
	must_start(plugin, runs, "{}", &handle);
	assert_true(start_task(plugin, fails, "{\"fail\": \"made\"}", &other, &err) < 0);
	nomad_error_free(err);
	has(plugin, "nomad_driver_tasks{driver=\"script\",state=\"running\"} 1");
	has(plugin, "nomad_driver_tasks{driver=\"script\",state=\"exited\"} 2");
	has(plugin, "nomad_driver_task_starts_total{driver=\"script\",result=\"started\"} 3");
	has(plugin, "nomad_driver_task_starts_total{driver=\"script\",result=\"failed\"} 1");
	has(plugin, "nomad_driver_task_ends_total{driver=\"script\",kind=\"exit\"} 1");
	has(plugin, "nomad_driver_task_ends_total{driver=\"script\",kind=\"signal\"} 1");
	has(plugin, "nomad_driver_task_ends_total{driver=\"script\",kind=\"lost\"} 0");
	nomad__plugin_free(plugin);

	plugin = plugin_up(&script_driver);
	assert_int_equal(recover_task(plugin, runs, &handle, NULL), 0);
	has(plugin, "nomad_driver_task_recovers_total{driver=\"script\",result=\"recovered\"} 1");
	has(plugin, "nomad_driver_tasks{driver=\"script\",state=\"running\"} 1");
	must_destroy(plugin, runs);
	assert_int_equal(recover_task(plugin, runs, &handle, NULL), -ENOENT);
	has(plugin, "nomad_driver_task_recovers_total{driver=\"script\",result=\"lost\"} 1");
	has(plugin, "nomad_driver_task_ends_total{driver=\"script\",kind=\"signal\"} 1");
	has(plugin, "nomad_driver_tasks{driver=\"script\",state=\"running\"} 0");
	must_destroy(plugin, exits);
	must_destroy(plugin, killed);
	nomad__started_done(&handle);
	nomad__plugin_free(plugin);
}

/* ---- Requests ---- */

static void test_http(void **state)
{
	static const struct {
		const char *request, *status;
	} cases[] = {
		{ "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK" },
		{ "GET /metrics HTTP/1.0\n\n", "200 OK" },
		{ "HEAD /metrics?x=y HTTP/1.1\r\n\r\n", "200 OK" },
		{ "GET / HTTP/1.1\r\n\r\n", "404 Not Found" },
		{ "GET /metrics/ HTTP/1.1\r\n\r\n", "404 Not Found" },
		{ "GET /metric HTTP/1.1\r\n\r\n", "404 Not Found" },
		{ "GET /?/metrics HTTP/1.1\r\n\r\n", "404 Not Found" },
		{ "POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed" },
		{ "GET /metrics HTTP/2.0\r\n\r\n", "400 Bad Request" },
		{ "GET /metrics\r\n\r\n", "400 Bad Request" },
		{ "GET  HTTP/1.1\r\n\r\n", "400 Bad Request" },
		{ "get /metrics HTTP/1.1\r\n\r\n", "400 Bad Request" },
		{ "GET metrics HTTP/1.1\r\n\r\n", "400 Bad Request" },
		{ "\r\n\r\n", "400 Bad Request" },
		{ "\n\n", "400 Bad Request" },
		{ "G\n\n", "400 Bad Request" },
		{ "GET\n\n", "400 Bad Request" },
		{ "GET \n\n", "400 Bad Request" },
		{ "GET / HTTP/1\n\n", "400 Bad Request" },
	};
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	size_t size = 0;

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		NOMAD_AUTO_FREE char *answer =
			nomad__http_answer(plugin, cases[i].request, strlen(cases[i].request), false, &size);
		NOMAD_AUTO_FREE char *begin = nomad_strdupf("HTTP/1.1 %s\r\nContent-Type: ", cases[i].status);

		assert_non_null(answer);
		assert_true(nomad__http_complete(cases[i].request, strlen(cases[i].request)));
		assert_false(nomad__http_complete(cases[i].request, strlen(cases[i].request) - 1));
		if (strncmp(answer, begin, strlen(begin)) != 0)
			fail_msg("%s: %.40s", cases[i].request, answer);
		if (*cases[i].request == 'H')
			assert_memory_equal(answer + size - 4, "\r\n\r\n", 4);
		else if (*cases[i].status == '2')
			assert_memory_equal(answer + size - 7, "\n# EOF\n", 7);
	}
	free(nomad__http_answer(plugin, "\0GET / HTTP/1.1\n\n", 17, false, &size));
	{
		NOMAD_AUTO_FREE char *answer =
			nomad__http_answer(plugin, "GET /metrics HTTP/1.1\r\nx: yyy", 29, true, &size);

		assert_int_equal(strncmp(answer, "HTTP/1.1 431 ", 13), 0);
	}
	nomad__plugin_free(plugin);
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

static char socket_path[128], file_path[128];

static void settled(void *ud)
{
	__atomic_store_n((bool *)ud, true, __ATOMIC_SEQ_CST);
}

static struct nomad_plugin *serving_plugin(void)
{
	NOMAD_AUTO_FREE char *extra = nomad_strdupf(
		"\"metrics\": {\"socket\": \"%s\", \"file\": \"%s\", \"interval\": \"1s\"}", socket_path, file_path);
	struct nomad_plugin *plugin = plugin_with(&script_driver, extra);
	struct nomad_error *err = NULL;
	bool done = false;

	assert_int_equal(nomad__metrics_calls(plugin, rpcs, NOMAD_ARRAY_LEN(rpcs), code_name), 0);
	assert_int_equal(nomad__plugin_init(plugin, &err), 0);
	/* It has tried by now. */
	assert_int_equal(nomad__loop_post(plugin->loop, settled, &done), 0);
	wait_until(__atomic_load_n(&done, __ATOMIC_SEQ_CST));
	return plugin;
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

	assert_true(send(fd, "GET /metrics HTTP/1.1\r\n\r\n", 25, MSG_NOSIGNAL) == 25);
	read_end(fd, answer, sizeof(answer));
	close(fd);
	return strncmp(answer, "HTTP/1.1 200 OK\r\n", 17) == 0 && strstr(answer, "\n# EOF\n");
}

static void set_paths(void)
{
	snprintf(socket_path, sizeof(socket_path), "%s/run/metrics.sock", test_base);
	snprintf(file_path, sizeof(file_path), "%s/metrics.prom", test_base);
}

static void test_socket(void **state)
{
	struct nomad_plugin *plugin;
	struct stat st;

	(void)state;
	set_paths();
	plugin = serving_plugin();
	assert_true(answers());
	assert_int_equal(stat(socket_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	wait_until(access(file_path, F_OK) == 0);
	assert_int_equal(stat(file_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	nomad__plugin_free(plugin);
	assert_int_equal(access(socket_path, F_OK), -1);
	assert_int_equal(access(file_path, F_OK), -1);
	/* Off by default, and where no agent is served. */
	plugin = plugin_up(&script_driver);
	assert_null(plugin->metrics_server);
	nomad__plugin_free(plugin);
}

static void test_many_bytes(void **state)
{
	struct nomad_plugin *plugin;
	char request[10000];
	int fd;

	(void)state;
	set_paths();
	plugin = serving_plugin();
	memset(request, 'x', sizeof(request));
	memcpy(request, "GET /metrics HTTP/1.1\r\nX: ", 26);
	fd = connected();
	for (size_t done = 0; done < sizeof(request);) {
		ssize_t n = send(fd, request + done, sizeof(request) - done, MSG_NOSIGNAL);

		if (n < 0) /* it has been closed already; the answer is there */
			break;
		done += (size_t)n;
	}
	read_end(fd, answer, sizeof(answer));
	assert_int_equal(strncmp(answer, "HTTP/1.1 431 ", 13), 0);
	close(fd);
	/* One who never ends is closed. */
	fd = connected();
	for (int i = 0; i < 10000; i++)
		if (send(fd, request, sizeof(request), MSG_NOSIGNAL) < 0)
			break;
	assert_int_equal(send(fd, request, sizeof(request), MSG_NOSIGNAL), -1);
	close(fd);
	assert_true(answers());
	nomad__plugin_free(plugin);
}

/* Silent clients take all places; others wait for them to be thrown out. */
static void test_silent_clients(void **state)
{
	struct nomad_plugin *plugin;
	int fds[16], before;

	(void)state;
	set_paths();
	plugin = serving_plugin();
	assert_true(answers());
	before = count_entries("/proc/self/fd");
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(fds); i++)
		fds[i] = connected();
	assert_true(send(fds[0], "GET", 3, MSG_NOSIGNAL) == 3);
	assert_true(count_entries("/proc/self/fd") <= before + (int)NOMAD_ARRAY_LEN(fds) + 16);
	assert_true(answers());
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(fds); i++) {
		assert_int_equal(read_end(fds[i], answer, sizeof(answer)), 0);
		close(fds[i]);
	}
	assert_true(answers());
	wait_until(count_entries("/proc/self/fd") <= before);
	nomad__plugin_free(plugin);
}

/* Many at once, half of whom go without a word, and some read nothing of their answer. */
static void test_rude_clients(void **state)
{
	struct nomad_plugin *plugin;
	int idle[4], before;

	(void)state;
	set_paths();
	plugin = serving_plugin();
	assert_true(answers());
	before = count_entries("/proc/self/fd");
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(idle); i++) {
		idle[i] = connected();
		assert_true(send(idle[i], "GET /metrics HTTP/1.1\r\n\r\n", 25, MSG_NOSIGNAL) == 25);
	}
	for (int i = 0; i < 500; i++) {
		int fd = connected();

		if (i % 2)
			(void)!send(fd, "GET /metrics HTTP/1.1\r\n\r\n", (size_t)i % 26, MSG_NOSIGNAL);
		close(fd);
	}
	assert_true(answers());
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(idle); i++)
		close(idle[i]);
	wait_until(count_entries("/proc/self/fd") <= before);
	nomad__plugin_free(plugin);
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
	struct nomad_plugin *plugin, *second;
	struct stat st, after;
	char dir[128];
	int fd;

	(void)state;
	set_paths();
	snprintf(dir, sizeof(dir), "%s/run", test_base);
	assert_int_equal(mkdir(dir, 0755), 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(address.sun_path, socket_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	plugin = serving_plugin();
	assert_true(answers());
	assert_int_equal(stat(socket_path, &st), 0);
	second = serving_plugin();
	assert_int_equal(stat(socket_path, &after), 0);
	assert_int_equal(st.st_ino, after.st_ino);
	assert_true(answers());
	/* The second gets it when the first has gone, or somebody has removed it. */
	nomad__plugin_free(plugin);
	wait_until(listens());
	assert_int_equal(unlink(socket_path), 0);
	wait_until(listens());
	nomad__plugin_free(second);

	/* A file and a symlink stay as they are. */
	fd = open(socket_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "mine", 4), 4);
	close(fd);
	assert_int_equal(symlink(socket_path, file_path), 0);
	plugin = serving_plugin();
	assert_false(listens());
	nomad__plugin_free(plugin);
	assert_int_equal(lstat(file_path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(lstat(socket_path, &st), 0);
	assert_true(S_ISREG(st.st_mode) && st.st_size == 4);
	assert_int_equal(unlink(socket_path), 0);
	assert_int_equal(symlink("/nonexistent", socket_path), 0);
	plugin = serving_plugin();
	nomad__plugin_free(plugin);
	assert_int_equal(lstat(socket_path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));

	/* A directory where others could put another socket in its place. */
	assert_int_equal(unlink(socket_path), 0);
	assert_int_equal(chmod(dir, 0777), 0);
	plugin = serving_plugin();
	assert_false(listens());
	nomad__plugin_free(plugin);
}

/* ---- The file ---- */

static void test_file(void **state)
{
	struct nomad_error *err = NULL;
	struct stat st, first;
	char path[128], beside[136], text[16];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/m.prom", test_base);
	snprintf(beside, sizeof(beside), "%s.new", path);
	assert_int_equal(nomad__metrics_write(path, "longer\n", 7, &first, &err), 0);
	assert_int_equal(nomad__metrics_write(path, "short\n", 6, &st, &err), 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof(text)), 6);
	close(fd);
	assert_int_equal(access(beside, F_OK), -1);
	nomad__metrics_remove(path, &first); /* it is another one by now */
	assert_int_equal(access(path, F_OK), 0);
	nomad__metrics_remove(path, &st);
	assert_int_equal(access(path, F_OK), -1);

	/* What a death on the way has left is used again; nobody else's is. */
	fd = open(beside, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "half of something", 17), 17);
	close(fd);
	assert_int_equal(nomad__metrics_write(path, "whole\n", 6, &st, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 6);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(symlink(path, beside), 0);
	assert_true(nomad__metrics_write(path, "bad\n", 4, &st, &err) < 0);
	nomad_error_free(NOMAD_TAKE_PTR(err));
	assert_int_equal(unlink(beside), 0);
	assert_int_equal(link(path, beside), 0);
	assert_int_equal(nomad__metrics_write(path, "bad\n", 4, &st, &err), -EEXIST);
	nomad_error_free(NOMAD_TAKE_PTR(err));
	assert_int_equal(unlink(beside), 0);
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
#define IN_PLACE(f) cmocka_unit_test_setup_teardown(f, place_set_up, place_tear_down)
		IN_PLACE(test_calls),
		IN_PLACE(test_own),
		IN_PLACE(test_tasks),
		IN_PLACE(test_http),
		IN_PLACE(test_socket),
		IN_PLACE(test_many_bytes),
		IN_PLACE(test_silent_clients),
		IN_PLACE(test_rude_clients),
		IN_PLACE(test_taken),
		IN_PLACE(test_file),
	};

	return cmocka_run_group_tests_name("core/metrics", tests, NULL, NULL);
}
