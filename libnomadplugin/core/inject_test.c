/* SPDX-License-Identifier: MPL-2.0
 *
 * Each call that can fail on the way of a start, an exec, a stop, a destroy
 * and a recovery fails once, one run each; in the plugin and in the
 * supervisor.  Every time: an error that names something, or none; nothing
 * is left of it; and the next start works.
 *
 * All of it takes a minute or more, on a busy machine many: by default every
 * third call is taken, another third each time.  INJECT_STRIDE=1 takes all (make soak),
 * INJECT_OFFSET repeats a run. */
#include "core/testing.h"

#include <semaphore.h>
#include <time.h>

#include "base/log.h"
#include "inject.h"

/* The same id every time: leftovers of one start break the next one. */
#define WEB id_of("web/1")

static int stride = 3, offset, fds_before;
static int worked, failed; /* how the runs ended */
static const char *name;
static int number;

static bool has_fired(char *ret, size_t size)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/fired", test_base);
	FILE *f = fopen(path, "re");

	ret[0] = 0;
	if (!f)
		return false;
	if (fgets(ret, (int)size, f))
		ret[strcspn(ret, "\n")] = 0;
	fclose(f);
	unlink(path);
	return true;
}

static void tell(const char *what, const char *text)
{
	char fired[64];

	if (has_fired(fired, sizeof(fired)))
		name = fired;
	fail_msg("call %d (%s): %s: %s", number, name ? name : "?", what, text ? text : "no message");
}

static void must_be_named(int r, struct nomad_error *err)
{
	if (r >= 0)
		return;
	if (!err || nomad_error_code(err) != -r || strlen(nomad_error_message(err)) < 12)
		tell("an error without a name", err ? nomad_error_message(err) : NULL);
}

/* No process, record, thing, cgroup or descriptor. */
static void must_be_clean(const char *after)
{
	NOMAD_AUTO_FREE char *slug = nomad__slug(WEB);
	NOMAD_AUTO_FREE char *mark = alloc_mark();
	int64_t end = nomad_monotonic_ns() + INT64_C(10000000000);
	bool clean = false;

	while (!clean && nomad_monotonic_ns() < end) {
		clean = count_in("state/tasks") == 0 && count_in("things") == 0 && !process_with(mark) &&
			!cgroup_with(slug) && count_entries("/proc/self/fd") <= fds_before;
		if (!clean)
			usleep(5000);
	}
	if (clean)
		return;
	printf("# records %d, things %d, processes %d, cgroups %d, descriptors %d of %d\n", count_in("state/tasks"),
	       count_in("things"), process_with(mark), cgroup_with(slug), count_entries("/proc/self/fd"), fds_before);
	tell("something is left", after);
}

struct prepared {
	struct nomad_task_info info;
	void *config;
	size_t size;
};

static void prepare(struct prepared *p)
{
	*p = (struct prepared){ .info = info_of(WEB) };
	config_of(&script_schema,
		  "{\"network\": true, \"script\": \"trap 'exit 3' TERM; : >$BASE/up; while :; do sleep 0.01; done\"}",
		  &p->config, &p->size);
	assert_int_equal(nomad_map_set(&p->info.env, "BASE", test_base), 0);
	assert_int_equal(nomad_map_set(&p->info.env, "PATH", "/usr/bin:/bin"), 0);
}

static int start_prepared(struct nomad_plugin *plugin, struct prepared *p, struct nomad__started *ret,
			  struct nomad_error **err)
{
	return nomad__task_start(plugin, NULL, &p->info, p->config, p->size, ret, err);
}

static void await_up(void)
{
	NOMAD_AUTO_FREE char *up = nomad_strdupf("%s/up", test_base);

	wait_until(access(up, F_OK) == 0);
}

static void is_there(void *ud)
{
	sem_post(ud);
}

/* What was posted to the loop is done: the next call that fails is not one of it. */
static void settle(struct nomad_plugin *plugin)
{
	sem_t there;

	sem_init(&there, 0, 0);
	assert_int_equal(nomad__loop_post(plugin->loop, is_there, &there), 0);
	while (sem_wait(&there) < 0)
		;
	sem_destroy(&there);
}

/* What comes next works, whatever was before. */
static void next_works(struct nomad_plugin *plugin, struct nomad__started *ret)
{
	NOMAD_AUTO_FREE char *up = nomad_strdupf("%s/up", test_base);
	struct nomad_error *err = NULL;
	struct nomad__started started;
	struct prepared p;

	(void)unlink(up);
	prepare(&p);
	if (start_prepared(plugin, &p, &started, &err) < 0)
		tell("the next start", nomad_error_message(err));
	free(p.config);
	settle(plugin);
	if (ret)
		*ret = started;
	else
		nomad__started_done(&started);
}

static void destroy_works(struct nomad_plugin *plugin)
{
	struct nomad_error *err = NULL;

	if (nomad__task_destroy(plugin, WEB, true, &err) < 0)
		tell("DestroyTask", nomad_error_message(err));
}

/* ---- What is done with a call that fails ---- */

static void do_start(struct nomad_plugin *plugin, enum inject_kind kind)
{
	struct nomad__started started = { 0 };
	struct nomad_error *err = NULL;
	struct prepared p;
	int r;

	prepare(&p);
	inject_arm(kind, number);
	r = start_prepared(plugin, &p, &started, &err);
	if (!inject_disarm(&name))
		number = -1;
	free(p.config);
	must_be_named(r, err);
	nomad_error_free(err);
	nomad__started_done(&started);
	if (r < 0) {
		failed++;
		must_be_clean("a start that failed");
	} else {
		worked++;
		destroy_works(plugin);
	}
	if (r < 0 && kind == INJECT_EINTR)
		tell("not invisible", "a start");
}

static void do_exec(struct nomad_plugin *plugin, enum inject_kind kind)
{
	const char *const argv[] = { "/bin/sh", "-c", "echo yes; exit 3", NULL };
	struct answer a = ANSWER_INIT;
	struct nomad_error *err = NULL;
	int r;

	next_works(plugin, NULL);
	inject_arm(kind, number);
	r = nomad__task_exec(plugin, WEB, argv, INT64_C(60000000000), on_exec, &a, &err);
	if (r >= 0 && !answer_within(&a, 90))
		tell("ExecTask", "it is never answered");
	if (!inject_disarm(&name))
		number = -1;
	must_be_named(r, err);
	nomad_error_free(err);
	if (r < 0 || a.r < 0) {
		failed++;
		if (r >= 0 && strlen(a.text) < 12)
			tell("ExecTask", a.text);
		if (kind == INJECT_EINTR)
			tell("not invisible", a.text);
	} else {
		worked++;
		assert_int_equal(a.exit.exit_code, 3);
	}
	destroy_works(plugin);
}

static void do_stop(struct nomad_plugin *plugin, enum inject_kind kind)
{
	struct answer stop = ANSWER_INIT, wait = ANSWER_INIT;
	struct nomad_error *err = NULL;
	struct nomad__sub *sub = NULL;
	int r;

	next_works(plugin, NULL);
	await_up();
	if (nomad__task_wait(plugin, WEB, on_wait, &wait, &sub, NULL) < 0)
		tell("WaitTask", NULL);
	inject_arm(kind, number);
	r = nomad__task_stop(plugin, WEB, INT64_C(60000000000), "SIGTERM", on_stop, &stop, &err);
	if (r >= 0 && !answer_within(&stop, 90))
		tell("StopTask", "it is never answered");
	if (r >= 0 && stop.r >= 0 && !answer_within(&wait, 90))
		tell("WaitTask", "it is never answered");
	if (!inject_disarm(&name))
		number = -1;
	must_be_named(r, err);
	nomad_error_free(err);
	if (r < 0 || stop.r < 0) {
		failed++;
		if (kind == INJECT_EINTR)
			tell("not invisible", "a stop");
		/* Nomad tries again. */
		if (stop_task(plugin, WEB, INT64_C(60000000000), "SIGTERM") < 0)
			tell("StopTask again", NULL);
	} else {
		worked++;
	}
	if (!answer_within(&wait, 90))
		tell("WaitTask", "it is never answered");
	if (wait.exit.exit_code != 3)
		tell("the exit code", wait.text);
	nomad__sub_cancel(sub);
	destroy_works(plugin);
}

static void do_destroy(struct nomad_plugin *plugin, enum inject_kind kind)
{
	const char *const argv[] = { "/bin/sleep", "1000", NULL };
	struct nomad_error *err = NULL;
	struct answer a = ANSWER_INIT;
	int r;

	next_works(plugin, NULL);
	if (nomad__task_exec(plugin, WEB, argv, 0, on_exec, &a, NULL) < 0)
		tell("ExecTask", NULL);
	inject_arm(kind, number);
	r = nomad__task_destroy(plugin, WEB, true, &err);
	if (!inject_disarm(&name))
		number = -1;
	must_be_named(r, err);
	nomad_error_free(err);
	if (r < 0)
		failed++;
	else
		worked++;
	if (r < 0 && kind == INJECT_EINTR)
		tell("not invisible", "a destroy");
	destroy_works(plugin);
	if (!answer_within(&a, 90))
		tell("ExecTask", "it is never answered");
}

/* The plugin is another one afterwards. */
static void do_recover(struct nomad_plugin **plugin, enum inject_kind kind)
{
	struct nomad__started handle;
	struct nomad_error *err = NULL;
	struct nomad_task_info info = info_of(WEB);
	int r;

	next_works(*plugin, &handle);
	nomad__plugin_free(*plugin);
	*plugin = plugin_up(&script_driver);
	assert_int_equal(nomad__plugin_init(*plugin, NULL), 0);
	assert_int_equal(nomad_map_set(&info.env, "BASE", test_base), 0);
	inject_arm(kind, number);
	r = nomad__task_recover(*plugin, &info, handle.driver_state, handle.driver_state_size, nomad_monotonic_ns(),
				&err);
	if (!inject_disarm(&name))
		number = -1;
	must_be_named(r, err);
	nomad_error_free(err);
	nomad__started_done(&handle);
	if (r < 0)
		failed++;
	else
		worked++;
	if (r < 0 && kind == INJECT_EINTR)
		tell("not invisible", "a recovery");
	destroy_works(*plugin);
}

/* ---- In the plugin ---- */

enum act { START, EXEC, STOP, DESTROY, RECOVER };

static void all_of(enum act act, enum inject_kind kind)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	int step = kind == INJECT_EINTR ? 1 : stride, n = 1 + offset % step; /* few can be interrupted */

	/* What is made once and kept. */
	number = 0;
	next_works(plugin, NULL);
	await_up();
	destroy_works(plugin);
	wait_until(!cgroup_with("web-"));
	usleep(20000);
	fds_before = count_entries("/proc/self/fd");
	worked = failed = 0;
	for (number = n; number > 0; number = number < 0 ? -1 : (n += step)) {
		switch (act) {
		case START:
			do_start(plugin, kind);
			break;
		case EXEC:
			do_exec(plugin, kind);
			break;
		case STOP:
			do_stop(plugin, kind);
			break;
		case DESTROY:
			do_destroy(plugin, kind);
			break;
		case RECOVER:
			do_recover(&plugin, kind);
			break;
		}
		must_be_clean("a call that failed");
		if (n > 5000)
			tell("calls", "there is no end of them");
	}
	next_works(plugin, NULL);
	destroy_works(plugin);
	nomad__plugin_free(plugin);
	printf("# %d calls, stride %d: %d runs failed, %d worked\n", n, step, failed, worked);
	assert_true(n > 2 * step);
}

static void test_start(void **state)
{
	(void)state;
	all_of(START, INJECT_ERRORS);
}
static void test_exec(void **state)
{
	(void)state;
	all_of(EXEC, INJECT_ERRORS);
}
static void test_stop(void **state)
{
	(void)state;
	all_of(STOP, INJECT_ERRORS);
}
static void test_destroy(void **state)
{
	(void)state;
	all_of(DESTROY, INJECT_ERRORS);
}
static void test_recover(void **state)
{
	(void)state;
	all_of(RECOVER, INJECT_ERRORS);
}
static void test_start_eintr(void **state)
{
	(void)state;
	all_of(START, INJECT_EINTR);
}
static void test_exec_eintr(void **state)
{
	(void)state;
	all_of(EXEC, INJECT_EINTR);
}
static void test_recover_eintr(void **state)
{
	(void)state;
	all_of(RECOVER, INJECT_EINTR);
}

/* ---- In the supervisor ---- */

/* Start, exec, stop, end: in the order of a life. */
static void one_life(struct nomad_plugin *plugin, enum inject_kind kind)
{
	NOMAD_AUTO_FREE char *file = nomad_strdupf("%s/fired", test_base);
	struct nomad_error *err = NULL;
	struct nomad__started started;
	struct answer a = ANSWER_INIT, stop = ANSWER_INIT, wait = ANSWER_INIT;
	struct nomad__sub *sub = NULL;
	struct prepared p;
	int r;

	prepare(&p);
	inject_supervisor(kind, number, file);
	r = start_prepared(plugin, &p, &started, &err);
	inject_supervisor(kind, 0, NULL);
	free(p.config);
	must_be_named(r, err);
	if (r < 0) {
		if (kind == INJECT_EINTR)
			tell("not invisible", nomad_error_message(err));
		nomad_error_free(err);
		failed++;
		must_be_clean("a start that failed");
		return;
	}
	worked++;
	nomad__started_done(&started);
	if (nomad__task_wait(plugin, WEB, on_wait, &wait, &sub, NULL) < 0)
		tell("WaitTask", NULL);
	if (exec_task(plugin, WEB, "exit 5", INT64_C(60000000000), &a) == 0 && a.exit.exit_code != 5 &&
	    a.exit.exit_code != 126 && a.exit.exit_code != 127)
		tell("the exit code of a command", a.text);
	if (kind == INJECT_EINTR && (a.r < 0 || a.exit.exit_code != 5))
		tell("not invisible", a.text);
	if (nomad__task_stop(plugin, WEB, INT64_C(60000000000), "SIGKILL", on_stop, &stop, NULL) < 0)
		tell("StopTask", NULL);
	if (!answer_within(&stop, 90) || !answer_within(&wait, 90))
		tell("StopTask or WaitTask", "it is never answered");
	if (wait.exit.signal != SIGKILL && strlen(wait.text) < 12)
		tell("the end", wait.text);
	nomad__sub_cancel(sub);
	destroy_works(plugin);
}

static void all_of_supervisor(enum inject_kind kind)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	int silent = 0, fired = 0;
	char what[64];

	number = 0;
	next_works(plugin, NULL);
	destroy_works(plugin);
	usleep(20000);
	fds_before = count_entries("/proc/self/fd");
	worked = failed = 0;
	/* Its later calls are not the same each time: it looks at processes that come and go. */
	for (number = 1 + offset % stride; silent < 5 && number < 3000; number += kind == INJECT_EINTR ? 1 : stride) {
		name = "of the supervisor";
		one_life(plugin, kind);
		if (has_fired(what, sizeof(what))) {
			fired++;
			silent = 0;
		} else {
			silent++;
		}
		must_be_clean(what);
		next_works(plugin, NULL);
		destroy_works(plugin);
		must_be_clean("the next one");
	}
	nomad__plugin_free(plugin);
	printf("# %d calls failed of %d: %d starts failed, %d worked\n", fired, number, failed, worked);
	assert_true(fired > 3);
}

static void test_supervisor(void **state)
{
	(void)state;
	all_of_supervisor(INJECT_ERRORS);
}
static void test_supervisor_eintr(void **state)
{
	(void)state;
	all_of_supervisor(INJECT_EINTR);
}

struct stream {
	sem_t over;
	int r;
};

static bool on_output(void *ud, int fd, const void *data, size_t size)
{
	(void)ud;
	(void)fd;
	(void)data;
	(void)size;
	return true;
}

static void on_stream_end(void *ud, int r, const struct nomad_exit *result, const struct nomad_error *err)
{
	struct stream *stream = ud;

	(void)result;
	(void)err;
	stream->r = r;
	sem_post(&stream->over);
}

/* Input for a command that there is no memory for ends it with an error; no byte is dropped in silence. */
static void test_exec_input(void **state)
{
	static const struct nomad__exec_events events = { on_output, on_stream_end };
	static const char *const argv[] = { "/bin/cat", NULL };
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	struct nomad__exec_stream *stream;
	struct stream seen;

	(void)state;
	sem_init(&seen.over, 0, 0);
	next_works(plugin, NULL);
	await_up();
	assert_int_equal(nomad__exec_open(plugin, WEB, argv, false, &events, &seen, &stream, NULL), 0);
	settle(plugin);
	inject_arm(INJECT_ERRORS, 1);
	(void)nomad__exec_stdin(stream, "lost", 4);
	assert_true(inject_disarm(&name));
	assert_string_equal(name, "realloc");
	nomad__exec_stdin_close(stream);
	while (sem_wait(&seen.over) < 0)
		;
	assert_int_equal(seen.r, -ENOMEM);
	nomad__exec_close(stream);
	sem_destroy(&seen.over);
	destroy_works(plugin);
	nomad__plugin_free(plugin);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(test_start),	       T(test_exec),
		T(test_stop),	       T(test_destroy),
		T(test_recover),       T(test_supervisor),
		T(test_start_eintr),   T(test_exec_eintr),
		T(test_recover_eintr), T(test_supervisor_eintr),
		T(test_exec_input),
	};

	if (getenv("INJECT_STRIDE"))
		stride = atoi(getenv("INJECT_STRIDE")) > 0 ? atoi(getenv("INJECT_STRIDE")) : 1;
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	offset = getenv("INJECT_OFFSET") ? atoi(getenv("INJECT_OFFSET")) : (int)(time(NULL) % 1000);
	setlinebuf(stdout);
	printf("# offset %d\n", offset);
	nomad__log_setup(NOMAD__LOG_TEXT, "inject", NOMAD_LOG_ERROR);
	return cmocka_run_group_tests_name("inject", tests, NULL, NULL);
}
