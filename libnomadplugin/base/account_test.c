/* SPDX-License-Identifier: MPL-2.0
 *
 * Users of an image, whose files anybody may have written. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static const char *passwd_text, *group_text;
static int passwd_fd = -1; /* in its place */

/* Of the image, as it were. */
static int open_text(const char *path, int flags)
{
	const char *text = strcmp(path, "/etc/passwd") == 0 ? passwd_text : group_text;
	int fd;

	assert_true(flags & O_NONBLOCK);
	if (text == passwd_text && passwd_fd >= 0)
		return dup(passwd_fd);
	if (!text || !*text) {
		errno = ENOENT;
		return -1;
	}
	fd = memfd_create("text", MFD_CLOEXEC);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

#define open open_text
#include "base/account.c"
#undef open

static int set_up(void **state)
{
	(void)state;
	passwd_text = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:,,,:/home/web:/bin/sh\nnohome:x:7:8::::\n";
	group_text = "root:x:0:\nwww:x:33:web,other\nstaff:x:50:other,web\nweb:x:1001:\n";
	return 0;
}

static void is(const char *who, uid_t uid, gid_t gid, const char *name, const char *home)
{
	struct nomad__account a = { 0 };

	assert_int_equal(nomad__account_find(who, &a), 0);
	assert_int_equal(a.uid, uid);
	assert_int_equal(a.gid, gid);
	assert_string_equal(a.name, name);
	assert_string_equal(a.home, home);
}

static void test_users(void **state)
{
	(void)state;
	is("web", 1000, 1001, "web", "/home/web");
	is("1000", 1000, 1001, "web", "/home/web");
	is("web:www", 1000, 33, "web", "/home/web");
	is("web:4", 1000, 4, "web", "/home/web");
	is("nohome", 7, 8, "nohome", "/");
	is("4711", 4711, 4711, "4711", "/");
	is("4711:staff", 4711, 50, "4711", "/");
	is("root", 0, 0, "root", "/root");
	passwd_text = NULL; /* a tree without users has root, and numbers */
	is("root", 0, 0, "root", "/root");
	is("0", 0, 0, "0", "/root");
}

static void isnt(const char *who, int error)
{
	struct nomad__account a;

	errno = 0;
	assert_int_equal(nomad__account_find(who, &a), -1);
	assert_int_equal(errno, error);
}

static void test_nobody(void **state)
{
	char longest[400];

	(void)state;
	isnt("who", ENOENT);
	isnt("web:who", ENOENT);
	isnt("-1", ENOENT);
	isnt("4294967295", ENOENT); /* means "no change" to the kernel */
	isnt("99999999999999999999", ENOENT);
	isnt("", ENOENT);
	isnt("web:", ENOENT);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	isnt(longest, ENAMETOOLONG);
}

static void test_odd_files(void **state)
{
	static char line[12000];

	(void)state;
	passwd_text = "web\n:::\nweb:x:abc:1:a:/h:s\nweb:x:1:-2:a:/h:s\nweb:x:12\n\n\nweb:x:5:6:a:/last:s";
	is("web", 5, 6, "web", "/last");
	/* A line that is too long does not hide the next. */
	memset(line, 'y', sizeof(line));
	memcpy(line, "long:x:5:6:", 11);
	strcpy(line + sizeof(line) - 40, "\nweb:x:9:9:a:/x:s\n");
	passwd_text = line;
	is("web", 9, 9, "web", "/x");
}

/* Whatever the task or the image's author made of the file: an end, and never a user. */
static void test_hostile_files(void **state)
{
	int pair[2];

	(void)state;
	passwd_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	isnt("web", EINVAL);
	close(passwd_fd);
	assert_int_equal(pipe(pair), 0);
	passwd_fd = pair[0];
	isnt("web", EINVAL);
	close(pair[0]);
	close(pair[1]);
	passwd_fd = memfd_create("sparse", MFD_CLOEXEC);
	assert_int_equal(ftruncate(passwd_fd, INT64_C(10) << 30), 0);
	isnt("0", EFBIG);
	close(passwd_fd);
	passwd_fd = -1;
	passwd_text = "evil:x:4294967296:0:::\nevil:x:-1:0:::\nevil:x: 0:0:::\nevil:x:0:::/:\nevil:x:0x0:0::/:\n"
		      "evil:x:1:99999999999::/:\n";
	isnt("evil", ENOENT);
}

static void test_groups(void **state)
{
	struct nomad__account a = { 0 };

	(void)state;
	assert_int_equal(nomad__account_find("web", &a), 0);
	assert_int_equal(a.n_groups, 3);
	assert_int_equal(a.groups[0], 1001);
	assert_int_equal(a.groups[1], 33);
	assert_int_equal(a.groups[2], 50);
}

static void test_more_groups(void **state)
{
	struct nomad__account a = { .gid = 5 };

	(void)state;
	assert_int_equal(nomad__account_add_groups("33,4294967294", &a), 0);
	assert_int_equal(a.n_groups, 3);
	assert_int_equal(a.groups[0], 5);
	assert_int_equal(a.groups[1], 33);
	assert_int_equal(nomad__account_add_groups("no-such", &a), -1);
	assert_int_equal(errno, ENOENT);
	a.n_groups = NOMAD__ACCOUNT_GROUPS;
	assert_int_equal(nomad__account_add_groups("7", &a), -1);
	assert_int_equal(errno, E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_users, set_up),	cmocka_unit_test_setup(test_nobody, set_up),
		cmocka_unit_test_setup(test_odd_files, set_up), cmocka_unit_test_setup(test_hostile_files, set_up),
		cmocka_unit_test_setup(test_groups, set_up),	cmocka_unit_test_setup(test_more_groups, set_up),
	};

	return cmocka_run_group_tests_name("nspawn/init/account", tests, NULL, NULL);
}
