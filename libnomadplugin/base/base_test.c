/* SPDX-License-Identifier: MPL-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mount.h"
#include "nomad/base.h"
#include "nomad/error.h"

static void maps_keep_order_and_replace(void **state)
{
	struct nomad_map map = { 0 }, copy;

	(void)state;
	assert_int_equal(nomad_map_set(&map, "b", "1"), 0);
	assert_int_equal(nomad_map_set(&map, "a", "2"), 0);
	assert_int_equal(nomad_map_set(&map, "b", "3"), 0);
	assert_int_equal(map.count, 2);
	assert_string_equal(map.pairs[0].key, "b");
	assert_string_equal(nomad_map_get(&map, "b"), "3");
	assert_null(nomad_map_get(&map, "c"));
	assert_int_equal(nomad_map_copy(&copy, &map), 0);
	nomad_map_remove(&map, "b");
	assert_int_equal(map.count, 1);
	assert_string_equal(map.pairs[0].key, "a");
	assert_string_equal(nomad_map_get(&copy, "b"), "3");
	nomad_map_remove(&map, "b");
	assert_int_equal(map.count, 1);
	nomad_map_done(&map);
	nomad_map_done(&copy);
	nomad_map_done(NULL);
	assert_int_equal(nomad_map_copy(&copy, &map), 0);
	assert_null(copy.pairs);
}

static void maps_remove_from_the_middle(void **state)
{
	struct nomad_map map = { 0 };

	(void)state;
	for (const char *key = "abcd"; *key; key++) {
		char name[] = { *key, '\0' };

		assert_int_equal(nomad_map_set(&map, name, name), 0);
	}
	nomad_map_remove(&map, "b");
	assert_int_equal(map.count, 3);
	assert_string_equal(map.pairs[0].value, "a");
	assert_string_equal(map.pairs[1].value, "c");
	assert_string_equal(map.pairs[2].value, "d");
	nomad_map_done(&map);
	assert_int_equal(map.count, 0);
	assert_null(map.pairs);
}

static void int_maps_tell_absent_from_zero(void **state)
{
	struct nomad_int_map map = { 0 };
	int64_t value = 7;

	(void)state;
	assert_int_equal(nomad_int_map_set(&map, "http", 0), 0);
	assert_true(nomad_int_map_get(&map, "http", &value));
	assert_int_equal(value, 0);
	assert_false(nomad_int_map_get(&map, "https", &value));
	assert_int_equal(value, 0);
	assert_int_equal(nomad_int_map_set(&map, "https", 443), 0);
	assert_int_equal(nomad_int_map_set(&map, "http", 80), 0);
	assert_int_equal(map.count, 2);
	assert_true(nomad_int_map_get(&map, "http", &value));
	assert_int_equal(value, 80);
	assert_true(nomad_int_map_get(&map, "https", &value));
	assert_int_equal(value, 443);
	nomad_int_map_done(&map);
	assert_int_equal(map.count, 0);
	nomad_int_map_done(NULL);
}

/* Both are part of formats on disk: these values are the published ones of FNV-1a. */
static void hashes_are_fnv_1a(void **state)
{
	(void)state;
	assert_true(nomad_hash32("", 0) == 0x811c9dc5);
	assert_true(nomad_hash32("foobar", 6) == 0xbf9cf968);
	assert_true(nomad_hash64("", 0) == UINT64_C(0xcbf29ce484222325));
	assert_true(nomad_hash64("foobar", 6) == UINT64_C(0x85944171f73967e8));
}

static void clocks_are_those_of_the_system(void **state)
{
	int64_t wall = nomad_wall_ns(), now = nomad_monotonic_ns(), later;
	struct timespec t;

	(void)state;
	assert_in_range(wall / 1000000000, (uint64_t)time(NULL) - 5, (uint64_t)time(NULL) + 5);
	clock_gettime(CLOCK_MONOTONIC, &t);
	assert_in_range(t.tv_sec - now / 1000000000, 0, 5);
	usleep(20000);
	later = nomad_monotonic_ns();
	assert_in_range(later - now, 20000000, INT64_C(5000000000));
}

enum { MORE_THAN_A_PIPE = 1 << 20 };

static void *read_slowly(void *fd)
{
	size_t *total = calloc(1, sizeof(*total));
	char buf[40000];
	ssize_t n;

	while ((n = read(*(int *)fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != (char)((*total + (size_t)i) % 251))
				return total;
		*total += (size_t)n;
	}
	return total;
}

static void write_all_writes_every_byte_in_order(void **state)
{
	char *data = malloc(MORE_THAN_A_PIPE);
	pthread_t reader;
	void *total;
	int fds[2];

	(void)state;
	for (size_t i = 0; i < MORE_THAN_A_PIPE; i++)
		data[i] = (char)(i % 251);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&reader, NULL, read_slowly, &fds[0]), 0);
	assert_int_equal(nomad_write_all(fds[1], data, MORE_THAN_A_PIPE), 0);
	assert_int_equal(nomad_write_all(fds[1], data, 0), 0);
	close(fds[1]);
	pthread_join(reader, &total);
	assert_int_equal(*(size_t *)total, MORE_THAN_A_PIPE);
	free(total);
	free(data);
	close(fds[0]);
}

static void write_all_says_why_it_failed(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(nomad_write_all(-1, "x", 1), -EBADF);
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	close(fds[0]);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(nomad_write_all(fds[1], "x", 1), -EPIPE);
	close(fds[1]);
}

static void descriptors_and_pointers_have_one_owner(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), kept;

	(void)state;
	{
		NOMAD_AUTO_FD int own = fd;

		kept = NOMAD_TAKE_FD(own);
	}
	assert_int_equal(fcntl(kept, F_GETFD), FD_CLOEXEC);
	{
		NOMAD_AUTO_FD int own = kept;

		(void)own;
		errno = ENOTTY;
	}
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(fcntl(kept, F_GETFD), -1);
}

static void mounts_are_told_apart(void **state)
{
	int root = open("/", O_RDONLY | O_CLOEXEC);
	int proc = open("/proc", O_RDONLY | O_CLOEXEC), other = open("/proc/self", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_false(nomad__same_mount(root, -1));
	assert_false(nomad__same_mount(-1, root));
	if (other >= 0 &&
	    nomad__same_mount(root, root)) { /* else there is no such tree, or the kernel is older than 5.8 */
		assert_true(nomad__same_mount(proc, other));
		assert_false(nomad__same_mount(root, proc));
	}
	close(root);
	close(proc);
	close(other);
}

static void vectors_grow_and_copy(void **state)
{
	NOMAD_AUTO_STRV char **v = NULL;
	NOMAD_AUTO_STRV char **copy = NULL;

	(void)state;
	assert_int_equal(nomad_strv_count(NULL), 0);
	assert_int_equal(nomad_strv_add(&v, "a"), 0);
	assert_int_equal(nomad_strv_addf(&v, "%d", 5), 0);
	assert_int_equal(nomad_strv_count((const char *const *)v), 2);
	copy = nomad_strv_copy((const char *const *)v);
	assert_string_equal(copy[1], "5");
	assert_null(copy[2]);
}

static void errors_wrap_from_outer_to_inner(void **state)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;

	(void)state;
	assert_int_equal(nomad_error_errno(&err, ENOENT, "open '%s'", "/x"), -ENOENT);
	assert_int_equal(nomad_error_wrap(&err, "start machine '%s'", "web"), -ENOENT);
	assert_string_equal(nomad_error_message(err), "start machine 'web': open '/x': no such file or directory");
	assert_int_equal(nomad_error_code(err), ENOENT);
	assert_false(nomad_error_is_retryable(err));
	assert_int_equal(nomad_error_retryable(&err), -ENOENT);
	assert_true(nomad_error_is_retryable(err));
}

static void errors_are_one_line_and_null_means_do_not_care(void **state)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;

	(void)state;
	assert_int_equal(nomad_error_set(NULL, EINVAL, "x"), -EINVAL);
	assert_int_equal(nomad_error_wrap(NULL, "x"), -EINVAL);
	nomad_error_set(&err, EIO, "a\nb\r\tc");
	assert_string_equal(nomad_error_message(err), "a b  c");
	nomad_error_set(&err, EIO, "\033[2Ja\177");
	assert_int_equal(nomad_error_wrap(&err, "%s", "\033]0;x\a\n"), -EIO);
	assert_string_equal(nomad_error_message(err), "?]0;x? : ?[2Ja?");
	nomad_error_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_keep_order_and_replace),
		cmocka_unit_test(maps_remove_from_the_middle),
		cmocka_unit_test(int_maps_tell_absent_from_zero),
		cmocka_unit_test(vectors_grow_and_copy),
		cmocka_unit_test(errors_wrap_from_outer_to_inner),
		cmocka_unit_test(errors_are_one_line_and_null_means_do_not_care),
		cmocka_unit_test(hashes_are_fnv_1a),
		cmocka_unit_test(clocks_are_those_of_the_system),
		cmocka_unit_test(write_all_writes_every_byte_in_order),
		cmocka_unit_test(write_all_says_why_it_failed),
		cmocka_unit_test(descriptors_and_pointers_have_one_owner),
		cmocka_unit_test(mounts_are_told_apart),
	};

	return cmocka_run_group_tests_name("base/base", tests, NULL, NULL);
}
