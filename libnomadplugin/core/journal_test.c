/* SPDX-License-Identifier: MPL-2.0 */
#include "core/journal.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], path[128];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/nomad-record-test-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/task", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir);
}

static void write_file(const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

static size_t read_file(char *buffer, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, buffer, size - 1);

	assert_true(n >= 0);
	close(fd);
	buffer[n] = 0;
	return (size_t)n;
}

static struct nomad__journal opened(bool create)
{
	struct nomad__journal record = NOMAD__JOURNAL_INIT;
	struct nomad_error *err = NULL;

	if (nomad__journal_open(&record, path, create, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
	return record;
}

static void put(struct nomad__journal *record, const char *key, const char *value)
{
	struct nomad_error *err = NULL;

	if (nomad__journal_put(record, key, value, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
}

static void test_round_trip(void **state)
{
	static const char *const values[] = {
		"", "a", "a b", "=", "a=b=c", "\n", "\\", "\\n", "a\\\nb\n\n\\\\", "\\\\n", "ü\t\x01\xff"
	};
	struct nomad__journal record = opened(true);
	struct stat st;
	char key[16];

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(values); i++) {
		snprintf(key, sizeof(key), "k.%zu-_", i);
		put(&record, key, values[i]);
	}
	put(&record, "twice", "one");
	put(&record, "twice", "two");
	put(&record, "gone", "x");
	nomad__journal_forget(&record, "gone");
	nomad__journal_forget(&record, "never");
	nomad__journal_close(&record);
	assert_int_equal(record.fd, -1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);

	record = opened(false);
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(values); i++) {
		snprintf(key, sizeof(key), "k.%zu-_", i);
		assert_string_equal(nomad_map_get(&record.map, key), values[i]);
	}
	assert_string_equal(nomad_map_get(&record.map, "twice"), "two");
	assert_null(nomad_map_get(&record.map, "gone"));
	assert_int_equal(record.map.count, NOMAD_ARRAY_LEN(values) + 1);
	nomad__journal_close(&record);
}

static void test_put_all(void **state)
{
	struct nomad__journal record = opened(true);

	(void)state;
	assert_int_equal(nomad_map_set(&record.map, "a", "1\n"), 0);
	assert_int_equal(nomad_map_set(&record.map, "b", "2"), 0);
	assert_int_equal(nomad__journal_put_all(&record, NULL), 0);
	nomad__journal_close(&record);
	record = opened(false);
	assert_int_equal(record.map.count, 2);
	assert_string_equal(nomad_map_get(&record.map, "a"), "1\n");
	assert_int_equal(nomad_map_set(&record.map, "BAD", "2"), 0);
	assert_int_equal(nomad__journal_put_all(&record, NULL), -EINVAL);
	nomad__journal_close(&record);
}

/* Truncated anywhere, the lines before the cut are read, the rest is not, and
 * what is put afterwards stands alone. */
static void test_torn(void **state)
{
	static const char text[] = "id=x/y/z\nboot=b\\nc\nstarted=1\n";

	(void)state;
	for (size_t cut = 0; cut < sizeof(text); cut++) {
		struct nomad__journal record;
		struct stat st;

		write_file(text, cut);
		record = opened(false);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, cut); /* looking changes nothing */
		assert_int_equal(!!nomad_map_get(&record.map, "id"), cut >= 9);
		assert_int_equal(!!nomad_map_get(&record.map, "boot"), cut >= 19);
		assert_int_equal(!!nomad_map_get(&record.map, "started"), cut >= sizeof(text) - 1);
		put(&record, "new", "value");
		nomad__journal_close(&record);
		record = opened(false);
		assert_string_equal(nomad_map_get(&record.map, "new"), "value");
		assert_int_equal(record.map.count, 1 + (cut >= 9) + (cut >= 19) + (cut >= sizeof(text) - 1));
		nomad__journal_close(&record);
	}
}

static void test_hostile(void **state)
{
	static const char text[] = "UPPER=1\n=x\n\na b=1\nnul=\0x\nok=1\nkey-only-never-set\n"
				   "too-long-too-long-too-long-too-long-too-long-too-long-too-long-too-long=1\nlast=\\";
	struct nomad__journal record;
	unsigned seed = 1;

	(void)state;
	write_file(text, sizeof(text) - 1);
	record = opened(false);
	assert_int_equal(record.map.count, 1);
	assert_string_equal(nomad_map_get(&record.map, "ok"), "1");
	nomad__journal_close(&record);
	for (int i = 0; i < 200; i++) {
		char noise[512];

		for (size_t j = 0; j < sizeof(noise); j++)
			noise[j] = "ab=\n\\\0c."[rand_r(&seed) % 8];
		write_file(noise, sizeof(noise));
		record = opened(false);
		put(&record, "k", "v");
		nomad__journal_close(&record);
		record = opened(false);
		assert_string_equal(nomad_map_get(&record.map, "k"), "v");
		nomad__journal_close(&record);
	}
}

static void test_limits(void **state)
{
	struct nomad__journal record = opened(true);
	char *value = malloc(NOMAD__JOURNAL_MAX_VALUE + 2), key[80];
	struct nomad_error *err = NULL;
	struct stat st;
	int n = 0, r;

	(void)state;
	memset(value, '\n', NOMAD__JOURNAL_MAX_VALUE + 1);
	value[NOMAD__JOURNAL_MAX_VALUE + 1] = 0;
	assert_int_equal(nomad__journal_put(&record, "k", value, &err), -EINVAL);
	assert_non_null(strstr(nomad_error_message(err), "'k'"));
	nomad_error_free(err);
	err = NULL;
	value[NOMAD__JOURNAL_MAX_VALUE] = 0;
	put(&record, "k", value);
	assert_int_equal(nomad__journal_put(&record, "", "x", NULL), -EINVAL);
	assert_int_equal(nomad__journal_put(&record, "A", "x", NULL), -EINVAL);
	assert_int_equal(nomad__journal_put(&record, "a\n", "x", NULL), -EINVAL);
	memset(key, 'k', sizeof(key));
	key[65] = 0;
	assert_int_equal(nomad__journal_put(&record, key, "x", NULL), -EINVAL);
	key[64] = 0;
	put(&record, key, "x");
	while ((r = nomad__journal_put(&record, "k", value, &err)) == 0)
		assert_true(++n < 1000);
	assert_int_equal(r, -EFBIG);
	assert_non_null(strstr(nomad_error_message(err), path));
	nomad_error_free(err);
	nomad__journal_close(&record);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size <= NOMAD__JOURNAL_MAX_SIZE);
	record = opened(false);
	assert_string_equal(nomad_map_get(&record.map, key), "x");
	nomad__journal_close(&record);
	assert_int_equal(truncate(path, NOMAD__JOURNAL_MAX_SIZE + 1), 0);
	assert_int_equal(nomad__journal_open(&record, path, false, NULL), -EFBIG);
	free(value);
}

static void test_open_errors(void **state)
{
	struct nomad__journal record = NOMAD__JOURNAL_INIT;
	char other[160];

	(void)state;
	assert_int_equal(nomad__journal_open(&record, path, false, NULL), -ENOENT);
	assert_int_equal(record.fd, -1);
	assert_int_equal(nomad__journal_put(&record, "a", "b", NULL), -EBADF);
	snprintf(other, sizeof(other), "%s/other", dir);
	write_file("a=b\n", 4);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(nomad__journal_open(&record, path, true, NULL), -ELOOP);
	assert_int_equal(unlink(other), 0);
}

/* A full disk: the error names the file, the record is as before, and it can
 * be written again once there is room. */
static void test_no_space(void **state)
{
	struct nomad__journal record;
	struct nomad_error *err = NULL;
	char big[4000], mounted[128], filler[160], text[200];
	int fd, status, n = 0;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0) {
		/* A private file system that no other process sees. */
		if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("none", dir, "tmpfs", 0, "size=16k") < 0)
			_exit(77);
		snprintf(mounted, sizeof(mounted), "%s/task", dir);
		snprintf(filler, sizeof(filler), "%s/filler", dir);
		record = opened(true);
		put(&record, "first", "1");
		fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		memset(big, 'x', sizeof(big));
		big[sizeof(big) - 1] = 0;
		while (write(fd, big, sizeof(big)) > 0)
			;
		while (nomad__journal_put(&record, "big", big, &err) == 0)
			assert_true(++n < 10);
		assert_int_equal(nomad_error_code(err), ENOSPC);
		assert_non_null(strstr(nomad_error_message(err), mounted));
		assert_int_equal(nomad__journal_put(&record, "big", big, NULL), -ENOSPC);
		assert_int_equal(ftruncate(fd, 0), 0);
		put(&record, "second", "2");
		nomad__journal_close(&record);
		read_file(text, sizeof(text));
		record = opened(false);
		assert_string_equal(nomad_map_get(&record.map, "first"), "1");
		assert_string_equal(nomad_map_get(&record.map, "second"), "2");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The same by a limit on the size of files, which cuts a write in the middle. */
static void test_short_write(void **state)
{
	struct nomad__journal record = opened(true);
	struct rlimit old, small;
	char text[256];

	(void)state;
	put(&record, "a", "1");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 10;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_true(nomad__journal_put(&record, "b", "0123456789", NULL) < 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_null(nomad_map_get(&record.map, "b"));
	put(&record, "c", "3");
	nomad__journal_close(&record);
	read_file(text, sizeof(text));
	assert_string_equal(text, "a=1\nc=3\n");
}

static void test_claim(void **state)
{
	struct nomad__journal one = opened(true), two = opened(false);

	(void)state;
	assert_int_equal(nomad__journal_claim(&one, 0), 0);
	assert_int_equal(nomad__journal_claim(&one, 0), 0);
	assert_int_equal(nomad__journal_claim(&two, 0), -EWOULDBLOCK);
	assert_int_equal(nomad__journal_claim(&two, 30), -EWOULDBLOCK);
	nomad__journal_close(&one);
	assert_int_equal(nomad__journal_claim(&two, 0), 0);
	/* Removed and made again behind its back. */
	one = opened(false);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(nomad__journal_claim(&two, 0), -ESTALE);
	nomad__journal_close(&two);
	two = opened(true);
	assert_int_equal(nomad__journal_claim(&one, 0), -ESTALE);
	assert_int_equal(nomad__journal_claim(&two, 0), 0);
	nomad__journal_close(&one);
	nomad__journal_close(&two);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_round_trip),  T(test_put_all),  T(test_torn),	    T(test_hostile), T(test_limits),
		T(test_open_errors), T(test_no_space), T(test_short_write), T(test_claim),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
