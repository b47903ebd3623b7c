/* SPDX-License-Identifier: MPL-2.0
 *
 * Lines of a file become events: each once, also by the plugin's successor;
 * lines that are cut off, too long or without an end.  nomad_task_event_by_id()
 * is ours here (the linker's --wrap). */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "host.h"

static char top[] = "/tmp/events_test.XXXXXX", path[128];
static char told[64 << 10];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int __wrap_nomad_task_event_by_id(struct nomad_plugin *plugin, const char *id, const char *message);
int __wrap_nomad_task_event_by_id(struct nomad_plugin *plugin, const char *id, const char *message)
{
	size_t used;

	(void)plugin;
	pthread_mutex_lock(&lock);
	used = strlen(told);
	snprintf(told + used, sizeof(told) - used, "%s|%s\n", id, message);
	pthread_mutex_unlock(&lock);
	return 0;
}

static void append(const char *text, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	assert_true(fd >= 0 && write(fd, text, n) == (ssize_t)n);
	close(fd);
}

static void append_text(const char *text)
{
	append(text, strlen(text));
}

static bool is_told(const char *want)
{
	bool is;

	pthread_mutex_lock(&lock);
	is = strcmp(told, want) == 0;
	pthread_mutex_unlock(&lock);
	return is;
}

static void expect(const char *want)
{
	int i;

	for (i = 0; i < 3000 && !is_told(want); i++)
		usleep(10000);
	assert_string_equal(told, want);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(top, "/tmp/events_test.XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(path, sizeof(path), "%s/events", top);
	*told = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return build_tree_remove(top);
}

static void test_lines(void **state)
{
	struct build_events *events = build_events_new(NULL);

	(void)state;
	assert_int_equal(build_events_follow(events, "a", path), 0);
	append_text("one\ntwo\nhal");
	expect("a|one\na|two\n");
	append_text("f\n");
	expect("a|one\na|two\na|half\n");
	append_text("last\nnever ended");
	build_events_finish(events, "a");
	expect("a|one\na|two\na|half\na|last\n");
	build_events_finish(events, "a"); /* twice, and of one that is not known */
	build_events_finish(events, "b");
	append_text("late\n");
	build_events_free(events);
	assert_true(is_told("a|one\na|two\na|half\na|last\n"));
	build_events_free(NULL);
}

/* Where one stopped its successor goes on; a mark that is nonsense is the beginning. */
static void test_successor(void **state)
{
	struct build_events *events = build_events_new(NULL);
	char mark[160];
	int fd;

	(void)state;
	append_text("one\n");
	assert_int_equal(build_events_follow(events, "a", path), 0);
	expect("a|one\n");
	build_events_finish(events, "a");
	build_events_free(events);
	append_text("two\n");
	events = build_events_new(NULL);
	assert_int_equal(build_events_follow(events, "a", path), 0);
	expect("a|one\na|two\n");
	build_events_finish(events, "a");
	*told = 0;
	snprintf(mark, sizeof(mark), "%s.told", path);
	fd = open(mark, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, 0), 8);
	assert_int_equal(build_events_follow(events, "a", path), 0);
	expect("a|one\na|two\n");
	build_events_finish(events, "a");
	*told = 0;
	assert_int_equal(ftruncate(fd, 3), 0);
	close(fd);
	assert_int_equal(build_events_follow(events, "a", path), 0);
	expect("a|one\na|two\n");
	build_events_free(events); /* while it is followed */
}

static void test_strange_lines(void **state)
{
	struct build_events *events = build_events_new(NULL);
	static char line[3000];
	size_t i, told_x = 0;

	(void)state;
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	append(line, sizeof(line));
	append("\n\n", 2);
	append("nul\0hidden\n", 11);
	append_text("%s%n \xff\xfe\n");
	assert_int_equal(build_events_follow(events, "a", path), 0);
	for (i = 0; i < 3000 && !strstr(told, "%s%n"); i++)
		usleep(10000);
	build_events_free(events);
	assert_non_null(strstr(told, "a|%s%n \xff\xfe\n"));
	assert_null(strstr(told, "hidden")); /* it is no text: its beginning does */
	assert_non_null(strstr(told, "a|nul\n"));
	/* In pieces, but whole. */
	for (i = 0; told[i]; i++)
		told_x += told[i] == 'x'; /* of that line alone */
	assert_int_equal(told_x, sizeof(line) - 1);
}

static void test_not_to_be_had(void **state)
{
	struct build_events *events = build_events_new(NULL);

	(void)state;
	assert_true(build_events_follow(events, "a", "/nonexistent/events") < 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_true(build_events_follow(events, "a", path) < 0);
	build_events_finish(events, "a");
	build_events_free(events);
	assert_true(is_told(""));
}

static void test_many(void **state)
{
	struct build_events *events = build_events_new(NULL);
	char id[16], file[96];
	int i;

	(void)state;
	for (i = 0; i < 50; i++) {
		snprintf(id, sizeof(id), "task-%d", i);
		snprintf(file, sizeof(file), "%s/events-%d", top, i);
		assert_int_equal(build_events_follow(events, id, file), 0);
		snprintf(path, sizeof(path), "%s", file);
		append_text("x\n");
	}
	for (i = 0; i < 50; i++) {
		snprintf(id, sizeof(id), "task-%d", i);
		build_events_finish(events, id);
		snprintf(file, sizeof(file), "%s|x\n", id);
		assert_non_null(strstr(told, file));
	}
	build_events_free(events);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_lines), T(test_successor), T(test_strange_lines), T(test_not_to_be_had), T(test_many),
	};

	return cmocka_run_group_tests_name("build/events", tests, NULL, NULL);
}
