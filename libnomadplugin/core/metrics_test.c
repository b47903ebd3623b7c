/* SPDX-License-Identifier: MPL-2.0 */
#include "core/testing.h"

static void has(struct nomad_plugin *plugin, const char *line)
{
	if (!metrics_have(plugin, line))
		fail_msg("there is no line %s", line);
}

static void test_tasks(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *exits = id_of("exits/1"), *killed = id_of("killed/1"), *runs = id_of("runs/1"),
		   *fails = id_of("fails/1");
	struct nomad__started handle = { 0 }, other = { 0 };
	struct nomad_error *err = NULL;

	(void)state;
	must_start(plugin, exits, "{\"script\": \"exit 3\"}", &other);
	assert_int_equal(must_wait(plugin, exits, NULL).exit_code, 3);
	nomad__started_done(&other);
	must_start(plugin, killed, "{\"script\": \"kill -9 $$\"}", &other);
	assert_int_equal(must_wait(plugin, killed, NULL).signal, 9);
	nomad__started_done(&other);
	must_start(plugin, runs, "{}", &handle);
	assert_true(start_task(plugin, fails, "{\"fail\": \"made\"}", &other, &err) < 0);
	nomad_error_free(err);
	has(plugin, "nomad_driver_tasks{driver=\"script\",state=\"running\"} 1");
	has(plugin, "nomad_driver_tasks{driver=\"script\",state=\"exited\"} 2");
	has(plugin, "nomad_driver_task_starts_total{driver=\"script\",result=\"started\"} 3");
	has(plugin, "nomad_driver_task_starts_total{driver=\"script\",result=\"failed\"} 1");
	has(plugin, "nomad_driver_task_ends_total{driver=\"script\",kind=\"exit\"} 1");
	has(plugin, "nomad_driver_task_ends_total{driver=\"script\",kind=\"signal\"} 1");
	has(plugin, "nomad_driver_task_ends_total{driver=\"script\",kind=\"lost\"} 0");
	nomad__plugin_free(plugin);

	plugin = plugin_up(&script_driver);
	assert_int_equal(recover_task(plugin, runs, &handle, NULL), 0);
	has(plugin, "nomad_driver_task_recovers_total{driver=\"script\",result=\"recovered\"} 1");
	has(plugin, "nomad_driver_tasks{driver=\"script\",state=\"running\"} 1");
	must_destroy(plugin, runs);
	assert_int_equal(recover_task(plugin, runs, &handle, NULL), -ENOENT);
	has(plugin, "nomad_driver_task_recovers_total{driver=\"script\",result=\"lost\"} 1");
	has(plugin, "nomad_driver_task_ends_total{driver=\"script\",kind=\"signal\"} 1");
	has(plugin, "nomad_driver_tasks{driver=\"script\",state=\"running\"} 0");
	must_destroy(plugin, exits);
	must_destroy(plugin, killed);
	nomad__started_done(&handle);
	nomad__plugin_free(plugin);
}

/* Off by default, and where no agent is served: the wire has not named its calls. */
static void test_off(void **state)
{
	NOMAD_AUTO_FREE char *extra = nomad_strdupf("\"metrics\": {\"socket\": \"%s/m.sock\"}", test_base);
	static const struct nomad__rpc rpcs[] = { { "/a.B/Start", true } };
	struct nomad_error *err = NULL;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct nomad_plugin *plugin = plugin_with(&script_driver, i == 0 ? NULL : extra);

		if (i != 1)
			assert_int_equal(nomad__metrics_calls(plugin->metrics, rpcs, 1, NULL), 0);
		assert_int_equal(nomad__plugin_init(plugin, &err), 0);
		if (i == 2)
			assert_non_null(plugin->metrics_server);
		else
			assert_null(plugin->metrics_server);
		nomad__plugin_free(plugin);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tasks, place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(test_off, place_set_up, place_tear_down),
	};

	return cmocka_run_group_tests_name("core/metrics", tests, NULL, NULL);
}
