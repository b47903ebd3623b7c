/* SPDX-License-Identifier: MPL-2.0
 *
 * The plugin (or the supervisor) is killed at each step of start, destroy and
 * recover, followed by what Nomad does then: StartTask with the same id, or
 * RecoverTask, or DestroyTask.  One instance or none, and nothing left. */
#include "core/testing.h"

static const char *const start_steps[] = {
	"core-start-intent", "core-start-recorded", "core-run-recorded", "start-recorded",    "start-launched",
	"start-sent",	     "start-answered",	    "core-run-started",	 "core-start-driver", "core-start-done",
	"super-detached",    "super-recorded",	    "super-listening",	 "super-cgroups",     "super-forked",
	"super-main",	     "super-execed",	    "super-started",
};
static const char *const destroy_steps[] = {
	"core-tidy-begin",   "clean-begin", "clean-killed", "clean-removed", "core-tidy-killed", "core-tidy-destroyed",
	"core-tidy-removed", "super-kill",  "super-empty",  "super-written", "super-exit",
};
static const char *const recover_steps[] = { "attach-connected", "core-recover-attached" };

static const char marked[] = "{\"script\": \"while :; do sleep 1000; done # instance $ALLOC\"}";

/* Processes that run the script of this test (its shell; what it runs has no mark). */
static int instances(void)
{
	NOMAD_AUTO_FREE char *needle = nomad_strdupf("BASE=%s", test_base);
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int n = 0;

	while ((entry = readdir(dir))) {
		char path[300], buffer[4096];
		ssize_t size;
		int fd;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/environ", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		size = fd < 0 ? -1 : read(fd, buffer, sizeof(buffer));
		if (fd >= 0)
			close(fd);
		if (size <= 0 || !memmem(buffer, (size_t)size, needle, strlen(needle)))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/cmdline", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		size = fd < 0 ? -1 : read(fd, buffer, sizeof(buffer));
		if (fd >= 0)
			close(fd);
		n += size > 0 && memmem(buffer, (size_t)size, "# instance", 10);
	}
	closedir(dir);
	return n;
}

/* In a process of its own that is to die at `step`; returns its wait status. */
static int in_child(const char *step,
		    void (*act)(struct nomad_plugin *plugin, const char *id, const struct nomad__started *handle),
		    const char *id, const struct nomad__started *handle)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct nomad_plugin *plugin;
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(null, 2);
		setenv("NOMAD_DRIVER_CRASH_AT", step, 1);
		alarm(120);
		plugin = plugin_up(&script_driver);
		act(plugin, id, handle);
		/* Where only the supervisor dies, the plugin does too, but later. */
		_exit(42);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (strncmp(step, "super-", 6) != 0 && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		fail_msg("%s is not on the way (status %x)", step, status);
	return status;
}

static void do_start(struct nomad_plugin *plugin, const char *id, const struct nomad__started *handle)
{
	struct nomad__started started;

	(void)handle;
	(void)!start_task(plugin, id, marked, &started, NULL);
}

static void do_destroy(struct nomad_plugin *plugin, const char *id, const struct nomad__started *handle)
{
	(void)recover_task(plugin, id, handle, NULL);
	(void)!nomad__task_destroy(plugin, id, true, NULL);
}

static void do_destroy_unknown(struct nomad_plugin *plugin, const char *id, const struct nomad__started *handle)
{
	(void)handle;
	(void)!nomad__task_destroy(plugin, id, true, NULL);
}

static void do_recover(struct nomad_plugin *plugin, const char *id, const struct nomad__started *handle)
{
	(void)!recover_task(plugin, id, handle, NULL);
}

static void test_start_then_start(void **state)
{
	const char *id = id_of("web/1");

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(start_steps); i++) {
		struct nomad_plugin *plugin;

		(void)in_child(start_steps[i], do_start, id, NULL);
		plugin = plugin_up(&script_driver);
		must_start(plugin, id, marked, NULL);
		wait_until(instances() == 1);
		/* And so it stays: what was about to be born is not born later. */
		usleep(50000);
		wait_until(instances() == 1); /* for a moment a shell that forks is two */
		assert_int_equal(count_in("things"), 1);
		assert_int_equal(stop_task(plugin, id, INT64_C(60000000000), "TERM"), 0);
		assert_int_equal(must_wait(plugin, id, NULL).signal, SIGTERM);
		must_destroy(plugin, id);
		nothing_left();
		wait_until(instances() == 0);
		nomad__plugin_free(plugin);
	}
}

static void test_start_then_destroy(void **state)
{
	const char *id = id_of("web/1");

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(start_steps); i++) {
		struct nomad_plugin *plugin;

		(void)in_child(start_steps[i], do_start, id, NULL);
		plugin = plugin_up(&script_driver);
		must_destroy(plugin, id);
		nothing_left();
		wait_until(instances() == 0);
		usleep(20000);
		nothing_left();
		assert_int_equal(instances(), 0);
		nomad__plugin_free(plugin);
	}
}

/* Nomad speaks of it never again: gc finds it. */
static void count_removed(void *ud, const struct nomad__disk_task *task, const char *why, const struct nomad_error *err)
{
	assert_non_null(why);
	(void)task;
	if (err)
		fail_msg("%s", nomad_error_message(err));
	++*(int *)ud;
}

static void test_start_then_gc(void **state)
{
	const char *id = id_of("web/1");

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(start_steps); i++) {
		struct nomad_plugin *plugin;
		bool runs = false;
		int n = 0;

		(void)in_child(start_steps[i], do_start, id, NULL);
		plugin = plugin_up(&script_driver);
		assert_int_equal(nomad__plugin_init(plugin, NULL), 0);
		for (int round = 0; round < 100 && !runs && count_in("state/tasks"); round++) {
			assert_int_equal(nomad__gc(plugin, 0, count_removed, &n, NULL), 0);
			/* A task that runs is not garbage.  Look once: it may be about to die with its supervisor. */
			runs = instances() != 0;
			if (!runs)
				usleep(20000);
		}
		if (runs) {
			assert_int_equal(n, 0);
			must_destroy(plugin, id);
		}
		nothing_left();
		nomad__plugin_free(plugin);
	}
}

static void test_destroy_then_destroy(void **state)
{
	const char *id = id_of("web/1");

	(void)state;
	for (size_t i = 0; i < 2 * NOMAD_ARRAY_LEN(destroy_steps); i++) {
		const char *step = destroy_steps[i / 2];
		struct nomad_plugin *plugin;
		struct nomad__started handle;

		/* A supervisor has its crash point from its birth. */
		if (strncmp(step, "super-", 6) == 0)
			setenv("NOMAD_DRIVER_CRASH_AT", step, 1);
		plugin = plugin_up(&script_driver);
		must_start(plugin, id, marked, &handle);
		nomad__plugin_free(plugin);
		unsetenv("NOMAD_DRIVER_CRASH_AT");
		(void)in_child(step, i % 2 ? do_destroy : do_destroy_unknown, id, &handle);
		plugin = plugin_up(&script_driver);
		must_destroy(plugin, id);
		nothing_left();
		wait_until(instances() == 0);
		/* The id is as new. */
		must_start(plugin, id, marked, NULL);
		must_destroy(plugin, id);
		nomad__started_done(&handle);
		nomad__plugin_free(plugin);
	}
}

static void test_recover_then_recover(void **state)
{
	const char *id = id_of("web/1");

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(recover_steps); i++) {
		struct nomad_plugin *plugin = plugin_up(&script_driver);
		struct nomad_error *err = NULL;
		struct nomad__started handle;

		must_start(plugin, id, marked, &handle);
		nomad__plugin_free(plugin);
		(void)in_child(recover_steps[i], do_recover, id, &handle);
		plugin = plugin_up(&script_driver);
		if (recover_task(plugin, id, &handle, &err) < 0)
			fail_msg("%s: %s", recover_steps[i], nomad_error_message(err));
		wait_until(instances() == 1);
		assert_int_equal(stop_task(plugin, id, INT64_C(60000000000), "TERM"), 0);
		assert_int_equal(must_wait(plugin, id, NULL).signal, SIGTERM);
		must_destroy(plugin, id);
		nomad__started_done(&handle);
		nomad__plugin_free(plugin);
	}
}

MAIN("crash", T(test_start_then_start), T(test_start_then_destroy), T(test_start_then_gc), T(test_destroy_then_destroy),
     T(test_recover_then_recover))
