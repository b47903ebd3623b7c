/* SPDX-License-Identifier: MPL-2.0
 *
 * A plugin after another one: what it recovers, and what is lost. */
#include "core/testing.h"

#include "core/handle.h"

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
	/* An unknown task; the plugin does not read a directory that is not its own. */
	handle = good;
	handle.state_dir = (char *)"/etc";
	not_recovered(plugin, id_of("other/1"), &handle, ENOENT, "lost");
	assert_true(lives(pid));
	/* The supervisor was killed: the task is lost, its leftovers are removed. */
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

MAIN("recover", T(test_recover), T(test_end_while_down), T(test_not_recovered), T(test_moved_state_dir),
     T(test_supervisor_dies))
