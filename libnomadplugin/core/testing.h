/* SPDX-License-Identifier: MPL-2.0
 *
 * core/testing.h: what the tests of this folder (and of test/model) share: a
 * small driver, a plugin around it in a temporary directory, calls that wait
 * for their callbacks, and a census.
 *
 * A task of the driver is a shell script under the real supervisor, and a
 * "thing": a file that represents a resource of a driver.  Of a remote task
 * there is only the thing; its content is its exit code. */
#ifndef NOMAD_CORE_TESTING_H
#define NOMAD_CORE_TESTING_H

#include "supervisor/testing.h"

#include <jansson.h>

#include "base/loop.h"
#include "core/core.h"
#include "core/gc.h"
#include "core/journal.h"
#include "core/plugin.h"
#include "core/table.h"
#include "core/task.h"
#include "core/task_progress.h"
#include "schema/schema.h"

struct script_config {
	char *script, *fail;
	bool remote, network;
};

static const char *const script_fails[] = { "", "early", "made", "late", "recover", "destroy", NULL };
static const struct nomad_option script_rows[] = {
	NOMAD_OPTION(struct script_config, script, STRING, .def = "\"exec sleep 1000\"", .help = "What to run."),
	NOMAD_OPTION(struct script_config, fail, STRING, .def = "\"\"", .choices = script_fails,
		     .help = "Where to fail."),
	NOMAD_OPTION(struct script_config, remote, BOOL, .help = "No process here."),
	NOMAD_OPTION(struct script_config, network, BOOL, .help = "Tell an address."),
};
static const struct nomad_schema script_schema = NOMAD_SCHEMA(struct script_config, script_rows);

static char test_base[64];
static char test_alloc[40]; /* found in the command line of each supervisor of this test */
static int fini_calls, destroy_calls, exec_inside;
static bool destroy_stuck, exec_slow;
static unsigned stop_timeout_ms;
static enum nomad_health health = NOMAD_HEALTHY;

static inline char *thing_of(const struct nomad_task *task)
{
	return nomad_strdupf("%s/things/%s", test_base, nomad_task_slug(task));
}

static inline int thing_write(struct nomad_task *task, const char *text)
{
	NOMAD_AUTO_FREE char *path = thing_of(task);
	FILE *f = path ? fopen(path, "we") : NULL;

	if (!f)
		return path ? -errno : -ENOMEM;
	fputs(text, f);
	fclose(f);
	return 0;
}

static void script_fingerprint(struct nomad_plugin *plugin, struct nomad_fingerprint *fp)
{
	(void)plugin;
	nomad_fp_string(fp, "version", "1");
	nomad_fp_check(fp, "works", health == NOMAD_HEALTHY, health, "it does not work", "make it");
}

static int script_start(struct nomad_task *task, struct nomad_error **err)
{
	const struct script_config *config = nomad_task_config(task);
	const char *argv[] = { "/bin/sh", "-c", config->script, NULL };
	const struct nomad_command command = { .argv = argv };
	struct nomad_int_map ports = { 0 };
	int r;

	if (strcmp(config->fail, "early") == 0)
		return nomad_error_set(err, EIO, "told to fail early");
	r = nomad_task_put(task, "thing", "1", err);
	if (r < 0)
		return r;
	r = thing_write(task, "");
	if (r < 0)
		return nomad_error_errno(err, -r, "make the thing");
	if (strcmp(config->fail, "made") == 0)
		return nomad_error_set(err, EIO, "told to fail with the thing made");
	if (config->network) {
		r = nomad_int_map_set(&ports, "http", 8080);
		if (r >= 0)
			r = nomad_task_set_network(task, "10.1.2.3", true, &ports);
		nomad_int_map_done(&ports);
		if (r < 0)
			return nomad_error_errno(err, -r, "tell the network");
	}
	if (config->remote)
		return 0;
	r = nomad_task_run(task, &command, err);
	if (r >= 0 && strcmp(config->fail, "late") == 0)
		return nomad_error_set(err, EIO, "told to fail late");
	return r;
}

static int script_recover(struct nomad_task *task, struct nomad_error **err)
{
	const struct script_config *config = nomad_task_config(task);
	NOMAD_AUTO_FREE char *path = thing_of(task);

	if (strcmp(config->fail, "recover") == 0)
		return nomad_error_set(err, EIO, "told to fail to recover");
	if (access(path, F_OK) < 0)
		return nomad_error_set(err, ENOENT, "the thing is gone");
	return 0;
}

static int script_destroy(struct nomad_task *task, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = thing_of(task);

	/* The library's promise: nobody is in exec() of this task. */
	assert_int_equal(__atomic_load_n(&exec_inside, __ATOMIC_SEQ_CST), 0);
	__atomic_add_fetch(&destroy_calls, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&destroy_stuck, __ATOMIC_SEQ_CST))
		return nomad_error_set(err, EBUSY, "told to be stuck");
	if (unlink(path) < 0 && errno != ENOENT)
		return nomad_error_errno(err, errno, "remove the thing");
	return 0;
}

static int script_exec(struct nomad_task *task, struct nomad_exec *exec, struct nomad_error **err)
{
	(void)task;
	(void)exec;
	(void)err;
	if (exec_slow) {
		__atomic_add_fetch(&exec_inside, 1, __ATOMIC_SEQ_CST);
		usleep(300000);
		__atomic_sub_fetch(&exec_inside, 1, __ATOMIC_SEQ_CST);
	}
	return 0;
}

static void script_fini(struct nomad_plugin *plugin, void *data)
{
	(void)plugin;
	(void)data;
	fini_calls++;
}

static const struct nomad_driver script_driver = {
	.name = "script",
	.version = "0.1.0",
	.capabilities = NOMAD_CAN_SIGNAL | NOMAD_CAN_EXEC,
	.task_schema = &script_schema,
	.fini = script_fini,
	.fingerprint = script_fingerprint,
	.start = script_start,
	.recover = script_recover,
	.destroy = script_destroy,
	.exec = script_exec,
};

/* ---- The remote half: told by a file ---- */

static int remote_stop(struct nomad_task *task, int signal, unsigned timeout_ms, struct nomad_error **err)
{
	const struct script_config *config = nomad_task_config(task);
	const struct nomad_exit end = { .exit_code = 128 + signal, .signal = signal };

	stop_timeout_ms = timeout_ms;
	if (strcmp(config->script, "refuse") == 0)
		return nomad_error_set(err, EIO, "told to refuse");
	if (strcmp(config->script, "deaf") != 0)
		nomad_task_exited(task, &end);
	return 0;
}

static int remote_kill(struct nomad_task *task, struct nomad_error **err)
{
	const struct nomad_exit end = { .exit_code = 137, .signal = 9 };

	(void)err;
	nomad_task_exited(task, &end);
	return 0;
}

static int remote_signal(struct nomad_task *task, int signal, struct nomad_error **err)
{
	char text[16];

	(void)err;
	snprintf(text, sizeof(text), "%d", signal);
	assert_int_equal(thing_write(task, text), 0);
	return 0;
}

static int remote_stats(struct nomad_task *task, struct nomad_stats *ret, struct nomad_error **err)
{
	(void)task;
	(void)err;
	*ret = (struct nomad_stats){ .cpu_percent = 50,
				     .rss_bytes = 4096,
				     .measured = NOMAD_STAT_CPU | NOMAD_STAT_RSS };
	return 0;
}

static const struct nomad_driver remote_driver = {
	.name = "remote",
	.version = "0.1.0",
	.task_schema = &script_schema,
	.fini = script_fini,
	.fingerprint = script_fingerprint,
	.start = script_start,
	.recover = script_recover,
	.stop = remote_stop,
	.kill = remote_kill,
	.signal = remote_signal,
	.destroy = script_destroy,
	.stats = remote_stats,
};

/* ---- A plugin ---- */

static inline void config_of(const struct nomad_schema *schema, const char *text, void **ret, size_t *ret_size)
{
	json_error_t where;
	json_t *json = json_loads(text, 0, &where);
	struct nomad_error *err = NULL;

	if (!json)
		fail_msg("%s: %s", text, where.text);
	if (nomad__config_from_json(schema, "config", json, ret, ret_size, &err) < 0)
		fail_msg("%s: %s", text, nomad_error_message(err));
	json_decref(json);
}

/* `dir` is that of the state, in the test's own. */
static inline void configure(struct nomad_plugin *plugin, const char *dir, const char *extra)
{
	const struct nomad__node node = { .total_compute_mhz = 8000, .cores = 4 };
	NOMAD_AUTO_FREE char *text =
		nomad_strdupf("{\"state_dir\": \"%s/%s\"%s%s}", test_base, dir, extra ? ", " : "", extra ? extra : "");
	NOMAD_AUTO_FREE void *config = NULL;
	struct nomad_error *err = NULL;
	size_t size;

	config_of(nomad__plugin_config_schema(plugin), text, &config, &size);
	if (nomad__plugin_configure(plugin, config, size, &node, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
}

static inline struct nomad_plugin *plugin_with(const struct nomad_driver *driver, const char *extra)
{
	struct nomad_error *err = NULL;
	struct nomad_plugin *plugin = nomad__plugin_new(driver, &err);

	if (!plugin)
		fail_msg("%s", nomad_error_message(err));
	configure(plugin, "state", extra);
	return plugin;
}

static inline struct nomad_plugin *plugin_up(const struct nomad_driver *driver)
{
	return plugin_with(driver, NULL);
}

static inline bool metrics_have(struct nomad_plugin *plugin, const char *line)
{
	NOMAD_AUTO_FREE char *whole = nomad_strdupf("\n%s\n", line);
	struct nomad__openmetrics om;
	bool found;

	assert_int_equal(nomad__metrics_text(plugin->metrics, &om), 0);
	found = strstr(om.text, whole);
	nomad__openmetrics_done(&om);
	return found;
}

/* ---- Calls that wait ---- */

struct answer {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int calls, r;
	struct nomad_exit exit;
	char text[512], out[4096];
	size_t out_size;
};

#define ANSWER_INIT                                                                                                    \
	{                                                                                                              \
		.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER                                    \
	}

static inline void answered(struct answer *a, int r, const struct nomad_exit *exit, const struct nomad_error *err)
{
	pthread_mutex_lock(&a->lock);
	a->calls++;
	a->r = r;
	if (exit) {
		a->exit = *exit;
		a->exit.message = NULL;
	}
	snprintf(a->text, sizeof(a->text), "%s",
		 err			 ? nomad_error_message(err)
		 : exit && exit->message ? exit->message
					 : "");
	pthread_cond_broadcast(&a->cond);
	pthread_mutex_unlock(&a->lock);
}

static inline void on_wait(void *ud, int r, const struct nomad_exit *result, const struct nomad_error *err)
{
	answered(ud, r, result, err);
}

static inline void on_stop(void *ud, int r, const struct nomad_error *err)
{
	answered(ud, r, NULL, err);
}

static inline void on_exec(void *ud, int r, const struct nomad__exec_result *result, const struct nomad_error *err)
{
	struct answer *a = ud;

	if (result) {
		a->out_size = result->stdout_size;
		memcpy(a->out, result->stdout_data, a->out_size);
	}
	answered(a, r, result ? &result->exit : NULL, err);
}

static inline bool answer_within(struct answer *a, int seconds)
{
	struct timespec until;
	bool there;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&a->lock);
	while (!a->calls)
		if (pthread_cond_timedwait(&a->cond, &a->lock, &until))
			break;
	there = a->calls;
	pthread_mutex_unlock(&a->lock);
	return there;
}

static inline int answer_of(struct answer *a)
{
	assert_true(answer_within(a, 90));
	assert_int_equal(a->calls, 1);
	return a->r;
}

/* "web/1" -> the id of such a task in this test's allocation. */
static inline const char *id_of(const char *tail)
{
	static _Thread_local char ids[8][128];
	static _Thread_local unsigned n;
	char *id = ids[n++ % 8];

	snprintf(id, sizeof(ids[0]), "%s/%s", test_alloc, tail);
	return id;
}

static inline struct nomad_task_info info_of(const char *id)
{
	const char *slash = strchr(id, '/'), *last = strrchr(id, '/');
	char path[256];

	/* The agent makes a task's directory before it starts the task. */
	snprintf(path, sizeof(path), "%s/alloc", test_base);
	mkdir(path, 0711);
	snprintf(path, sizeof(path), "%s/alloc/%.*s", test_base, (int)(last - slash - 1), slash + 1);
	mkdir(path, 0777);
	return (struct nomad_task_info){
		.id = strdup(id),
		.alloc_id = strndup(id, (size_t)(slash - id)),
		.name = strndup(slash + 1, (size_t)(last - slash - 1)),
		.node_id = strdup("node-1"),
		.job_id = strdup("job"),
		.alloc_dir = nomad_strdupf("%s/alloc", test_base),
		.resources = { .cpu_shares = 100, .memory_mb = 64, .memory_limit_bytes = 64 << 20 },
	};
}

static inline int start_task(struct nomad_plugin *plugin, const char *id, const char *config_text,
			     struct nomad__started *ret, struct nomad_error **err)
{
	struct nomad_task_info info = info_of(id);
	NOMAD_AUTO_FREE void *config = NULL;
	size_t size;

	config_of(&script_schema, config_text, &config, &size);
	assert_int_equal(nomad_map_set(&info.env, "BASE", test_base), 0);
	assert_int_equal(nomad_map_set(&info.env, "PATH", "/usr/bin:/bin"), 0);
	return nomad__task_start(plugin, NULL, &info, config, size, ret, err);
}

/* ---- What events say ---- */

static char heard[2048];
static pthread_mutex_t heard_lock = PTHREAD_MUTEX_INITIALIZER;

static inline void hear_event(void *ud, const struct nomad__event *event)
{
	(void)ud;
	pthread_mutex_lock(&heard_lock);
	snprintf(heard + strlen(heard), sizeof(heard) - strlen(heard), "%s: %s\n", event->task_name, event->message);
	pthread_mutex_unlock(&heard_lock);
}

static inline bool was_heard(const char *text)
{
	bool found;

	pthread_mutex_lock(&heard_lock);
	found = strstr(heard, text);
	pthread_mutex_unlock(&heard_lock);
	return found;
}

/* A start that has to succeed; the handle into *ret if wanted. */
static inline void must_start(struct nomad_plugin *plugin, const char *id, const char *config,
			      struct nomad__started *ret)
{
	struct nomad__started started = { 0 };
	struct nomad_error *err = NULL;

	if (start_task(plugin, id, config, &started, &err) < 0)
		fail_msg("start %s: %s", id, nomad_error_message(err));
	if (ret)
		*ret = started;
	else
		nomad__started_done(&started);
}

static inline int recover_task(struct nomad_plugin *plugin, const char *id, const struct nomad__started *handle,
			       struct nomad_error **err)
{
	struct nomad_task_info info = info_of(id);

	assert_int_equal(nomad_map_set(&info.env, "BASE", test_base), 0); /* Nomad keeps it */
	return nomad__task_recover(plugin, &info, handle->driver_state, handle->driver_state_size, nomad_monotonic_ns(),
				   err);
}

static inline struct nomad_exit must_wait(struct nomad_plugin *plugin, const char *id, char *ret_text)
{
	struct answer a = ANSWER_INIT;
	struct nomad_error *err = NULL;
	struct nomad__sub *sub = NULL;

	if (nomad__task_wait(plugin, id, on_wait, &a, &sub, &err) < 0)
		fail_msg("wait: %s", nomad_error_message(err));
	assert_int_equal(answer_of(&a), 0);
	nomad__sub_cancel(sub);
	if (ret_text)
		strcpy(ret_text, a.text);
	return a.exit;
}

static inline int stop_task(struct nomad_plugin *plugin, const char *id, int64_t timeout_ns, const char *signal)
{
	struct answer a = ANSWER_INIT;
	int r = nomad__task_stop(plugin, id, timeout_ns, signal, on_stop, &a, NULL);

	return r < 0 ? r : answer_of(&a);
}

static inline int exec_task(struct nomad_plugin *plugin, const char *id, const char *script, int64_t timeout_ns,
			    struct answer *a)
{
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };
	int r;

	*a = (struct answer)ANSWER_INIT;
	r = nomad__task_exec(plugin, id, argv, timeout_ns, on_exec, a, NULL);
	return r < 0 ? r : answer_of(a);
}

static inline void must_destroy(struct nomad_plugin *plugin, const char *id)
{
	struct nomad_error *err = NULL;

	if (nomad__task_destroy(plugin, id, true, &err) < 0)
		fail_msg("destroy %s: %s", id, nomad_error_message(err));
}

static inline int pid_of(struct nomad_plugin *plugin, const char *id)
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

static inline bool lives(int pid)
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

/* ---- A place, and what has to be left of it ---- */

static int descriptors_before;

static inline int count_in(const char *name)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", test_base, name);
	int n = access(path, F_OK) < 0 ? 0 : count_entries(path);

	return n;
}

static inline int place_set_up(void **state)
{
	static unsigned counter;
	char path[96];

	(void)state;
	snprintf(test_alloc, sizeof(test_alloc), "%06x%02x-0000-4000-8000-000000000000", (unsigned)getpid(),
		 ++counter & 255);
	strcpy(test_base, "/tmp/nomad-core-test-XXXXXX");
	if (!mkdtemp(test_base))
		return -1;
	snprintf(path, sizeof(path), "%s/things", test_base);
	if (mkdir(path, 0700) < 0)
		return -1;
	fini_calls = destroy_calls = 0;
	destroy_stuck = exec_slow = false;
	heard[0] = 0;
	health = NOMAD_HEALTHY;
	descriptors_before = count_entries("/proc/self/fd");
	return 0;
}

static inline char *alloc_mark(void)
{
	return nomad_strdupf("-%.8s-", test_alloc); /* as in a slug */
}

/* No task on disk, no thing, no supervisor, no descriptor. */
static inline void nothing_left(void)
{
	assert_int_equal(count_in("state/tasks"), 0);
	NOMAD_AUTO_FREE char *mark = alloc_mark();

	assert_int_equal(count_in("state/tasks"), 0);
	assert_int_equal(count_in("things"), 0);
	wait_until(!process_with(mark));
}

static inline int place_tear_down(void **state)
{
	char command[128];

	(void)state;
	nothing_left();
	/* The supervisor program in memory stays. */
	assert_true(count_entries("/proc/self/fd") <= descriptors_before + 1);
	snprintf(command, sizeof(command), "rm -rf '%s'", test_base);
	return system(command);
}

/* A test with a place of its own. */
#define T(f) cmocka_unit_test_setup_teardown(f, place_set_up, place_tear_down)
#define MAIN(name, ...)                                                                                                \
	int main(void)                                                                                                 \
	{                                                                                                              \
		const struct CMUnitTest tests[] = { __VA_ARGS__ };                                                     \
                                                                                                                       \
		return cmocka_run_group_tests_name(name, tests, NULL, NULL);                                           \
	}

#endif
