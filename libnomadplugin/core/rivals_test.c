/* SPDX-License-Identifier: MPL-2.0
 *
 * Of one allocation and task name one run lives: a start replaces another, a
 * start is cancelled, and both happen while a driver's start() runs. */
#include "core/testing.h"

/* ---- A driver whose start() takes as long as the test wants ---- */

static int inside, go_on; /* atomic */
static bool listens;	  /* start() asks whether it is cancelled */

static int slow_start(struct nomad_task *task, struct nomad_error **err)
{
	int r = script_start(task, err);

	__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST);
	while (r >= 0 && !__atomic_load_n(&go_on, __ATOMIC_SEQ_CST)) {
		if (listens && nomad_task_is_cancelled(task))
			r = nomad_error_set(err, EINTR, "the driver noticed it");
		usleep(2000);
	}
	__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
	return r;
}

static struct nomad_plugin *slow_plugin(const struct nomad_driver *like)
{
	static struct nomad_driver driver;

	driver = *like;
	driver.start = slow_start;
	__atomic_store_n(&go_on, 0, __ATOMIC_SEQ_CST);
	listens = false;
	return plugin_up(&driver);
}

static void let_go(void)
{
	__atomic_store_n(&go_on, 1, __ATOMIC_SEQ_CST);
}

/* A StartTask on a thread of its own. */
struct call {
	struct nomad_plugin *plugin;
	const char *tail, *alloc;
	struct nomad__caller *caller;
	pthread_t thread;
	int r;
	char text[512];
};

static void *run_call(void *arg)
{
	struct call *call = arg;
	NOMAD_AUTO_FREE void *config = NULL;
	struct nomad__started started = { 0 };
	struct nomad_task_info info = info_of(id_of(call->tail));
	struct nomad_error *err = NULL;
	size_t size;

	config_of(&script_schema, "{}", &config, &size);
	assert_int_equal(nomad_map_set(&info.env, "PATH", "/usr/bin:/bin"), 0);
	call->r = nomad__task_start(call->plugin, call->caller, &info, config, size, &started, &err);
	snprintf(call->text, sizeof(call->text), "%s", call->r < 0 ? nomad_error_message(err) : "");
	nomad__started_done(&started);
	nomad_error_free(err);
	return NULL;
}

static void call_start(struct call *call, struct nomad_plugin *plugin, const char *tail)
{
	*call = (struct call){ .plugin = plugin, .tail = tail, .caller = nomad__caller_new() };
	assert_int_equal(pthread_create(&call->thread, NULL, run_call, call), 0);
}

static void ended(struct call *call, int r, const char *said)
{
	pthread_join(call->thread, NULL);
	nomad__caller_unref(call->caller);
	if (call->r != r || (said && !strstr(call->text, said)))
		fail_msg("%s gave %d '%s'", call->tail, call->r, call->text);
}

static bool is_known(struct nomad_plugin *plugin, const char *tail)
{
	struct nomad_task *task = nomad__task_find(plugin, id_of(tail));

	nomad__task_unref(task);
	return task;
}

/* ---- Runs that are over with their start ---- */

static void test_known(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	struct answer a = ANSWER_INIT;
	struct nomad__sub *sub;
	int one, other;

	(void)state;
	must_start(plugin, id_of("web/1"), "{}", NULL);
	must_start(plugin, id_of("web-2/1"), "{}", NULL);
	one = pid_of(plugin, id_of("web/1"));
	other = pid_of(plugin, id_of("web-2/1"));
	assert_int_equal(nomad__task_wait(plugin, id_of("web/1"), on_wait, &a, &sub, NULL), 0);
	must_start(plugin, id_of("web/2"), "{}", NULL);
	assert_false(lives(one));
	assert_true(lives(other));
	assert_true(lives(pid_of(plugin, id_of("web/2"))));
	assert_false(is_known(plugin, "web/1"));
	assert_int_equal(answer_of(&a), 0);
	assert_int_equal(a.exit.signal, SIGKILL);
	nomad__sub_cancel(sub);
	assert_int_equal(count_in("state/tasks"), 2);
	must_destroy(plugin, id_of("web/2"));
	must_destroy(plugin, id_of("web-2/1"));
	nomad__plugin_free(plugin);
}

/* Another plugin started it, and died. */
static void test_recorded(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *starts[] = { "{}", "{\"script\": \"exit 3\"}", "{\"remote\": true}" };
	char tail[16];
	int pid;

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(starts); i++) {
		snprintf(tail, sizeof(tail), "web/%zu", i);
		must_start(plugin, id_of(tail), starts[i], NULL);
		must_start(plugin, id_of("web-2/1"), "{}", NULL);
		pid = pid_of(plugin, id_of(tail));
		nomad__plugin_free(plugin);
		plugin = plugin_up(&script_driver);
		must_start(plugin, id_of("web/9"), "{}", NULL);
		assert_false(pid && lives(pid));
		assert_int_equal(count_in("state/tasks"), 2);
		assert_int_equal(count_in("things"), 2);
		must_destroy(plugin, id_of("web/9"));
	}
	must_destroy(plugin, id_of("web-2/1"));
	nomad__plugin_free(plugin);
}

/* Nothing is started while another one may live. */
static void test_not_ended(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver), *other;
	struct nomad__started started;
	struct nomad_error *err = NULL;

	(void)state;
	must_start(plugin, id_of("web/1"), "{}", NULL);
	destroy_stuck = true;
	assert_int_equal(start_task(plugin, id_of("web/2"), "{}", &started, &err), -EBUSY);
	assert_non_null(strstr(nomad_error_message(err), "end an earlier run of the same task: "));
	assert_non_null(strstr(nomad_error_message(err), "told to be stuck"));
	assert_true(nomad_error_is_retryable(err));
	nomad_error_free(NOMAD_TAKE_PTR(err));
	assert_false(is_known(plugin, "web/2"));
	assert_int_equal(count_in("state/tasks"), 1);
	destroy_stuck = false;
	must_start(plugin, id_of("web/2"), "{}", NULL);
	/* Another living plugin has it: its start may just run. */
	other = plugin_up(&script_driver);
	assert_int_equal(start_task(other, id_of("web/3"), "{}", &started, &err), -EBUSY);
	assert_non_null(strstr(nomad_error_message(err), "another running instance"));
	assert_true(nomad_error_is_retryable(err));
	nomad_error_free(err);
	assert_true(lives(pid_of(plugin, id_of("web/2"))));
	nomad__plugin_free(plugin);
	must_start(other, id_of("web/3"), "{}", NULL);
	assert_int_equal(count_in("state/tasks"), 1);
	must_destroy(other, id_of("web/3"));
	nomad__plugin_free(other);
}

/* A record that cannot be read may be of another run. */
static void test_not_read(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	NOMAD_AUTO_FREE char *slug = nomad__slug(id_of("web/1"));
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/state/tasks/%s/task", test_base, slug);
	NOMAD_AUTO_FREE char *aside = nomad_strdupf("%s/aside", test_base);
	struct nomad__started started;
	struct nomad_error *err = NULL;
	int pid;

	(void)state;
	must_start(plugin, id_of("web/1"), "{}", NULL);
	pid = pid_of(plugin, id_of("web/1"));
	nomad__plugin_free(plugin);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	plugin = plugin_up(&script_driver);
	assert_int_equal(start_task(plugin, id_of("web/2"), "{}", &started, &err), -EISDIR);
	assert_non_null(strstr(nomad_error_message(err), "end an earlier run of the same task: read the record"));
	assert_true(nomad_error_is_retryable(err));
	nomad_error_free(err);
	assert_true(lives(pid));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(aside, path), 0);
	must_start(plugin, id_of("web/2"), "{}", NULL);
	assert_false(lives(pid));
	must_destroy(plugin, id_of("web/2"));
	nomad__plugin_free(plugin);
}

/* A configuration that is wrong ends nothing. */
static void test_wrong_config(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	struct nomad_task_info info = info_of(id_of("web/2"));
	struct nomad__started started;

	(void)state;
	must_start(plugin, id_of("web/1"), "{}", NULL);
	assert_int_equal(nomad__task_start(plugin, NULL, &info, "\x81\xa3xyz\x01", 6, &started, NULL), -EINVAL);
	assert_true(lives(pid_of(plugin, id_of("web/1"))));
	must_destroy(plugin, id_of("web/1"));
	nomad__plugin_free(plugin);
}

/* ---- While start() runs ---- */

/* The later one wins, whether the driver notices or not. */
static void test_two_starts(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct nomad_plugin *plugin = slow_plugin(i < 2 ? &script_driver : &remote_driver);
		struct call one, two, three;

		listens = i % 2;
		call_start(&one, plugin, "web/1");
		wait_until(__atomic_load_n(&inside, __ATOMIC_SEQ_CST) == 1);
		call_start(&two, plugin, "web/2");
		wait_until(is_known(plugin, "web/2"));
		if (listens)
			wait_until(!is_known(plugin, "web/1"));
		call_start(&three, plugin, "web/3");
		wait_until(is_known(plugin, "web/3"));
		let_go();
		ended(&one, -ECANCELED, "cancelled: a newer run");
		ended(&two, -ECANCELED, "a newer run");
		ended(&three, 0, NULL);
		assert_true(lives(pid_of(plugin, id_of("web/3"))));
		assert_int_equal(count_in("state/tasks"), 1);
		assert_int_equal(count_in("things"), 1);
		must_destroy(plugin, id_of("web/3"));
		nomad__plugin_free(plugin);
		nothing_left();
	}
}

static void test_caller_leaves(void **state)
{
	struct nomad_plugin *plugin = slow_plugin(&script_driver);
	struct call call;

	(void)state;
	call_start(&call, plugin, "web/1");
	wait_until(__atomic_load_n(&inside, __ATOMIC_SEQ_CST) == 1);
	nomad__caller_leave(call.caller);
	let_go();
	ended(&call, -ECANCELED, "cancelled: the caller has disconnected");
	nothing_left();
	/* And one that notices. */
	__atomic_store_n(&go_on, 0, __ATOMIC_SEQ_CST);
	listens = true;
	call_start(&call, plugin, "web/1");
	wait_until(__atomic_load_n(&inside, __ATOMIC_SEQ_CST) == 1);
	nomad__caller_leave(call.caller);
	ended(&call, -ECANCELED, "cancelled: the caller has disconnected");
	nothing_left();
	/* It was gone from the beginning: nothing is started, nothing ended. */
	let_go();
	must_start(plugin, id_of("web/2"), "{}", NULL);
	call = (struct call){ .plugin = plugin, .tail = "web/3", .caller = nomad__caller_new() };
	nomad__caller_leave(call.caller);
	run_call(&call);
	nomad__caller_unref(call.caller);
	assert_int_equal(call.r, -ECANCELED);
	assert_true(lives(pid_of(plugin, id_of("web/2"))));
	must_destroy(plugin, id_of("web/2"));
	nomad__plugin_free(plugin);
}

/* Who asks for the same id in the meantime has it. */
static void test_adopted(void **state)
{
	struct nomad_plugin *plugin = slow_plugin(&script_driver);
	struct nomad__started nothing = { 0 };
	struct call one, two;

	(void)state;
	call_start(&one, plugin, "web/1");
	wait_until(__atomic_load_n(&inside, __ATOMIC_SEQ_CST) == 1);
	nomad__caller_leave(one.caller);
	{
		struct nomad_task *task = nomad__task_find(plugin, id_of("web/1"));

		assert_true(nomad_task_is_cancelled(task));
		call_start(&two, plugin, "web/1");
		wait_until(!nomad_task_is_cancelled(task));
		nomad__task_unref(task);
	}
	let_go();
	ended(&one, 0, NULL);
	ended(&two, 0, NULL);
	assert_true(lives(pid_of(plugin, id_of("web/1"))));
	assert_int_equal(recover_task(plugin, id_of("web/1"), &nothing, NULL), 0);
	must_destroy(plugin, id_of("web/1"));
	/* The second one disconnects as well; then a third one starts again. */
	__atomic_store_n(&go_on, 0, __ATOMIC_SEQ_CST);
	listens = true;
	call_start(&one, plugin, "web/1");
	wait_until(__atomic_load_n(&inside, __ATOMIC_SEQ_CST) == 1);
	nomad__caller_leave(one.caller);
	ended(&one, -ECANCELED, NULL);
	call_start(&two, plugin, "web/1");
	wait_until(__atomic_load_n(&inside, __ATOMIC_SEQ_CST) == 1);
	let_go();
	ended(&two, 0, NULL);
	must_destroy(plugin, id_of("web/1"));
	nomad__plugin_free(plugin);
}

/* Nomad does not want it any more. */
static void test_stopped(void **state)
{
	struct nomad_plugin *plugin = slow_plugin(&script_driver);
	struct call call;

	(void)state;
	listens = true;
	call_start(&call, plugin, "web/1");
	wait_until(__atomic_load_n(&inside, __ATOMIC_SEQ_CST) == 1);
	assert_int_equal(stop_task(plugin, id_of("web/1"), INT64_C(600000000000), ""), 0);
	ended(&call, -ECANCELED, "cancelled: Nomad stops the task");
	nothing_left();
	call_start(&call, plugin, "web/1");
	wait_until(__atomic_load_n(&inside, __ATOMIC_SEQ_CST) == 1);
	must_destroy(plugin, id_of("web/1"));
	ended(&call, -ECANCELED, "cancelled: Nomad destroys the task");
	nothing_left();
	nomad__plugin_free(plugin);
}

/* A process that is never ready. */
static int notify_start(struct nomad_task *task, struct nomad_error **err)
{
	const char *argv[] = { "/bin/sleep", "1000", NULL };
	const struct nomad_command command = { .argv = argv, .notify = true, .ready_timeout_ms = 3600000 };

	return nomad_task_run(task, &command, err);
}

static void test_not_ready(void **state)
{
	static struct nomad_driver driver;
	NOMAD_AUTO_FREE char *mark = alloc_mark();
	struct nomad_plugin *plugin;
	struct call call;

	(void)state;
	driver = script_driver;
	driver.start = notify_start;
	plugin = plugin_up(&driver);
	call_start(&call, plugin, "web/1");
	wait_until(process_with(mark));
	nomad__caller_leave(call.caller);
	ended(&call, -ECANCELED, "the caller has disconnected");
	nothing_left();
	nomad__plugin_free(plugin);
}

/* ---- All at once ---- */

enum { STARTERS = 6, ROUNDS = 40 };

static struct nomad_plugin *storm_plugin;
static int storm_ids, wrong;

/* As agents that die: start, perhaps leave, never look back. */
static void *starter(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct call call = { .plugin = storm_plugin, .caller = nomad__caller_new() };
		char tail[32];

		snprintf(tail, sizeof(tail), "web/%d", __atomic_add_fetch(&storm_ids, 1, __ATOMIC_SEQ_CST));
		call.tail = tail;
		pthread_create(&call.thread, NULL, run_call, &call);
		(void)usleep(rand_r(&seed) % 4000);
		if (rand_r(&seed) % 2)
			nomad__caller_leave(call.caller);
		pthread_join(call.thread, NULL);
		nomad__caller_unref(call.caller);
		if (call.r < 0 && call.r != -ECANCELED) {
			print_error("%s: %s\n", tail, call.text);
			__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
		}
	}
	return NULL;
}

static void test_storm(void **state)
{
	struct nomad_plugin *plugin = storm_plugin = plugin_up(&script_driver);
	pthread_t threads[STARTERS];

	(void)state;
	storm_ids = wrong = 0;
	for (uintptr_t i = 0; i < STARTERS; i++)
		pthread_create(&threads[i], NULL, starter, (void *)(i + 1));
	for (int i = 0; i < STARTERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(wrong, 0);
	assert_true(count_in("state/tasks") <= 1);
	must_start(plugin, id_of("web/last"), "{}", NULL);
	assert_int_equal(count_in("state/tasks"), 1);
	assert_int_equal(count_in("things"), 1);
	must_destroy(plugin, id_of("web/last"));
	nomad__plugin_free(plugin);
}

MAIN("rivals", T(test_known), T(test_recorded), T(test_not_ended), T(test_not_read), T(test_wrong_config),
     T(test_two_starts), T(test_caller_leaves), T(test_adopted), T(test_stopped), T(test_not_ready), T(test_storm))
