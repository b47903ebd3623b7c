/* SPDX-License-Identifier: MPL-2.0
 *
 * Tasks that the plugin holds and no agent has. */
#include "core/testing.h"

static void on_fingerprint(void *ud, const struct nomad__fingerprint_view *fp)
{
	(void)ud;
	(void)fp;
}

/* As an agent: two streams, and a WaitTask for each task that it has. */
struct agent {
	struct nomad__sub *fingerprint, *events, *waits[2];
	struct answer answers[2];
};

static void come(struct agent *agent, struct nomad_plugin *plugin)
{
	*agent = (struct agent){ .answers = { ANSWER_INIT, ANSWER_INIT } };
	agent->fingerprint = nomad__fingerprint_subscribe(plugin, on_fingerprint, NULL);
	agent->events = nomad__events_subscribe(plugin, hear_event, NULL);
}

static void wait_for(struct agent *agent, struct nomad_plugin *plugin, int i, const char *id)
{
	assert_int_equal(nomad__task_wait(plugin, id, on_wait, &agent->answers[i], &agent->waits[i], NULL), 0);
}

static void leave(struct agent *agent)
{
	nomad__sub_cancel(agent->waits[0]);
	nomad__sub_cancel(agent->waits[1]);
	nomad__sub_cancel(agent->fingerprint);
	nomad__sub_cancel(agent->events);
}

static bool is_known(struct nomad_plugin *plugin, const char *id)
{
	struct nomad_task *task = nomad__task_find(plugin, id);

	nomad__task_unref(task);
	return task;
}

/* The agent dies, and the next one has lost some of the handles. */
static void test_forgotten(void **state)
{
	struct nomad_plugin *plugin = plugin_with(&script_driver, "\"gc_grace\": 1");
	const char *asked = id_of("asked/1"), *waited = id_of("waited/1"), *forgotten = id_of("forgotten/1"),
		   *ended = id_of("ended/1"), *now = id_of("now/1");
	struct nomad__started handle;
	struct agent agent;
	int pid;

	(void)state;
	come(&agent, plugin);
	must_start(plugin, asked, "{}", &handle);
	must_start(plugin, waited, "{}", NULL);
	must_start(plugin, forgotten, "{}", NULL);
	must_start(plugin, ended, "{\"script\": \"exit 3\"}", NULL);
	(void)must_wait(plugin, ended, NULL);
	wait_for(&agent, plugin, 0, waited);
	pid = pid_of(plugin, forgotten);
	/* An agent that lives may take its time. */
	sleep(3);
	assert_true(lives(pid));
	/* Without any, nothing is ended. */
	leave(&agent);
	sleep(3);
	assert_true(lives(pid));
	assert_true(is_known(plugin, ended));
	come(&agent, plugin);
	must_start(plugin, now, "{}", NULL);
	assert_int_equal(recover_task(plugin, asked, &handle, NULL), 0);
	wait_for(&agent, plugin, 0, waited);
	wait_until(!is_known(plugin, forgotten) && !is_known(plugin, ended));
	assert_false(lives(pid));
	sleep(3);
	assert_true(lives(pid_of(plugin, asked)));
	assert_true(lives(pid_of(plugin, waited)));
	assert_true(lives(pid_of(plugin, now)));
	assert_int_equal(count_in("state/tasks"), 3);
	/* The next one has none of them; a WaitTask alone is enough. */
	leave(&agent);
	come(&agent, plugin);
	wait_for(&agent, plugin, 0, waited);
	wait_until(!is_known(plugin, asked) && !is_known(plugin, now));
	assert_true(lives(pid_of(plugin, waited)));
	leave(&agent);
	must_destroy(plugin, waited);
	nomad__started_done(&handle);
	nomad__plugin_free(plugin);
}

static void must_go_unstuck(struct nomad_plugin *plugin, const char *id)
{
	assert_true(is_known(plugin, id));
	__atomic_store_n(&destroy_stuck, false, __ATOMIC_SEQ_CST);
	wait_until(!is_known(plugin, id));
}

/* What cannot be ended is tried again. */
static void test_stuck(void **state)
{
	struct nomad_plugin *plugin = plugin_with(&script_driver, "\"gc_grace\": 1");
	const char *id = id_of("web/1");
	struct agent agent;

	(void)state;
	come(&agent, plugin);
	must_start(plugin, id, "{}", NULL);
	leave(&agent);
	destroy_stuck = true;
	come(&agent, plugin);
	wait_until(__atomic_load_n(&destroy_calls, __ATOMIC_SEQ_CST) >= 2);
	must_go_unstuck(plugin, id);
	leave(&agent);
	nomad__plugin_free(plugin);
}

/* Nomad does not repeat a DestroyTask that failed, even if it stays. */
static void test_destroy_failed(void **state)
{
	struct nomad_plugin *plugin = plugin_with(&script_driver, "\"gc_grace\": 1");
	const char *id = id_of("web/1");
	struct agent agent;

	(void)state;
	come(&agent, plugin);
	must_start(plugin, id, "{}", NULL);
	destroy_stuck = true;
	assert_int_equal(nomad__task_destroy(plugin, id, true, NULL), -EBUSY);
	must_go_unstuck(plugin, id);
	leave(&agent);
	nomad__plugin_free(plugin);
}

/* A RecoverTask that is handled after its agent's death does not count as a claim of the next agent. */
static void test_late_recovery(void **state)
{
	struct nomad_plugin *plugin = plugin_with(&script_driver, "\"gc_grace\": 1");
	const char *id = id_of("web/1");
	struct nomad_task_info info = info_of(id);
	struct nomad__started handle;
	struct agent agent;
	int64_t asked_ns;

	(void)state;
	come(&agent, plugin);
	must_start(plugin, id, "{}", &handle);
	asked_ns = nomad_monotonic_ns();
	leave(&agent);
	come(&agent, plugin);
	assert_int_equal(
		nomad__task_recover(plugin, &info, handle.driver_state, handle.driver_state_size, asked_ns, NULL), 0);
	wait_until(!is_known(plugin, id));
	leave(&agent);
	nomad__started_done(&handle);
	nomad__plugin_free(plugin);
}

/* gc_grace 0: never. */
static void test_off(void **state)
{
	struct nomad_plugin *plugin = plugin_with(&script_driver, "\"gc_grace\": 0");
	const char *id = id_of("web/1");
	struct agent agent;

	(void)state;
	come(&agent, plugin);
	must_start(plugin, id, "{}", NULL);
	leave(&agent);
	come(&agent, plugin);
	sleep(3);
	assert_true(lives(pid_of(plugin, id)));
	leave(&agent);
	must_destroy(plugin, id);
	nomad__plugin_free(plugin);
}

MAIN("orphans", T(test_forgotten), T(test_stuck), T(test_destroy_failed), T(test_late_recovery), T(test_off))
