/* SPDX-License-Identifier: MPL-2.0
 *
 * How often a task waits for the disk.  Each wait costs a start milliseconds:
 * what is worthless in another boot is not waited for, what a driver creates
 * beyond this host is. */
#include "core/testing.h"

static int syncs, name_syncs;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fdatasync(int fd)
{
	__atomic_add_fetch(&syncs, 1, __ATOMIC_SEQ_CST);
	return __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		__atomic_add_fetch(&name_syncs, 1, __ATOMIC_SEQ_CST);
	else
		__atomic_add_fetch(&syncs, 1, __ATOMIC_SEQ_CST);
	return __real_fsync(fd);
}

static void check(int want, int want_names)
{
	assert_int_equal(__atomic_exchange_n(&syncs, 0, __ATOMIC_SEQ_CST), want);
	assert_int_equal(__atomic_exchange_n(&name_syncs, 0, __ATOMIC_SEQ_CST), want_names);
}

static void test_supervised(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");

	(void)state;
	check(0, 0);
	must_start(plugin, id, "{}", NULL);
	check(1, 2); /* the driver's thing, with who it is and the names of file and directory */
	assert_int_equal(stop_task(plugin, id, INT64_C(60000000000), ""), 0);
	must_destroy(plugin, id);
	check(0, 0); /* the exit record is the supervisor's */
	nomad__plugin_free(plugin);
}

static void test_remote(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&remote_driver);
	const char *id = id_of("vm/1");

	(void)state;
	must_start(plugin, id, "{\"remote\": true}", NULL);
	check(2, 2); /* and that it runs */
	must_destroy(plugin, id);
	check(1, 0); /* that it is to go */
	nomad__plugin_free(plugin);
}

MAIN("durable", T(test_supervised), T(test_remote))
