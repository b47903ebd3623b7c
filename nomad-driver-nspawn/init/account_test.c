/* SPDX-License-Identifier: MPL-2.0
 *
 * Users of an image, whose files anybody may have written. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *passwd_text, *group_text;

/* Of the image, as it were. */
static FILE *open_text(const char *path, const char *mode)
{
	const char *text = strcmp(path, "/etc/passwd") == 0 ? passwd_text : group_text;

	(void)mode;
	return text && *text ? fmemopen((void *)text, strlen(text), "r") : NULL;
}

#define fopen open_text
#include "account.c"
#undef fopen

static int set_up(void **state)
{
	(void)state;
	passwd_text = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:,,,:/home/web:/bin/sh\nnohome:x:7:8::::\n";
	group_text = "root:x:0:\nwww:x:33:web,other\nstaff:x:50:other,web\nweb:x:1001:\n";
	return 0;
}

static void is(const char *who, uid_t uid, gid_t gid, const char *name, const char *home)
{
	struct account a = { 0 };

	assert_int_equal(account_find(who, &a), 0);
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
	struct account a;

	errno = 0;
	assert_int_equal(account_find(who, &a), -1);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_users, set_up),
		cmocka_unit_test_setup(test_nobody, set_up),
		cmocka_unit_test_setup(test_odd_files, set_up),
	};

	return cmocka_run_group_tests_name("nspawn/init/account", tests, NULL, NULL);
}
