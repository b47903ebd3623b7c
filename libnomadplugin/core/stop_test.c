/* SPDX-License-Identifier: MPL-2.0
 *
 * Stop, destroy, and the end of the plugin. */
#include "core/testing.h"

static void test_stop_late(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");
	NOMAD_AUTO_FREE char *up = nomad_strdupf("%s/up", test_base);
	struct answer a[3] = { ANSWER_INIT, ANSWER_INIT, ANSWER_INIT };

	(void)state;
	must_start(plugin, id, "{\"script\": \"trap '' TERM INT; echo > $BASE/up; while :; do sleep 0.1; done\"}",
		   NULL);
	wait_until(access(up, F_OK) == 0);
	/* Several callers at a time: all get an answer. */
	assert_int_equal(nomad__task_stop(plugin, id, INT64_MAX, "INT", on_stop, &a[0], NULL), 0);
	assert_int_equal(nomad__task_stop(plugin, id, INT64_C(3600000000000), "", on_stop, &a[1], NULL), 0);
	assert_int_equal(nomad__task_stop(plugin, id, 200000000, "SIGTERM", on_stop, &a[2], NULL), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(answer_of(&a[i]), 0);
	assert_int_equal(must_wait(plugin, id, NULL).signal, SIGKILL);
	/* Nothing of a stop outlives the task, however long its time was. */
	{
		struct nomad_task *task = nomad__task_find(plugin, id);

		wait_until(__atomic_load_n(&task->refs, __ATOMIC_SEQ_CST) == 2);
		nomad__task_unref(task);
	}
	must_destroy(plugin, id);
	nomad__plugin_free(plugin);
}

/* The plugin ends during stops, execs and waits: the callers get an answer, the task continues. */
static void test_free_busy(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");
	NOMAD_AUTO_FREE char *up = nomad_strdupf("%s/up", test_base);
	const char *const argv[] = { "/bin/sleep", "1000", NULL };
	struct answer stop = ANSWER_INIT, exec = ANSWER_INIT, wait = ANSWER_INIT;
	struct nomad__started handle;
	struct nomad__sub *sub;
	int pid;

	(void)state;
	must_start(plugin, id, "{\"script\": \"trap '' TERM; echo > $BASE/up; while :; do sleep 0.1; done\"}", &handle);
	wait_until(access(up, F_OK) == 0);
	pid = pid_of(plugin, id);
	assert_int_equal(nomad__task_wait(plugin, id, on_wait, &wait, &sub, NULL), 0);
	assert_int_equal(nomad__task_exec(plugin, id, argv, 0, on_exec, &exec, NULL), 0);
	assert_int_equal(nomad__task_stop(plugin, id, INT64_C(3600000000000), "", on_stop, &stop, NULL), 0);
	nomad__sub_cancel(sub);
	nomad__plugin_free(plugin);
	assert_int_equal(answer_of(&stop), -ECANCELED);
	assert_int_equal(exec.calls, 1);
	assert_true(exec.r < 0);
	assert_int_equal(wait.calls, 0);
	assert_true(lives(pid));
	plugin = plugin_up(&script_driver);
	assert_int_equal(recover_task(plugin, id, &handle, NULL), 0);
	must_destroy(plugin, id);
	assert_false(lives(pid));
	nomad__started_done(&handle);
	nomad__plugin_free(plugin);
}

static void test_shutdown(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	struct nomad__started started;

	(void)state;
	must_start(plugin, id_of("a/1"), "{}", NULL);
	nomad__plugin_shutdown(plugin);
	assert_int_equal(start_task(plugin, id_of("b/1"), "{}", &started, NULL), -ESHUTDOWN);
	assert_true(lives(pid_of(plugin, id_of("a/1"))));
	must_destroy(plugin, id_of("a/1"));
	nomad__plugin_free(plugin);
}

static void test_destroy(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");
	struct nomad_error *err = NULL;
	struct nomad__inspect inspect;
	struct answer a = ANSWER_INIT;
	struct nomad__sub *sub;
	int pid;

	(void)state;
	must_start(plugin, id, "{}", NULL);
	pid = pid_of(plugin, id);
	assert_int_equal(nomad__task_destroy(plugin, id, false, NULL), -EBUSY);
	assert_true(lives(pid));
	assert_int_equal(nomad__task_wait(plugin, id, on_wait, &a, &sub, NULL), 0);
	destroy_stuck = true;
	assert_int_equal(nomad__task_destroy(plugin, id, true, &err), -EBUSY);
	assert_non_null(strstr(nomad_error_message(err), "told to be stuck"));
	nomad_error_free(err);
	assert_int_equal(answer_of(&a), 0);
	assert_int_equal(a.exit.signal, SIGKILL);
	nomad__sub_cancel(sub);
	assert_false(lives(pid));
	assert_int_equal(count_in("state/tasks"), 1);
	assert_int_equal(nomad__task_inspect(plugin, id, &inspect, NULL), 0);
	nomad__inspect_done(&inspect);
	destroy_stuck = false;
	must_destroy(plugin, id);
	nothing_left();
	/* The same for one that this process does not know: it stays unknown. */
	must_start(plugin, id, "{}", NULL);
	pid = pid_of(plugin, id);
	nomad__plugin_free(plugin);
	plugin = plugin_up(&script_driver);
	destroy_stuck = true;
	assert_int_equal(nomad__task_destroy(plugin, id, true, NULL), -EBUSY);
	assert_false(lives(pid));
	assert_int_equal(nomad__task_inspect(plugin, id, &inspect, NULL), -ENOENT);
	assert_int_equal(count_in("state/tasks"), 1);
	destroy_stuck = false;
	must_destroy(plugin, id);
	nomad__plugin_free(plugin);
}

/* A journal that cannot be read does not hide what runs. */
static void test_destroy_damaged(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");
	NOMAD_AUTO_FREE char *slug = nomad__slug(id);
	NOMAD_AUTO_FREE char *journal = nomad_strdupf("%s/state/tasks/%s/task", test_base, slug);
	int pid;

	(void)state;
	for (int i = 0; i < 3; i++) {
		must_start(plugin, id, "{}", NULL);
		pid = pid_of(plugin, id);
		nomad__plugin_free(plugin);
		if (i == 0)
			assert_int_equal(truncate(journal, NOMAD__JOURNAL_MAX_SIZE + 1), 0);
		else if (i == 1)
			assert_int_equal(truncate(journal, 3), 0);
		else
			assert_int_equal(unlink(journal), 0);
		plugin = plugin_up(&script_driver);
		must_destroy(plugin, id);
		assert_false(lives(pid));
		nothing_left();
	}
	nomad__plugin_free(plugin);
}

static void test_remote(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&remote_driver);
	const char *id = id_of("vm/1");
	const struct nomad_exit end = { .exit_code = 3 }, other = { .exit_code = 4 };
	struct nomad__started handle;

	(void)state;
	must_start(plugin, id, "{\"remote\": true}", &handle);
	assert_int_equal(nomad__task_signal(plugin, id, "USR2", NULL), 0);
	nomad__plugin_free(plugin);
	plugin = plugin_up(&remote_driver);
	assert_int_equal(recover_task(plugin, id, &handle, NULL), 0);
	assert_int_equal(nomad_task_exited_by_id(plugin, id, &end), 0);
	assert_int_equal(nomad_task_exited_by_id(plugin, id, &other), 0);
	assert_int_equal(must_wait(plugin, id, NULL).exit_code, 3); /* the first report counts */
	must_destroy(plugin, id);
	assert_int_equal(recover_task(plugin, id, &handle, NULL), -ENOENT);
	nomad__started_done(&handle);

	must_start(plugin, id, "{\"remote\": true}", NULL);
	assert_int_equal(stop_task(plugin, id, INT64_C(60000000000), "INT"), 0);
	assert_int_equal(stop_timeout_ms, 60000);
	assert_int_equal(must_wait(plugin, id, NULL).signal, SIGINT);
	must_destroy(plugin, id);

	must_start(plugin, id, "{\"remote\": true, \"script\": \"deaf\"}", NULL);
	assert_int_equal(stop_task(plugin, id, 50000001, ""), 0); /* killed after that */
	assert_int_equal(stop_timeout_ms, 51);			  /* never sooner than asked */
	assert_int_equal(must_wait(plugin, id, NULL).signal, SIGKILL);
	must_destroy(plugin, id);

	must_start(plugin, id, "{\"remote\": true, \"script\": \"refuse\"}", NULL);
	assert_int_equal(stop_task(plugin, id, 50000000, ""), -EIO);
	must_destroy(plugin, id); /* kills */
	nomad__plugin_free(plugin);
}

static int supervisor_of(struct nomad_plugin *plugin, const char *id)
{
	struct nomad_task *task = nomad__task_find(plugin, id);
	int pid;

	pthread_mutex_lock(&task->progress->lock);
	pid = nomad__supervisor_pid(task->progress->supervisor);
	pthread_mutex_unlock(&task->progress->lock);
	nomad__task_unref(task);
	return pid;
}

/* The supervisor is stopped: no call waits for it for ever, and the task can be ended. */
static void test_supervisor_silent(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	struct nomad__sub *sub = nomad__events_subscribe(plugin, hear_event, NULL);
	const char *id = id_of("web/1");
	struct nomad_error *err = NULL;
	struct answer exec, wait = ANSWER_INIT;
	struct nomad__sub *wait_sub;
	int pid;

	(void)state;
	must_start(plugin, id, "{}", NULL);
	pid = pid_of(plugin, id);
	assert_int_equal(nomad__task_wait(plugin, id, on_wait, &wait, &wait_sub, NULL), 0);
	assert_int_equal(kill(supervisor_of(plugin, id), SIGSTOP), 0);
	assert_int_equal(exec_task(plugin, id, "true", 0, &exec), -ETIMEDOUT);
	assert_non_null(strstr(exec.text, "does not answer"));
	assert_int_equal(nomad__task_signal(plugin, id, "USR1", &err), -ETIMEDOUT);
	assert_non_null(strstr(nomad_error_message(err), "does not answer"));
	nomad_error_free(err);
	assert_true(lives(pid));
	assert_int_equal(stop_task(plugin, id, 100000000, "TERM"), 0);
	assert_false(lives(pid));
	assert_int_equal(answer_of(&wait), 0);
	assert_int_equal(wait.exit.signal, SIGKILL);
	wait_until(was_heard("does not answer"));
	must_destroy(plugin, id);
	nothing_left();
	nomad__sub_cancel(wait_sub);

	/* DestroyTask alone. */
	must_start(plugin, id, "{}", NULL);
	pid = pid_of(plugin, id);
	assert_int_equal(kill(supervisor_of(plugin, id), SIGSTOP), 0);
	must_destroy(plugin, id);
	assert_false(lives(pid));
	nomad__sub_cancel(sub);
	nomad__plugin_free(plugin);
}

/* Rounded up: rounding down could leave no time at all. */
static void test_stop_timeout(void **state)
{
	static const struct {
		int64_t ns;
		unsigned ms;
	} cases[] = { { -1, 0 }, { 0, 0 }, { 1, 1 }, { 999999, 1 }, { 1000001, 2 }, { INT64_MAX, UINT_MAX } };
	struct nomad_plugin *plugin = plugin_up(&remote_driver);

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		must_start(plugin, id_of("vm/1"), "{\"remote\": true}", NULL);
		assert_int_equal(stop_task(plugin, id_of("vm/1"), cases[i].ns, "INT"), 0);
		assert_int_equal(stop_timeout_ms, cases[i].ms);
		must_destroy(plugin, id_of("vm/1"));
	}
	nomad__plugin_free(plugin);
}

MAIN("stop", T(test_stop_late), T(test_free_busy), T(test_shutdown), T(test_destroy), T(test_destroy_damaged),
     T(test_remote), T(test_stop_timeout), T(test_supervisor_silent))
