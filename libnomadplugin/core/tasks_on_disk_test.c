/* SPDX-License-Identifier: MPL-2.0
 *
 * What the records contain, and what gc removes: never what somebody
 * claims, never what lives, never what is another's. */
#include "base/tree.h"
#include "core/testing.h"

#include <inttypes.h>

static struct nomad__disk_task *tasks;
static size_t n_tasks;

static void list(struct nomad_plugin *plugin)
{
	struct nomad_error *err = NULL;

	nomad__tasks_on_disk_free(tasks, n_tasks);
	tasks = NULL;
	n_tasks = 0;
	if (nomad__tasks_on_disk(plugin, &tasks, &n_tasks, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
}

static const struct nomad__disk_task *of(const char *id)
{
	for (size_t i = 0; i < n_tasks; i++) {
		const char *its = nomad_map_get(&tasks[i].record, "id");

		if (its && strcmp(its, id) == 0)
			return &tasks[i];
	}
	fail_msg("%s is not listed", id);
	return NULL;
}

static char removed[1024];

static void on_removed(void *ud, const struct nomad__disk_task *task, const char *why, const struct nomad_error *err)
{
	assert_non_null(why);
	const char *name = nomad_map_get(&task->record, "name");

	(void)ud;
	snprintf(removed + strlen(removed), sizeof(removed) - strlen(removed), "%s%s ", name ? name : task->slug,
		 err ? "!" : "");
}

/* The names of what was removed, in the order of their making. */
static const char *gc(struct nomad_plugin *plugin, unsigned flags)
{
	struct nomad_error *err = NULL;

	removed[0] = 0;
	assert_int_equal(nomad__plugin_init(plugin, NULL), 0);
	if (nomad__gc(plugin, flags, on_removed, NULL, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
	return removed;
}

static char *journal_of(const char *id)
{
	NOMAD_AUTO_FREE char *slug = nomad__slug(id);

	return nomad_strdupf("%s/state/tasks/%s/task", test_base, slug);
}

static void write_record(const char *id, const char *key, const char *value)
{
	NOMAD_AUTO_FREE char *path = journal_of(id);
	struct nomad__journal record;

	assert_int_equal(nomad__journal_open(&record, path, false, NULL), 0);
	if (value)
		assert_int_equal(nomad__journal_put(&record, key, value, NULL), 0);
	else
		nomad__journal_forget(&record, key);
	nomad__journal_close(&record);
}

/* As on a host whose plugin has had no task so far. */
static void forget_node(void)
{
	NOMAD_AUTO_FREE char *agents = nomad_strdupf("%s/state/agents", test_base);

	assert_int_equal(nomad__remove_tree(agents), 0);
}

/* One that collects on request. */
static struct nomad_plugin *plugin_idle(const struct nomad_driver *driver)
{
	return plugin_with(driver, "\"gc_grace\": 0");
}

static int set_up(void **state)
{
	tasks = NULL;
	n_tasks = 0;
	return place_set_up(state);
}

static int tear_down(void **state)
{
	nomad__tasks_on_disk_free(tasks, n_tasks);
	return place_tear_down(state);
}

static void test_states(void **state)
{
	struct nomad_plugin *plugin = plugin_idle(&script_driver), *watcher;
	const struct nomad__disk_task *task;
	const char *run = id_of("run/1"), *end = id_of("end/1");

	(void)state;
	list(plugin); /* there is not even a directory */
	assert_int_equal(n_tasks, 0);
	must_start(plugin, run, "{}", NULL);
	must_start(plugin, end, "{\"script\": \"exit 6\"}", NULL);
	(void)must_wait(plugin, end, NULL);
	/* Another process looks. */
	watcher = plugin_idle(&script_driver);
	list(watcher);
	assert_int_equal(n_tasks, 2);
	task = of(run);
	assert_int_equal(task->state, NOMAD__DISK_RUNNING);
	assert_true(task->claimed && task->alive && !task->foreign);
	assert_true(task->supervisor_pid > 1 && task->leader_pid > 1);
	assert_string_equal(nomad_map_get(&task->record, "name"), "run");
	assert_string_equal(nomad_map_get(&task->record, "job"), "job");
	assert_string_equal(nomad_map_get(&task->record, "node"), "node-1");
	assert_string_equal(nomad_map_get(&task->record, "cpu"), "100");
	assert_string_equal(nomad_map_get(&task->record, "memory"), "67108864");
	assert_string_equal(nomad_map_get(&task->record, "x.thing"), "1");
	assert_true(nomad_wall_ns() - task->since_ns < INT64_C(600000000000));
	task = of(end);
	assert_int_equal(task->state, NOMAD__DISK_EXITED);
	assert_int_equal(task->exit_code, 6);
	assert_true(task->claimed);
	/* Without its plugin a task runs on, unclaimed; with a new one it is claimed again. */
	nomad__plugin_free(plugin);
	list(watcher);
	assert_int_equal(of(run)->state, NOMAD__DISK_RUNNING);
	assert_false(of(run)->claimed);
	assert_false(of(end)->claimed);
	must_start(watcher, run, "{}", NULL);
	list(watcher);
	assert_true(of(run)->claimed);
	/* Looking has not disturbed anybody. */
	assert_int_equal(stop_task(watcher, run, INT64_C(60000000000), ""), 0);
	must_destroy(watcher, run);
	must_destroy(watcher, end);
	nomad__plugin_free(watcher);
}

static void test_gc(void **state)
{
	struct nomad_plugin *plugin = plugin_idle(&script_driver), *other;
	const char *run = id_of("run/1"), *end = id_of("end/1"), *claimed = id_of("claimed/1"), *old = id_of("old/1"),
		   *half = id_of("half/1"), *foreign = id_of("foreign/1"), *remote = id_of("remote/1"),
		   *lost = id_of("lost/1");

	(void)state;
	must_start(plugin, run, "{}", NULL);
	must_start(plugin, end, "{\"script\": \"exit 6\"}", NULL);
	must_start(plugin, old, "{\"script\": \"exit 6\"}", NULL);
	must_start(plugin, half, "{\"script\": \"exit 6\"}", NULL);
	must_start(plugin, foreign, "{\"script\": \"exit 6\"}", NULL);
	must_start(plugin, remote, "{\"remote\": true}", NULL);
	must_start(plugin, lost, "{}", NULL);
	for (const char *const *p = (const char *const[]){ end, old, half, foreign, NULL }; *p; p++)
		(void)must_wait(plugin, *p, NULL);
	/* Nothing while a plugin claims them, for any caller. */
	other = plugin_idle(&script_driver);
	assert_string_equal(gc(other, NOMAD__GC_BY_HAND), "");
	assert_string_equal(gc(plugin, NOMAD__GC_BY_HAND), "");
	list(other);
	{
		NOMAD_AUTO_FREE char *slug = nomad__slug(half);
		NOMAD_AUTO_FREE char *exit_file = nomad_strdupf("%s/state/tasks/%s/exit", test_base, slug);
		int supervisor = of(lost)->supervisor_pid;

		nomad__plugin_free(plugin);
		assert_int_equal(kill(supervisor, SIGKILL), 0);
		wait_until(kill(supervisor, 0) < 0);
		/* The supervisor writes it again at no time. */
		wait_until(unlink(exit_file) == 0);
		write_record(half, "started", NULL);
		write_record(old, "boot", "another-boot");
		write_record(foreign, "driver", "pot");
	}
	must_start(other, claimed, "{\"script\": \"exit 1\"}", NULL);
	(void)must_wait(other, claimed, NULL);
	list(other);
	assert_int_equal(of(half)->state, NOMAD__DISK_HALF_MADE);
	assert_int_equal(of(lost)->state, NOMAD__DISK_LOST);
	assert_int_equal(of(remote)->state, NOMAD__DISK_REMOTE);
	assert_true(of(foreign)->foreign);
	wait_until((list(other), !of(end)->alive && !of(old)->alive && !of(half)->alive));
	assert_string_equal(gc(other, NOMAD__GC_BY_HAND | NOMAD__GC_DRY_RUN), "end old half lost ");
	assert_int_equal(count_in("state/tasks"), 8);
	assert_string_equal(gc(other, NOMAD__GC_BY_HAND), "end old half lost ");
	assert_int_equal(count_in("state/tasks"), 4);
	assert_int_equal(count_in("things"), 4);
	assert_string_equal(gc(other, NOMAD__GC_BY_HAND), "");
	list(other);
	assert_int_equal(of(run)->state, NOMAD__DISK_RUNNING);
	must_destroy(other, run);
	must_destroy(other, claimed);
	must_destroy(other, remote);
	must_destroy(other, foreign);
	nomad__plugin_free(other);
}

/* By itself it leaves the ends of a node that is not its own. */
static void test_gc_of_nodes(void **state)
{
	struct nomad_plugin *plugin = plugin_idle(&script_driver);
	const char *mine = id_of("mine/1"), *other = id_of("other/1"), *now = id_of("now/1");

	(void)state;
	must_start(plugin, mine, "{\"script\": \"exit 6\"}", NULL);
	must_start(plugin, other, "{\"script\": \"exit 6\"}", NULL);
	(void)must_wait(plugin, mine, NULL);
	(void)must_wait(plugin, other, NULL);
	nomad__plugin_free(plugin);
	write_record(other, "node", "node-2");
	forget_node();
	plugin = plugin_idle(&script_driver);
	wait_until((list(plugin), !of(mine)->alive && !of(other)->alive));
	assert_string_equal(gc(plugin, 0), ""); /* it does not know yet which node it is */
	must_start(plugin, now, "{}", NULL);
	assert_string_equal(gc(plugin, NOMAD__GC_EARLY), "");
	assert_string_equal(gc(plugin, 0), "mine ");
	must_destroy(plugin, now);
	nomad__plugin_free(plugin);
	/* It remembers the node.  A node that has lost its allocations never comes back. */
	write_record(other, "node", "node-1");
	plugin = plugin_idle(&script_driver);
	assert_int_equal(nomad__plugin_init(plugin, NULL), 0);
	assert_string_equal(gc(plugin, NOMAD__GC_EARLY), "");
	write_record(other, "node", "node-2");
	assert_string_equal(gc(plugin, 0), "");
	write_record(other, "dir", "/nonexistent/alloc");
	assert_string_equal(gc(plugin, 0), "other ");
	nomad__plugin_free(plugin);
}

/* A start that was killed is collected at once, also where its process lives. */
static void test_half_made(void **state)
{
	struct nomad_plugin *plugin = plugin_idle(&script_driver);
	const char *dead = id_of("dead/1"), *alive = id_of("alive/1");

	(void)state;
	must_start(plugin, dead, "{\"script\": \"exit 6\"}", NULL);
	must_start(plugin, alive, "{}", NULL);
	(void)must_wait(plugin, dead, NULL);
	nomad__plugin_free(plugin);
	write_record(dead, "started", NULL);
	write_record(alive, "started", NULL);
	plugin = plugin_up(&script_driver);
	assert_int_equal(nomad__plugin_init(plugin, NULL), 0);
	wait_until(count_in("state/tasks") == 0); /* gc_grace is 300 s */
	nothing_left();
	wait_until(metrics_have(plugin, "nomad_driver_leaks_cleared_total{driver=\"script\",result=\"removed\"} 2"));
	assert_true(metrics_have(plugin, "nomad_driver_leaks_found_total{driver=\"script\",state=\"exited\"} 1"));
	assert_true(metrics_have(plugin, "nomad_driver_leaks_found_total{driver=\"script\",state=\"half-made\"} 1"));
	nomad__plugin_free(plugin);
}

/* What runs in a data centre does not end with a boot of this host. */
static void test_remote_and_boot(void **state)
{
	struct nomad_plugin *plugin = plugin_idle(&remote_driver);
	const char *remote = id_of("vm/1"), *local = id_of("web/1"), *half = id_of("half/1");
	const struct nomad_exit end = { .exit_code = 3 };
	struct nomad_error *err = NULL;
	struct nomad__started handle, started;

	(void)state;
	must_start(plugin, remote, "{\"remote\": true}", &handle);
	must_start(plugin, local, "{\"script\": \"exit 4\"}", NULL);
	must_start(plugin, half, "{\"remote\": true}", NULL);
	(void)must_wait(plugin, local, NULL);
	nomad__plugin_free(plugin);
	for (const char *const *p = (const char *const[]){ remote, local, half, NULL }; *p; p++)
		write_record(*p, "boot", "another-boot");
	write_record(half, "started", NULL);
	plugin = plugin_idle(&remote_driver);
	wait_until((list(plugin), !of(local)->alive));
	assert_int_equal(of(remote)->state, NOMAD__DISK_REMOTE);
	assert_int_equal(of(half)->state, NOMAD__DISK_LOST);
	assert_string_equal(gc(plugin, NOMAD__GC_BY_HAND), "web half ");
	/* Its handle is of a plugin of that boot. */
	assert_int_equal(snprintf(plugin->boot_id, sizeof(plugin->boot_id), "a-third-boot"), 12);
	if (recover_task(plugin, remote, &handle, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
	assert_int_equal(nomad_task_exited_by_id(plugin, remote, &end), 0);
	assert_int_equal(must_wait(plugin, remote, NULL).exit_code, 3);
	nomad__plugin_free(plugin);
	/* And StartTask again adopts it. */
	plugin = plugin_idle(&remote_driver);
	destroy_calls = 0;
	assert_int_equal(start_task(plugin, remote, "{\"remote\": true}", &started, NULL), 0);
	assert_int_equal(destroy_calls, 0);
	nomad__started_done(&started);
	nomad__started_done(&handle);
	must_destroy(plugin, remote);
	nomad__plugin_free(plugin);
}

/* A plugin that dies in DestroyTask leaves what nobody asks for again. */
static void test_half_destroyed(void **state)
{
	struct nomad_plugin *plugin = plugin_idle(&remote_driver);
	const char *remote = id_of("vm/1"), *run = id_of("run/1"), *end = id_of("end/1");
	struct nomad_error *err = NULL;
	struct nomad__started handle;

	(void)state;
	must_start(plugin, remote, "{\"remote\": true}", NULL);
	must_start(plugin, run, "{}", &handle);
	must_start(plugin, end, "{\"script\": \"exit 4\"}", NULL);
	(void)must_wait(plugin, end, NULL);
	/* It could not be, and then the plugin goes. */
	destroy_stuck = true;
	assert_int_equal(nomad__task_destroy(plugin, remote, true, NULL), -EBUSY);
	assert_int_equal(nomad__task_destroy(plugin, end, true, NULL), -EBUSY);
	destroy_stuck = false;
	nomad__plugin_free(plugin);
	write_record(run, "destroying", "1");
	plugin = plugin_idle(&remote_driver);
	list(plugin);
	assert_int_equal(of(remote)->state, NOMAD__DISK_DESTROYING);
	assert_int_equal(of(run)->state, NOMAD__DISK_DESTROYING);
	assert_int_equal(recover_task(plugin, run, &handle, &err), -ENOENT);
	assert_non_null(strstr(nomad_error_message(err), "partly destroyed"));
	nomad_error_free(err);
	nomad__started_done(&handle);
	assert_string_equal(gc(plugin, 0), "vm run end ");
	assert_int_equal(count_in("things"), 0);
	nomad__plugin_free(plugin);
}

static void on_fingerprint(void *ud, const struct nomad__fingerprint_view *fp)
{
	(void)ud;
	(void)fp;
}

/* An unclaimed running task of our own node is ended at the second check; those of other nodes are not. */
static void test_orphans(void **state)
{
	struct nomad_plugin *plugin = plugin_idle(&script_driver), *other;
	const char *mine = id_of("mine/1"), *its = id_of("its/1"), *now = id_of("now/1"), *claimed = id_of("claimed/1"),
		   *end = id_of("end/1");
	struct nomad__sub *agent;

	(void)state;
	must_start(plugin, mine, "{}", NULL);
	must_start(plugin, its, "{}", NULL);
	must_start(plugin, end, "{\"script\": \"exit 4\"}", NULL);
	(void)must_wait(plugin, end, NULL);
	nomad__plugin_free(plugin);
	write_record(its, "node", "node-2");
	other = plugin_idle(&script_driver);
	must_start(other, claimed, "{}", NULL);
	forget_node();
	plugin = plugin_with(&script_driver, "\"gc_grace\": 1");
	agent = nomad__fingerprint_subscribe(plugin, on_fingerprint, NULL);
	sleep(4);
	assert_int_equal(count_in("state/tasks"), 4); /* it does not know which node it is */
	nomad__sub_cancel(agent);
	must_start(plugin, now, "{}", NULL);
	sleep(3);
	assert_int_equal(count_in("state/tasks"), 5); /* without an agent */

	agent = nomad__fingerprint_subscribe(plugin, on_fingerprint, NULL);
	wait_until(count_in("state/tasks") == 3);
	sleep(3);
	list(plugin);
	assert_int_equal(of(its)->state, NOMAD__DISK_RUNNING);
	assert_int_equal(of(claimed)->state, NOMAD__DISK_RUNNING);
	nomad__sub_cancel(agent);
	must_destroy(plugin, its);
	must_destroy(plugin, now);
	must_destroy(other, claimed);
	nomad__plugin_free(plugin);
	nomad__plugin_free(other);
}

/* A task that cannot be removed is reported, and tried again the next time. */
static void test_gc_fails(void **state)
{
	struct nomad_plugin *plugin = plugin_idle(&script_driver);
	const char *id = id_of("end/1");
	NOMAD_AUTO_FREE char *stray = nomad_strdupf("%s/state/tasks/stray", test_base);
	struct timespec past[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

	(void)state;
	must_start(plugin, id, "{\"script\": \"exit 6\"}", NULL);
	(void)must_wait(plugin, id, NULL);
	nomad__plugin_free(plugin);
	plugin = plugin_idle(&script_driver);
	wait_until((list(plugin), !of(id)->alive));
	destroy_stuck = true;
	assert_string_equal(gc(plugin, NOMAD__GC_BY_HAND), "end! ");
	assert_int_equal(count_in("state/tasks"), 1);
	destroy_stuck = false;
	assert_string_equal(gc(plugin, NOMAD__GC_BY_HAND), "end ");
	/* A directory without a journal: not before it is old. */
	assert_int_equal(mkdir(stray, 0700), 0);
	assert_string_equal(gc(plugin, NOMAD__GC_BY_HAND), "");
	assert_int_equal(utimensat(AT_FDCWD, stray, past, 0), 0);
	assert_string_equal(gc(plugin, NOMAD__GC_BY_HAND), "stray ");
	nomad__plugin_free(plugin);
}

/* After the grace time it happens by itself; not in a trial launch, and not when it is switched off. */
static void test_gc_by_itself(void **state)
{
	struct nomad_plugin *plugin = plugin_idle(&script_driver);
	const char *id = id_of("end/1");

	(void)state;
	must_start(plugin, id, "{\"script\": \"exit 6\"}", NULL);
	(void)must_wait(plugin, id, NULL);
	nomad__plugin_free(plugin);
	write_record(id, "boot", "another-boot");
	plugin = plugin_with(&script_driver, "\"gc_grace\": 0");
	assert_int_equal(nomad__plugin_init(plugin, NULL), 0);
	sleep(1);
	assert_int_equal(count_in("state/tasks"), 1);
	nomad__plugin_free(plugin);
	plugin = plugin_with(&script_driver, "\"gc_grace\": 1");
	assert_int_equal(nomad__plugin_init(plugin, NULL), 0);
	wait_until(count_in("state/tasks") == 0);
	nomad__plugin_free(plugin);
}

static int gc_over;

static void *gc_thread(void *arg)
{
	struct nomad_plugin *plugin = arg;
	struct nomad__disk_task *all;
	size_t count;

	while (!__atomic_load_n(&gc_over, __ATOMIC_SEQ_CST)) {
		assert_int_equal(nomad__gc(plugin, NOMAD__GC_BY_HAND, on_removed, NULL, NULL), 0);
		if (nomad__tasks_on_disk(plugin, &all, &count, NULL) == 0)
			nomad__tasks_on_disk_free(all, count);
	}
	return NULL;
}

/* Tasks come and go under one plugin while another collects without pause: none is taken away. */
static void test_gc_beside_starts(void **state)
{
	struct nomad_plugin *plugin = plugin_idle(&script_driver), *other = plugin_idle(&script_driver);
	pthread_t thread;

	(void)state;
	assert_int_equal(nomad__plugin_init(other, NULL), 0);
	gc_over = 0;
	removed[0] = 0;
	pthread_create(&thread, NULL, gc_thread, other);
	for (int i = 0; i < 40; i++) {
		const char *id = id_of("web/1");

		must_start(plugin, id, i % 2 ? "{}" : "{\"script\": \"exit 3\"}", NULL);
		if (i % 2 == 0)
			assert_int_equal(must_wait(plugin, id, NULL).exit_code, 3);
		else
			assert_int_equal(stop_task(plugin, id, 0, ""), 0);
		must_destroy(plugin, id);
	}
	__atomic_store_n(&gc_over, 1, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	assert_string_equal(removed, "");
	nomad__plugin_free(plugin);
	nomad__plugin_free(other);
}

#undef T
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

MAIN("tasks_on_disk", T(test_states), T(test_gc), T(test_gc_of_nodes), T(test_half_made), T(test_gc_fails),
     T(test_gc_by_itself), T(test_gc_beside_starts), T(test_remote_and_boot), T(test_half_destroyed), T(test_orphans))
