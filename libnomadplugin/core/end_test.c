/* SPDX-License-Identifier: MPL-2.0
 *
 * The reports of an end, and what follows it. */
#include "core/testing.h"

#include "core/tasks_on_disk.h"

static int64_t lost_bytes;

/* The number is a field of its own. */
static void hear_loss(void *ud, const struct nomad__event *event)
{
	const char *number = nomad_map_get(event->annotations, "lost_bytes");

	hear_event(ud, event);
	__atomic_add_fetch(&lost_bytes, number ? atoll(number) : 0, __ATOMIC_SEQ_CST);
}

static bool was_lost(int64_t bytes)
{
	return __atomic_load_n(&lost_bytes, __ATOMIC_SEQ_CST) == bytes;
}

static void start_logged(struct nomad_plugin *plugin, const char *id, const char *fifo, const char *script,
			 struct nomad__started *ret)
{
	struct nomad_task_info info = info_of(id);
	NOMAD_AUTO_FREE char *text = nomad_strdupf("{\"script\": \"%s\"}", script);
	NOMAD_AUTO_FREE void *config = NULL;
	size_t size;

	info.stdout_path = strdup(fifo);
	config_of(&script_schema, text, &config, &size);
	assert_int_equal(nomad_map_set(&info.env, "BASE", test_base), 0);
	assert_int_equal(nomad_map_set(&info.env, "PATH", "/usr/bin:/bin"), 0);
	assert_int_equal(nomad__task_start(plugin, NULL, &info, config, size, ret, NULL), 0);
}

static int recover_logged(struct nomad_plugin *plugin, const char *id, const char *fifo,
			  const struct nomad__started *handle)
{
	struct nomad_task_info info = info_of(id);

	info.stdout_path = strdup(fifo);
	return nomad__task_recover(plugin, &info, handle->driver_state, handle->driver_state_size, nomad_monotonic_ns(),
				   NULL);
}

/* Nomad destroys a task as soon as it has ended: that its last output was
 * lost is reported nevertheless. */
static void test_lost_logs(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	struct nomad__sub *sub = nomad__events_subscribe(plugin, hear_loss, NULL);
	NOMAD_AUTO_FREE char *fifo = nomad_strdupf("%s/fifo", test_base);
	const char *id = id_of("web/1");
	struct nomad__started started;

	(void)state;
	lost_bytes = 0;
	assert_int_equal(mkfifo(fifo, 0600), 0);
	for (int i = 0; i < 2; i++) {
		start_logged(plugin, id, fifo, "echo 123456789", &started);
		nomad__started_done(&started);
		assert_int_equal(must_wait(plugin, id, NULL).exit_code, 0);
		must_destroy(plugin, id);
		if (i == 0)
			wait_until(was_heard("web: 10 bytes of stdout are lost") && was_lost(10));
	}
	assert_false(was_heard("out of memory") || was_heard("Killed"));
	nomad__sub_cancel(sub);
	nomad__plugin_free(plugin); /* while the second one still waits for a reader */
}

/* Agent, log reader and plugin are dead while the task ends; then, at `step` 1, the supervisor dies as well, and at 2
 * it dies before the end: then nobody has held the pipe. */
static void test_lost_logs_while_down(void **state)
{
	NOMAD_AUTO_FREE char *fifo = nomad_strdupf("%s/fifo", test_base);

	(void)state;
	assert_int_equal(mkfifo(fifo, 0600), 0);
	for (int step = 0; step < 3; step++) {
		struct nomad_plugin *plugin = plugin_up(&script_driver);
		const char *id = id_of("web/1");
		struct nomad__started handle;
		struct nomad__sub *sub;
		bool over = false;
		NOMAD_AUTO_FREE char *slug = nomad__slug(id);

		lost_bytes = 0;
		start_logged(plugin, id, fifo, step < 2 ? "sleep 1; echo 123456789" : "echo 123456789; exec sleep 1000",
			     &handle);
		nomad__plugin_free(plugin);
		plugin = plugin_up(&script_driver);
		while (!over) {
			struct nomad__disk_task task;

			usleep(200000);
			assert_int_equal(nomad__task_on_disk(plugin, slug, &task, NULL), 0);
			over = step == 2 || task.state == NOMAD__DISK_EXITED;
			if (over && step) {
				assert_true(task.supervisor_pid > 1);
				assert_int_equal(kill(task.supervisor_pid, SIGKILL), 0);
				wait_until(!lives(task.supervisor_pid));
			}
			nomad__disk_task_done(&task);
		}
		sub = nomad__events_subscribe(plugin, hear_loss, NULL);
		if (step < 2) {
			assert_int_equal(recover_logged(plugin, id, fifo, &handle), 0);
			assert_int_equal(must_wait(plugin, id, NULL).exit_code, 0);
		} else {
			assert_int_equal(recover_logged(plugin, id, fifo, &handle), -ENOENT);
		}
		must_destroy(plugin, id);
		wait_until(step < 2 ? was_lost(10) : was_heard("the last output on stdout may be lost"));
		nomad__sub_cancel(sub);
		nomad__started_done(&handle);
		nomad__plugin_free(plugin);
	}
}

/* A plugin that is freed while a waiter is called: the waiter's is the last reference to the task. */
static struct nomad__sub *last_sub;
static struct nomad_task *last_task;
static int last_called;

static void on_last(void *ud, int r, const struct nomad_exit *result, const struct nomad_error *err)
{
	const int refs = __atomic_load_n(&last_task->refs, __ATOMIC_SEQ_CST);

	(void)ud;
	(void)r;
	(void)result;
	(void)err;
	nomad__sub_cancel(last_sub);
	__atomic_store_n(&last_called, 1, __ATOMIC_SEQ_CST);
	wait_until(__atomic_load_n(&last_task->refs, __ATOMIC_SEQ_CST) < refs); /* the table's */
}

static void test_end_holds_task(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");

	(void)state;
	last_called = 0;
	must_start(plugin, id, "{}", NULL);
	last_task = nomad__task_find(plugin, id);
	nomad__task_unref(last_task);
	assert_int_equal(nomad__task_wait(plugin, id, on_last, NULL, &last_sub, NULL), 0);
	assert_int_equal(nomad__task_signal(plugin, id, "KILL", NULL), 0);
	wait_until(__atomic_load_n(&last_called, __ATOMIC_SEQ_CST));
	nomad__plugin_free(plugin);
	plugin = plugin_up(&script_driver);
	must_destroy(plugin, id);
	nomad__plugin_free(plugin);
}

static void on_late(void *ud, const struct nomad__event *event)
{
	(void)ud;
	if (!strstr(event->message, "Killed"))
		return;
	nomad__sub_cancel(last_sub);
	__atomic_store_n(&last_called, 1, __ATOMIC_SEQ_CST);
	wait_until(__atomic_load_n(&last_task->refs, __ATOMIC_SEQ_CST) == 0);
}

/* The supervisor's event is under way, and not yet at the end, when the last reference goes. */
static void test_end_while_freed(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");

	(void)state;
	last_called = 0;
	must_start(plugin, id, "{}", NULL);
	last_task = nomad__task_find(plugin, id);
	last_sub = nomad__events_subscribe(plugin, on_late, NULL);
	pthread_mutex_lock(&last_task->progress->lock);
	last_task->progress->stopping = true; /* as by a stop, which would hold a reference */
	assert_int_equal(nomad__supervisor_kill(last_task->progress->supervisor, NULL), 0);
	pthread_mutex_unlock(&last_task->progress->lock);
	nomad__task_unref(last_task);
	wait_until(__atomic_load_n(&last_called, __ATOMIC_SEQ_CST));
	nomad__plugin_free(plugin);
	plugin = plugin_up(&script_driver);
	must_destroy(plugin, id);
	nomad__plugin_free(plugin);
}

static void *read_to_end(void *path)
{
	char c;
	int fd = open(path, O_RDONLY | O_CLOEXEC); /* waits for a writer, as Nomad's logmon */

	assert_int_equal(read(fd, &c, 1), 0);
	close(fd);
	return NULL;
}

/* Nomad's readers of a remote task's pipes get an end of file, even without a writer. */
static void test_remote_logs(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&remote_driver);
	NOMAD_AUTO_FREE char *fifo = nomad_strdupf("%s/remote-fifo", test_base);
	const struct nomad_exit end = { .exit_code = 0 };
	struct nomad_task_info info = info_of(id_of("vm/1"));
	NOMAD_AUTO_FREE void *config = NULL;
	struct nomad__started started;
	pthread_t reader;
	size_t size = 0;

	(void)state;
	assert_int_equal(mkfifo(fifo, 0600), 0);
	info.stdout_path = strdup(fifo);
	info.stderr_path = strdup("/dev/null"); /* no FIFO: left alone */
	config_of(&script_schema, "{\"remote\": true}", &config, &size);
	assert_int_equal(nomad_map_set(&info.env, "BASE", test_base), 0);
	assert_int_equal(nomad__task_start(plugin, NULL, &info, config, size, &started, NULL), 0);
	nomad__started_done(&started);
	assert_int_equal(pthread_create(&reader, NULL, read_to_end, fifo), 0);
	usleep(200000); /* until it waits */
	assert_int_equal(nomad_task_exited_by_id(plugin, id_of("vm/1"), &end), 0);
	pthread_join(reader, NULL);
	must_destroy(plugin, id_of("vm/1"));
	nomad__plugin_free(plugin);
}

MAIN("end", T(test_remote_logs), T(test_lost_logs), T(test_lost_logs_while_down), T(test_end_holds_task),
     T(test_end_while_freed))
