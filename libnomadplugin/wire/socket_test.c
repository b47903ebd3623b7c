/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/socket.h"

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/wire-socket-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static void the_line_has_six_segments(void **state)
{
	char *line;

	(void)state;
	line = nomad__handshake_line("/tmp/plugin1", NULL);
	assert_string_equal(line, "1|2|unix|/tmp/plugin1|grpc|\n");
	free(line);
	line = nomad__handshake_line("/tmp/plugin1", "");
	assert_string_equal(line, "1|2|unix|/tmp/plugin1|grpc|\n");
	free(line);
	line = nomad__handshake_line("/tmp/plugin1", "true");
	assert_string_equal(line, "1|2|unix|/tmp/plugin1|grpc||false\n");
	free(line);
}

static void versions_are_found_in_the_list(void **state)
{
	(void)state;
	assert_true(nomad__handshake_has_version(NULL, 2));
	assert_true(nomad__handshake_has_version("", 2));
	assert_true(nomad__handshake_has_version("2", 2));
	assert_true(nomad__handshake_has_version("1,2", 2));
	assert_true(nomad__handshake_has_version("2,3", 2));
	assert_false(nomad__handshake_has_version("3", 2));
	assert_false(nomad__handshake_has_version("1,3,", 2));
	assert_false(nomad__handshake_has_version("20,12,2x,-2", 2));
}

static void the_directory_comes_from_the_environment(void **state)
{
	struct stat st;
	mode_t mask;
	char *path;
	int fd;

	(void)state;
	mask = umask(0);
	setenv("TMPDIR", "/nowhere", 1);
	setenv("PLUGIN_UNIX_SOCKET_DIR", dir, 1);
	assert_int_equal(nomad__socket_listen(&path, &fd, NULL), 0);
	assert_memory_equal(path, dir, strlen(dir));
	assert_memory_equal(path + strlen(dir), "/plugin", 7);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(umask(mask), 0); /* as it was before */
	/* Taken is taken: nobody's socket is pushed aside. */
	assert_int_equal(nomad__socket_listen_at(path, &fd, NULL), -EADDRINUSE);
	unlink(path);
	free(path);
	close(fd);

	unsetenv("PLUGIN_UNIX_SOCKET_DIR");
	assert_int_equal(nomad__socket_listen(&path, &fd, NULL), -ENOENT);
	setenv("TMPDIR", dir, 1);
	assert_int_equal(nomad__socket_listen(&path, &fd, NULL), 0);
	assert_memory_equal(path, dir, strlen(dir));
	unlink(path);
	free(path);
	close(fd);
	unsetenv("TMPDIR");
}

static void a_group_gets_the_socket(void **state)
{
	struct nomad_error *err = NULL;
	struct stat st;
	char *path, gid[32];
	int fd;

	(void)state;
	setenv("PLUGIN_UNIX_SOCKET_DIR", dir, 1);
	snprintf(gid, sizeof(gid), "%u", (unsigned)getgid());
	setenv("PLUGIN_UNIX_SOCKET_GROUP", gid, 1);
	assert_int_equal(nomad__socket_listen(&path, &fd, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(st.st_gid, getgid());
	unlink(path);
	free(path);
	close(fd);

	setenv("PLUGIN_UNIX_SOCKET_GROUP", "no such group", 1);
	assert_int_equal(nomad__socket_listen(&path, &fd, &err), -EINVAL);
	assert_non_null(strstr(nomad_error_message(err), "no such group"));
	nomad_error_free(err);
	unsetenv("PLUGIN_UNIX_SOCKET_GROUP");
	unsetenv("PLUGIN_UNIX_SOCKET_DIR");
}

static void a_path_fits_or_is_refused(void **state)
{
	struct nomad_error *err = NULL;
	char path[256];
	int fd;

	(void)state;
	memset(path, 'x', sizeof(path));
	memcpy(path, dir, strlen(dir));
	path[strlen(dir)] = '/';
	path[NOMAD__SOCKET_PATH_MAX] = '\0';
	assert_int_equal(nomad__socket_listen_at(path, &fd, NULL), 0);
	close(fd);
	unlink(path);
	path[NOMAD__SOCKET_PATH_MAX] = 'x';
	path[NOMAD__SOCKET_PATH_MAX + 1] = '\0';
	assert_int_equal(nomad__socket_listen_at(path, &fd, &err), -ENAMETOOLONG);
	assert_non_null(strstr(nomad_error_message(err), "TMPDIR"));
	nomad_error_free(err);
	assert_int_equal(nomad__socket_listen_at("/tmp/a|b", &fd, NULL), -EINVAL);
	assert_int_equal(nomad__socket_listen_at("/tmp/a\nb", &fd, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_line_has_six_segments),
		cmocka_unit_test(versions_are_found_in_the_list),
		cmocka_unit_test(the_directory_comes_from_the_environment),
		cmocka_unit_test(a_group_gets_the_socket),
		cmocka_unit_test(a_path_fits_or_is_refused),
	};

	return cmocka_run_group_tests_name("wire/socket", tests, make_dir, remove_dir);
}
