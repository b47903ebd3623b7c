/* SPDX-License-Identifier: MPL-2.0
 *
 * The whole core with a small driver and the real supervisor. */
#include "core/testing.h"

#include "core/handle.h"

static int pid_of(struct nomad_plugin *plugin, const char *id)
{
	struct nomad__inspect inspect;
	const char *pid;
	int n;

	assert_int_equal(nomad__task_inspect(plugin, id, &inspect, NULL), 0);
	pid = nomad_map_get(&inspect.attributes, "pid");
	n = pid ? atoi(pid) : 0;
	nomad__inspect_done(&inspect);
	return n;
}

static bool lives(int pid)
{
	char path[64], text[256] = "";
	FILE *f;
	bool alive;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	alive = fgets(text, sizeof(text), f) && strrchr(text, ')') && strrchr(text, ')')[2] != 'Z';
	fclose(f);
	return alive;
}

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
	assert_int_equal(nomad__task_start(plugin, &info, "\x81\xa3xyz\x01", 6, &started, NULL), -EINVAL);
	info = info_of(id_of("web/1"));
	assert_int_equal(nomad__task_start(plugin, &info, "\x81\xa3xyz\x01", 6, &started, NULL), -EINVAL);
	info = (struct nomad_task_info){ 0 };
	assert_int_equal(nomad__task_start(plugin, &info, NULL, 0, &started, NULL), -EINVAL);
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

/* What ran and ended is adopted as well: its end is told, it does not run again. */
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

/* What cannot be taken over is ended, and started anew: with an end of its own. */
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

static void test_recover(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1"), *other = id_of("job/2");
	struct nomad__started handle, ended;
	struct answer a;
	int64_t begin;
	int pid;

	(void)state;
	must_start(plugin, id, "{}", &handle);
	must_start(plugin, other, "{\"script\": \"read x < $BASE/gate; exit 5\"}", &ended);
	pid = pid_of(plugin, id);
	nomad__plugin_free(plugin);
	/* One of them ends while nobody is there. */
	{
		NOMAD_AUTO_FREE char *gate = nomad_strdupf("%s/gate", test_base);

		FILE *f = fopen(gate, "we");

		fputs("x\n", f);
		fclose(f);
	}
	plugin = plugin_up(&script_driver);
	begin = nomad_monotonic_ns();
	assert_int_equal(recover_task(plugin, id, &handle, NULL), 0);
	assert_true(nomad_monotonic_ns() - begin < INT64_C(10000000000));
	assert_int_equal(recover_task(plugin, id, &handle, NULL), 0);
	assert_int_equal(pid_of(plugin, id), pid);
	assert_int_equal(exec_task(plugin, id, "echo $BASE", 0, &a), 0);
	assert_int_equal(a.exit.exit_code, 0);
	assert_memory_equal(a.out, test_base, strlen(test_base));
	(void)other;
	assert_int_equal(nomad__task_signal(plugin, id, "KILL", NULL), 0);
	assert_int_equal(must_wait(plugin, id, NULL).signal, SIGKILL);
	must_destroy(plugin, id);
	must_destroy(plugin, other); /* that this process never saw */
	nomad__started_done(&handle);
	nomad__started_done(&ended);
	nomad__plugin_free(plugin);
}

static void test_end_while_down(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("job/2");
	NOMAD_AUTO_FREE char *gate = nomad_strdupf("%s/gate", test_base);
	struct nomad__inspect inspect;
	struct nomad__started handle;
	int pid, fd;

	(void)state;
	assert_int_equal(mkfifo(gate, 0600), 0);
	must_start(plugin, id, "{\"script\": \"read x < $BASE/gate; exit 5\"}", &handle);
	pid = pid_of(plugin, id);
	nomad__plugin_free(plugin);
	fd = open(gate, O_RDWR | O_CLOEXEC);
	assert_int_equal(write(fd, "\n", 1), 1);
	wait_until(!lives(pid));
	close(fd);
	plugin = plugin_up(&script_driver);
	assert_int_equal(recover_task(plugin, id, &handle, NULL), 0);
	assert_int_equal(must_wait(plugin, id, NULL).exit_code, 5);
	assert_int_equal(nomad__task_inspect(plugin, id, &inspect, NULL), 0);
	assert_true(inspect.started_ns && inspect.completed_ns >= inspect.started_ns);
	nomad__inspect_done(&inspect);
	must_destroy(plugin, id);
	nomad__started_done(&handle);
	nomad__plugin_free(plugin);
}

static void not_recovered(struct nomad_plugin *plugin, const char *id, const struct nomad__handle *handle, int errnum,
			  const char *said)
{
	struct nomad__started bytes = { 0 };
	struct nomad_error *err = NULL;
	struct nomad__inspect inspect;
	int64_t begin = nomad_monotonic_ns();

	assert_int_equal(nomad__handle_encode(handle, &bytes.driver_state, &bytes.driver_state_size, NULL), 0);
	assert_int_equal(recover_task(plugin, id, &bytes, &err), -errnum);
	assert_true(nomad_monotonic_ns() - begin < INT64_C(10000000000));
	if (!strstr(nomad_error_message(err), said))
		fail_msg("'%s' does not say '%s'", nomad_error_message(err), said);
	assert_int_equal(nomad__task_inspect(plugin, id, &inspect, NULL), -ENOENT);
	nomad_error_free(err);
	nomad__started_done(&bytes);
}

static void test_not_recovered(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");
	struct nomad__started started, junk = { .driver_state = (void *)"\xc1", .driver_state_size = 1 };
	struct nomad__handle good, handle;
	struct nomad__inspect inspect;
	int pid, supervisor;

	(void)state;
	must_start(plugin, id, "{}", &started);
	assert_int_equal(nomad__task_inspect(plugin, id, &inspect, NULL), 0);
	supervisor = atoi(nomad_map_get(&inspect.attributes, "supervisor_pid"));
	nomad__inspect_done(&inspect);
	pid = pid_of(plugin, id);
	assert_int_equal(nomad__handle_decode(started.driver_state, started.driver_state_size, &good, NULL), 0);
	nomad__plugin_free(plugin);
	plugin = plugin_up(&script_driver);
	assert_int_equal(recover_task(plugin, id, &junk, NULL), -EINVAL);
	handle = good;
	handle.driver = (char *)"pot";
	not_recovered(plugin, id, &handle, EINVAL, "'pot'");
	handle = good;
	handle.boot_id = (char *)"another";
	not_recovered(plugin, id, &handle, ENOENT, "restarted");
	handle = good;
	handle.version = 99;
	not_recovered(plugin, id, &handle, EINVAL, "99");
	/* Of a task that there is not; a directory that is none of ours is not looked at. */
	handle = good;
	handle.state_dir = (char *)"/etc";
	not_recovered(plugin, id_of("other/1"), &handle, ENOENT, "lost");
	assert_true(lives(pid));
	/* The supervisor killed: lost, and what is left is removed. */
	assert_int_equal(kill(supervisor, SIGKILL), 0);
	wait_until(kill(supervisor, 0) < 0); /* a zombie is there as well */
	not_recovered(plugin, id, &good, ENOENT, "lost");
	must_destroy(plugin, id);
	assert_false(lives(pid));
	nothing_left();
	not_recovered(plugin, id, &good, ENOENT, "lost");
	nomad__handle_done(&good);
	nomad__started_done(&started);
	nomad__plugin_free(plugin);
}

/* The state directory's option was changed between two plugins. */
static void test_moved_state_dir(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");
	struct nomad__started started;
	int pid;

	(void)state;
	must_start(plugin, id, "{}", &started);
	pid = pid_of(plugin, id);
	nomad__plugin_free(plugin);
	plugin = plugin_up(&script_driver);
	configure(plugin, "other", NULL);
	assert_int_equal(recover_task(plugin, id, &started, NULL), 0);
	assert_int_equal(pid_of(plugin, id), pid);
	must_destroy(plugin, id);
	assert_false(lives(pid));
	nomad__started_done(&started);
	nomad__plugin_free(plugin);
}

static void test_supervisor_dies(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");
	struct nomad__inspect inspect;
	struct nomad_exit end;
	char text[512];
	int pid, supervisor;

	(void)state;
	must_start(plugin, id, "{}", NULL);
	pid = pid_of(plugin, id);
	assert_int_equal(nomad__task_inspect(plugin, id, &inspect, NULL), 0);
	supervisor = atoi(nomad_map_get(&inspect.attributes, "supervisor_pid"));
	nomad__inspect_done(&inspect);
	assert_int_equal(kill(supervisor, SIGKILL), 0);
	end = must_wait(plugin, id, text);
	assert_int_equal(end.exit_code, -1);
	assert_non_null(strstr(text, "supervisor"));
	wait_until(!lives(pid));
	must_destroy(plugin, id);
	nomad__plugin_free(plugin);
}

/* ---- Stop ---- */

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
	/* Several at a time: all are told. */
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

/* The plugin goes with stops, execs and waits under way: who waits is told, the task goes on. */
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

/* ---- Destroy ---- */

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

/* ---- Exec ---- */

static void test_exec(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");
	const char *const none[] = { NULL }, *const missing[] = { "/no/such/command", NULL };
	struct answer a;

	(void)state;
	must_start(plugin, id, "{}", NULL);
	assert_int_equal(exec_task(plugin, id, "echo out; echo err >&2; exit 3", 0, &a), 0);
	assert_int_equal(a.exit.exit_code, 3);
	assert_int_equal(a.out_size, 8);
	/* Both outputs in the order in which they were written. */
	assert_int_equal(
		exec_task(plugin, id, "i=0; while [ $i -lt 200 ]; do echo a; echo b >&2; i=$((i+1)); done", 0, &a), 0);
	assert_int_equal(a.out_size, 800);
	for (int i = 0; i < 800; i += 4)
		assert_memory_equal(a.out + i, "a\nb\n", 4);
	assert_int_equal(exec_task(plugin, id, "kill -9 $$", 0, &a), 0);
	assert_int_equal(a.exit.exit_code, 137);
	assert_int_equal(a.exit.signal, 9);
	/* The tail of much. */
	assert_int_equal(exec_task(plugin, id, "i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done", 0, &a), 0);
	assert_int_equal(a.out_size, 4096);
	assert_memory_equal(a.out + 4096 - 5, "4999\n", 5);
	assert_int_equal(exec_task(plugin, id, "cat; echo end", 0, &a), 0); /* no input */
	assert_memory_equal(a.out, "end\n", 4);
	assert_int_equal(exec_task(plugin, id, "sleep 1000", 100000000, &a), -ETIMEDOUT);
	assert_non_null(strstr(a.text, "0.1 s"));
	a = (struct answer)ANSWER_INIT;
	assert_int_equal(nomad__task_exec(plugin, id, none, 0, on_exec, &a, NULL), 0);
	assert_int_equal(answer_of(&a), -EINVAL);
	for (int i = 0; i < 50; i++) { /* its end may be told before it is open */
		a = (struct answer)ANSWER_INIT;
		assert_int_equal(nomad__task_exec(plugin, id, missing, 0, on_exec, &a, NULL), 0);
		if (answer_of(&a) == 0)
			assert_in_range(a.exit.exit_code, 126, 127);
		else
			assert_int_equal(a.r, -ENOENT);
	}
	must_destroy(plugin, id);
	nomad__plugin_free(plugin);
}

static void *destroy_thread(void *arg)
{
	must_destroy(arg, id_of("web/1"));
	return NULL;
}

/* destroy() of the driver does not run beside its exec(). */
static void test_exec_while_destroyed(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *const argv[] = { "/bin/true", NULL };
	struct answer a[4] = { ANSWER_INIT, ANSWER_INIT, ANSWER_INIT, ANSWER_INIT };
	pthread_t thread;

	(void)state;
	exec_slow = true;
	must_start(plugin, id_of("web/1"), "{}", NULL);
	for (int i = 0; i < 4; i++)
		assert_int_equal(nomad__task_exec(plugin, id_of("web/1"), argv, 0, on_exec, &a[i], NULL), 0);
	wait_until(__atomic_load_n(&exec_inside, __ATOMIC_SEQ_CST) > 0);
	pthread_create(&thread, NULL, destroy_thread, plugin);
	pthread_join(thread, NULL);
	for (int i = 0; i < 4; i++)
		(void)answer_of(&a[i]);
	nomad__plugin_free(plugin);
}

static char heard[2048];
static pthread_mutex_t heard_lock = PTHREAD_MUTEX_INITIALIZER;

static void on_event(void *ud, const struct nomad__event *event)
{
	(void)ud;
	pthread_mutex_lock(&heard_lock);
	snprintf(heard + strlen(heard), sizeof(heard) - strlen(heard), "%s: %s\n", event->task_name, event->message);
	pthread_mutex_unlock(&heard_lock);
}

static bool was_heard(const char *text)
{
	bool found;

	pthread_mutex_lock(&heard_lock);
	found = strstr(heard, text);
	pthread_mutex_unlock(&heard_lock);
	return found;
}

/* Nomad destroys a task as soon as it has ended: that its last output was
 * lost is told all the same. */
static void test_lost_logs(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	struct nomad__sub *sub = nomad__events_subscribe(plugin, on_event, NULL);
	NOMAD_AUTO_FREE char *fifo = nomad_strdupf("%s/fifo", test_base);
	const char *id = id_of("web/1");
	struct nomad__started started;

	(void)state;
	heard[0] = 0;
	assert_int_equal(mkfifo(fifo, 0600), 0);
	for (int i = 0; i < 2; i++) {
		struct nomad_task_info info = info_of(id);
		NOMAD_AUTO_FREE void *config = NULL;
		size_t size;

		info.stdout_path = strdup(fifo);
		config_of(&script_schema, "{\"script\": \"echo 123456789\"}", &config, &size);
		assert_int_equal(nomad_map_set(&info.env, "BASE", test_base), 0);
		assert_int_equal(nomad__task_start(plugin, &info, config, size, &started, NULL), 0);
		nomad__started_done(&started);
		assert_int_equal(must_wait(plugin, id, NULL).exit_code, 0);
		must_destroy(plugin, id);
		if (i == 0)
			wait_until(was_heard("web: 10 bytes of stdout are lost"));
	}
	nomad__sub_cancel(sub);
	nomad__plugin_free(plugin); /* while the second one still waits for a reader */
}

/* ---- Remote tasks ---- */

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

/* ---- Two plugins ---- */

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
	assert_non_null(strstr(nomad_error_message(err), "another living instance"));
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

/* ---- Everything at once ---- */

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

		snprintf(tail, sizeof(tail), "web/%d", rand_r(&seed) % STORM_TASKS);
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

		snprintf(tail, sizeof(tail), "web/%d", i);
		must_destroy(plugin, id_of(tail));
	}
	nomad__plugin_free(plugin);
}

/* ---- Set-up ---- */

static int bad_init_calls;

static int bad_init(struct nomad_plugin *plugin, void **ret_data, struct nomad_error **err)
{
	(void)plugin;
	*ret_data = &bad_init_calls;
	return ++bad_init_calls < 3 ? nomad_error_set(err, EIO, "told to fail") : 0;
}

static void test_init(void **state)
{
	struct nomad_driver driver = script_driver;
	NOMAD_AUTO_FREE char *state_dir = nomad_strdupf("%s/state", test_base);
	struct nomad_plugin *plugin;
	struct nomad_error *err = NULL;

	(void)state;
	bad_init_calls = 0;
	driver.init = bad_init;
	plugin = plugin_up(&driver);
	assert_int_equal(access(state_dir, F_OK), -1); /* nothing is touched before */
	assert_int_equal(nomad__plugin_init(plugin, &err), -EIO);
	assert_string_equal(nomad_error_message(err), "initialise driver 'script': told to fail");
	nomad_error_free(err);
	err = NULL;
	assert_int_equal(nomad__task_destroy(plugin, "x/y/z", true, NULL), -EIO);
	assert_int_equal(nomad__plugin_init(plugin, NULL), 0); /* the next time it does not fail */
	assert_int_equal(nomad__plugin_init(plugin, NULL), 0);
	assert_int_equal(bad_init_calls, 3);
	assert_ptr_equal(nomad_plugin_data(plugin), &bad_init_calls);
	nomad__plugin_free(plugin);
	/* Nobody else may write where we believe what we read. */
	assert_int_equal(chmod(state_dir, 0777), 0);
	plugin = plugin_up(&script_driver);
	assert_int_equal(nomad__plugin_init(plugin, &err), -EPERM);
	assert_non_null(strstr(nomad_error_message(err), state_dir));
	nomad_error_free(err);
	assert_int_equal(chmod(state_dir, 0700), 0);
	assert_int_equal(nomad__plugin_init(plugin, NULL), 0);
	nomad__plugin_free(plugin);
}

static void test_trial(void **state)
{
	struct nomad_plugin *plugin = nomad__plugin_new(&script_driver, NULL);

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(nomad__plugin_configure(plugin, NULL, 0, NULL, NULL), 0);
	assert_int_equal(nomad__plugin_configure(plugin, "\xc1", 1, NULL, NULL), -EINVAL);
	assert_int_equal(nomad__plugin_capabilities(plugin), NOMAD_CAN_SIGNAL | NOMAD_CAN_EXEC);
	nomad__plugin_free(plugin);
	assert_int_equal(fini_calls, 0);
	plugin = plugin_with(&script_driver, "\"log_collection\": \"driver\"");
	assert_true(nomad__plugin_capabilities(plugin) & NOMAD_OWN_LOGS);
	nomad__plugin_free(plugin);
}

static void test_bad_drivers(void **state)
{
	struct nomad_driver driver = script_driver;
	struct nomad_error *err = NULL;

	(void)state;
	driver.start = NULL;
	assert_null(nomad__plugin_new(&driver, &err));
	assert_non_null(strstr(nomad_error_message(err), "start"));
	nomad_error_free(err);
}

#define T(f) cmocka_unit_test_setup_teardown(f, place_set_up, place_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_life),
		T(test_exit_codes),
		T(test_unknown),
		T(test_failed_starts),
		T(test_replay),
		T(test_replay_of_ended),
		T(test_replay_not_adoptable),
		T(test_recover),
		T(test_end_while_down),
		T(test_not_recovered),
		T(test_moved_state_dir),
		T(test_supervisor_dies),
		T(test_stop_late),
		T(test_free_busy),
		T(test_shutdown),
		T(test_destroy),
		T(test_destroy_damaged),
		T(test_exec),
		T(test_lost_logs),
		T(test_exec_while_destroyed),
		T(test_remote),
		T(test_claims),
		T(test_storm),
		T(test_init),
		T(test_trial),
		T(test_bad_drivers),
	};

	return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}
