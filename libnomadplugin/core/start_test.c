/* SPDX-License-Identifier: MPL-2.0
 *
 * Starts, replays of starts, and everything at once. */
#include "core/testing.h"

static void test_life(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");
	struct nomad__inspect inspect;
	struct nomad__started started;
	struct answer early = ANSWER_INIT;
	struct nomad__sub *sub;
	struct nomad_exit end;
	int pid;

	(void)state;
	must_start(plugin, id, "{}", &started);
	assert_false(started.has_network);
	nomad__started_done(&started);
	assert_int_equal(nomad__task_inspect(plugin, id, &inspect, NULL), 0);
	assert_int_equal(inspect.state, NOMAD__TASK_RUNNING);
	assert_string_equal(inspect.id, id);
	assert_string_equal(inspect.name, "web");
	assert_true(inspect.started_ns > 0);
	assert_int_equal(inspect.completed_ns, 0);
	assert_non_null(nomad_map_get(&inspect.attributes, "supervisor_pid"));
	nomad__inspect_done(&inspect);
	pid = pid_of(plugin, id);
	assert_true(lives(pid));
	assert_int_equal(nomad__task_wait(plugin, id, on_wait, &early, &sub, NULL), 0);
	assert_int_equal(early.calls, 0);
	assert_int_equal(stop_task(plugin, id, INT64_C(60000000000), ""), 0);
	assert_int_equal(answer_of(&early), 0);
	nomad__sub_cancel(sub);
	assert_int_equal(early.exit.signal, SIGTERM);
	assert_int_equal(early.exit.exit_code, 128 + SIGTERM);
	/* As often as anybody asks. */
	for (int i = 0; i < 3; i++) {
		end = must_wait(plugin, id, NULL);
		assert_int_equal(end.signal, SIGTERM);
	}
	assert_int_equal(stop_task(plugin, id, 0, "SIGKILL"), 0);
	assert_int_equal(nomad__task_inspect(plugin, id, &inspect, NULL), 0);
	assert_int_equal(inspect.state, NOMAD__TASK_EXITED);
	assert_int_equal(inspect.result.signal, SIGTERM);
	assert_true(inspect.completed_ns >= inspect.started_ns);
	nomad__inspect_done(&inspect);
	assert_int_equal(nomad__task_signal(plugin, id, "HUP", NULL), -ESRCH);
	assert_false(lives(pid));
	must_destroy(plugin, id);
	assert_int_equal(destroy_calls, 1);
	nothing_left();
	nomad__plugin_free(plugin);
	assert_int_equal(fini_calls, 1);
}

static void test_exit_codes(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	struct nomad_exit end;

	(void)state;
	must_start(plugin, id_of("a/1"), "{\"script\": \"exit 7\"}", NULL);
	must_start(plugin, id_of("b/1"), "{\"script\": \"kill -USR1 $$\"}", NULL);
	must_start(plugin, id_of("c/1"), "{\"script\": \"true\"}", NULL);
	end = must_wait(plugin, id_of("a/1"), NULL);
	assert_int_equal(end.exit_code, 7);
	assert_int_equal(end.signal, 0);
	end = must_wait(plugin, id_of("b/1"), NULL);
	assert_int_equal(end.signal, SIGUSR1);
	end = must_wait(plugin, id_of("c/1"), NULL);
	assert_int_equal(end.exit_code, 0);
	for (const char *const *p = (const char *const[]){ "a/1", "b/1", "c/1", NULL }; *p; p++)
		must_destroy(plugin, id_of(*p));
	nomad__plugin_free(plugin);
}

static void test_unknown(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	struct nomad__inspect inspect;
	struct nomad__sub *sub = NULL;
	struct nomad_error *err = NULL;
	struct answer a = ANSWER_INIT;
	const struct nomad_exit end = { 0 };

	(void)state;
	assert_int_equal(nomad__task_wait(plugin, "no/such/task", on_wait, &a, &sub, &err), -ENOENT);
	assert_string_equal(nomad_error_message(err), "task not found for given id 'no/such/task'");
	nomad_error_free(err);
	assert_null(sub);
	assert_int_equal(stop_task(plugin, "no/such/task", 0, ""), 0);
	assert_int_equal(stop_task(plugin, "no/such/task", 0, "NOPE"), -EINVAL);
	assert_int_equal(nomad__task_signal(plugin, "no/such/task", "HUP", NULL), -ENOENT);
	assert_int_equal(nomad__task_signal(plugin, "no/such/task", "NOPE", NULL), -EINVAL);
	assert_int_equal(nomad__task_inspect(plugin, "no/such/task", &inspect, NULL), -ENOENT);
	assert_int_equal(nomad__stats_subscribe(plugin, "no/such/task", 1, NULL, NULL, &sub, NULL), -ENOENT);
	assert_int_equal(exec_task(plugin, "no/such/task", "true", 0, &a), -ENOENT);
	assert_int_equal(nomad_task_exited_by_id(plugin, "no/such/task", &end), -ENOENT);
	must_destroy(plugin, "no/such/task");
	must_destroy(plugin, "x");
	must_destroy(plugin, "../../../etc");
	assert_true(nomad__task_destroy(plugin, "", true, NULL) < 0);
	nomad__plugin_free(plugin);
}

static void fails(struct nomad_plugin *plugin, const char *config, const char *said)
{
	struct nomad__started started;
	struct nomad_error *err = NULL;
	struct nomad__inspect inspect;

	assert_true(start_task(plugin, id_of("web/1"), config, &started, &err) < 0);
	if (!strstr(nomad_error_message(err), said))
		fail_msg("'%s' does not say '%s'", nomad_error_message(err), said);
	nomad_error_free(err);
	nothing_left();
	assert_int_equal(nomad__task_inspect(plugin, id_of("web/1"), &inspect, NULL), -ENOENT);
}

/* A start that fails leaves nothing, and the same id can be started then. */
static void test_failed_starts(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	struct nomad_task_info info = { .id = strdup("a/b/c"), .name = strdup("..") };
	struct nomad__started started;

	(void)state;
	fails(plugin, "{\"fail\": \"early\"}", "early");
	fails(plugin, "{\"fail\": \"made\"}", "thing made");
	fails(plugin, "{\"fail\": \"late\"}", "told to fail late");
	assert_int_equal(nomad__task_start(plugin, NULL, &info, "\x81\xa3xyz\x01", 6, &started, NULL), -EINVAL);
	info = info_of(id_of("web/1"));
	assert_int_equal(nomad__task_start(plugin, NULL, &info, "\x81\xa3xyz\x01", 6, &started, NULL), -EINVAL);
	info = (struct nomad_task_info){ 0 };
	assert_int_equal(nomad__task_start(plugin, NULL, &info, NULL, 0, &started, NULL), -EINVAL);
	must_start(plugin, id_of("web/1"), "{}", NULL);
	must_destroy(plugin, id_of("web/1"));
	nomad__plugin_free(plugin);
}

static void test_replay(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");
	struct nomad__started one, two, three;
	int64_t port;
	int pid;

	(void)state;
	must_start(plugin, id, "{\"network\": true}", &one);
	pid = pid_of(plugin, id);
	must_start(plugin, id, "{\"network\": true}", &two);
	assert_int_equal(pid_of(plugin, id), pid);
	assert_int_equal(one.driver_state_size, two.driver_state_size);
	assert_memory_equal(one.driver_state, two.driver_state, one.driver_state_size);
	nomad__plugin_free(plugin);
	/* By another process: adopted, with the network it had. */
	plugin = plugin_up(&script_driver);
	must_start(plugin, id, "{\"network\": true}", &three);
	assert_int_equal(pid_of(plugin, id), pid);
	assert_true(three.has_network && three.auto_advertise);
	assert_string_equal(three.addr, "10.1.2.3");
	assert_true(nomad_int_map_get(&three.port_map, "http", &port));
	assert_int_equal(port, 8080);
	assert_int_equal(destroy_calls, 0);
	nomad__started_done(&one);
	nomad__started_done(&two);
	nomad__started_done(&three);
	assert_int_equal(stop_task(plugin, id, INT64_C(60000000000), "INT"), 0);
	must_destroy(plugin, id);
	nomad__plugin_free(plugin);
}

/* A task that ran and ended is adopted as well: its end is reported, it does not run again. */
static void test_replay_of_ended(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");
	NOMAD_AUTO_FREE char *ran = nomad_strdupf("%s/ran", test_base);

	(void)state;
	must_start(plugin, id, "{\"script\": \"echo x >> $BASE/ran; exit 9\"}", NULL);
	assert_int_equal(must_wait(plugin, id, NULL).exit_code, 9);
	nomad__plugin_free(plugin);
	plugin = plugin_up(&script_driver);
	must_start(plugin, id, "{\"script\": \"echo x >> $BASE/ran; exit 9\"}", NULL);
	assert_int_equal(must_wait(plugin, id, NULL).exit_code, 9);
	must_destroy(plugin, id);
	nomad__plugin_free(plugin);
	assert_int_equal(access(ran, F_OK), 0);
	{
		struct stat st;

		assert_int_equal(stat(ran, &st), 0);
		assert_int_equal(st.st_size, 2);
	}
}

/* A task that cannot be taken over is ended, and started again: with its own end. */
static void test_replay_not_adoptable(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");
	int pid;

	(void)state;
	must_start(plugin, id, "{\"script\": \"exit 4\"}", NULL);
	assert_int_equal(must_wait(plugin, id, NULL).exit_code, 4);
	nomad__plugin_free(plugin);
	plugin = plugin_up(&script_driver);
	must_start(plugin, id, "{\"fail\": \"recover\"}", NULL);
	pid = pid_of(plugin, id);
	assert_true(lives(pid));
	nomad__plugin_free(plugin);
	plugin = plugin_up(&script_driver);
	must_start(plugin, id, "{\"fail\": \"recover\"}", NULL);
	assert_int_not_equal(pid_of(plugin, id), pid);
	assert_false(lives(pid));
	assert_int_equal(destroy_calls, 2);
	assert_int_equal(stop_task(plugin, id, INT64_C(60000000000), "INT"), 0);
	assert_int_equal(must_wait(plugin, id, NULL).signal, SIGINT);
	must_destroy(plugin, id);
	nomad__plugin_free(plugin);
}

static void test_claims(void **state)
{
	struct nomad_plugin *one = plugin_up(&script_driver), *two = plugin_up(&script_driver);
	const char *id = id_of("web/1");
	struct nomad__started handle, started;
	struct nomad_error *err = NULL;
	int pid;

	(void)state;
	must_start(one, id, "{}", &handle);
	pid = pid_of(one, id);
	/* A second one would be a second instance. */
	assert_int_equal(start_task(two, id, "{}", &started, &err), -EBUSY);
	assert_non_null(strstr(nomad_error_message(err), "another running instance"));
	nomad_error_free(err);
	assert_true(lives(pid));
	assert_int_equal(destroy_calls, 0);
	/* To watch it does no harm. */
	assert_int_equal(recover_task(two, id, &handle, NULL), 0);
	assert_int_equal(stop_task(two, id, INT64_C(60000000000), ""), 0);
	assert_int_equal(must_wait(one, id, NULL).signal, SIGTERM);
	must_destroy(two, id);
	must_destroy(one, id);
	nomad__started_done(&handle);
	nomad__plugin_free(one);
	nomad__plugin_free(two);
}

enum { STORM_TASKS = 3, STORM_THREADS = 8 };

static int storm_over;

static struct nomad_plugin *storm_plugin;

static void on_stats(void *ud, const struct nomad__stats_view *view)
{
	(void)ud;
	(void)view;
}

static void *storm(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	struct nomad_plugin *plugin = storm_plugin;
	const char *const argv[] = { "/bin/true", NULL };

	while (!__atomic_load_n(&storm_over, __ATOMIC_SEQ_CST)) {
		struct nomad__started started = { 0 };
		struct nomad__inspect inspect;
		struct nomad__sub *sub = NULL;
		struct answer a = ANSWER_INIT;
		char tail[32];
		const char *id;

		snprintf(tail, sizeof(tail), "web%d/1", rand_r(&seed) % STORM_TASKS);
		id = id_of(tail);
		switch (rand_r(&seed) % 8) {
		case 0:
		case 1:
			if (start_task(plugin, id, rand_r(&seed) % 2 ? "{}" : "{\"script\": \"sleep 0.05\"}", &started,
				       NULL) == 0)
				nomad__started_done(&started);
			break;
		case 2:
			must_destroy(plugin, id);
			break;
		case 3:
			assert_int_equal(nomad__task_stop(plugin, id, 30000000, rand_r(&seed) % 2 ? "" : "KILL",
							  on_stop, &a, NULL),
					 0);
			if (answer_of(&a) < 0)
				fail_msg("stop: %s", a.text);
			break;
		case 4:
			if (nomad__task_wait(plugin, id, on_wait, &a, &sub, NULL) == 0) {
				(void)usleep(2000);
				nomad__sub_cancel(sub);
			}
			break;
		case 5:
			if (nomad__task_exec(plugin, id, argv, 1000000000, on_exec, &a, NULL) == 0)
				(void)answer_of(&a);
			break;
		case 6:
			if (nomad__task_inspect(plugin, id, &inspect, NULL) == 0)
				nomad__inspect_done(&inspect);
			(void)nomad__task_signal(plugin, id, "CONT", NULL);
			break;
		default:
			if (nomad__stats_subscribe(plugin, id, 1, on_stats, NULL, &sub, NULL) == 0) {
				(void)usleep(1000);
				nomad__sub_cancel(sub);
			}
		}
	}
	return NULL;
}

static void test_storm(void **state)
{
	struct nomad_plugin *plugin = storm_plugin = plugin_up(&script_driver);
	pthread_t threads[STORM_THREADS];

	(void)state;
	storm_over = 0;
	for (uintptr_t i = 0; i < STORM_THREADS; i++)
		pthread_create(&threads[i], NULL, storm, (void *)(i + 1));
	sleep(getenv("STORM_SECONDS") ? (unsigned)atoi(getenv("STORM_SECONDS")) : 5);
	__atomic_store_n(&storm_over, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < STORM_THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < STORM_TASKS; i++) {
		char tail[32];

		snprintf(tail, sizeof(tail), "web%d/1", i);
		must_destroy(plugin, id_of(tail));
	}
	nomad__plugin_free(plugin);
}

/* Of a driver whose tasks all run elsewhere, nothing reads it after the start. */
static void test_environment(void **state)
{
	struct nomad_driver driver = remote_driver;

	(void)state;
	for (int all = 0; all < 2; all++) {
		struct nomad_plugin *plugin = plugin_up(&driver);
		struct nomad_task *task;

		must_start(plugin, id_of("web/1"), "{\"remote\": true}", NULL);
		task = nomad__task_find(plugin, id_of("web/1"));
		assert_non_null(task);
		assert_int_equal(task->info.env.count > 0, !all);
		nomad__task_unref(task);
		must_destroy(plugin, id_of("web/1"));
		nomad__plugin_free(plugin);
		driver.capabilities |= NOMAD_ALL_REMOTE;
	}
}

MAIN("start", T(test_life), T(test_exit_codes), T(test_unknown), T(test_failed_starts), T(test_replay),
     T(test_replay_of_ended), T(test_replay_not_adoptable), T(test_claims), T(test_environment), T(test_storm))
