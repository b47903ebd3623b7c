/* SPDX-License-Identifier: MPL-2.0
 *
 * Commands in a task. */
#include "core/testing.h"

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
	for (int i = 0; i < 50; i++) { /* its end may be reported before it is open */
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

/* destroy() of the driver does not run at the same time as its exec(). */
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

MAIN("exec", T(test_exec), T(test_exec_while_destroyed))
