/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bootenv.h"
#include "util.h"

static void what_is_written_is_read(void **state)
{
	struct bootenv e = { .good = 'b', .next = 'a', .tries = 2 }, back;
	char block[BOOTENV_SIZE];

	(void)state;
	bootenv_format(&e, block);
	assert_int_equal(bootenv_parse(block, sizeof(block), &back), 0);
	assert_int_equal(back.good, 'b');
	assert_int_equal(back.next, 'a');
	assert_int_equal(back.tries, 2);
	assert_int_equal(block[BOOTENV_SIZE - 1], '#');
	e.next = 0;
	bootenv_format(&e, block);
	assert_int_equal(bootenv_parse(block, sizeof(block), &back), 0);
	assert_int_equal(back.next, 0);
}

static void grub_agrees(void **state)
{
	char path[] = "/tmp/nomadinit-bootenv.XXXXXX", command[256], block[BOOTENV_SIZE];
	struct bootenv e = { .good = 'a', .next = 'b', .tries = 3 };
	const char *const argv[] = { "/bin/sh", "-c", command, NULL };
	int fd;

	(void)state;
	if (access("/usr/bin/grub-editenv", X_OK) < 0)
		skip();
	fd = mkstemp(path);
	assert_true(fd >= 0);
	bootenv_format(&e, block);
	assert_int_equal(nomad_write_all(fd, block, sizeof(block)), 0);
	close(fd);
	snprintf(command, sizeof(command),
		 "test \"$(grub-editenv %s list | tr '\\n' ' ')\" = 'good=a next=b tries=3 ' && grub-editenv %s set "
		 "tries=2",
		 path, path);
	assert_int_equal(util_run(argv, 10000), 0);
	assert_int_equal(bootenv_read(path, &e), 0);
	assert_int_equal(e.tries, 2);
	assert_int_equal(e.next, 'b');
	e.tries = 1;
	assert_int_equal(bootenv_write(path, &e), 0);
	assert_int_equal(bootenv_read(path, &e), 0);
	assert_int_equal(e.tries, 1);
	unlink(path);
}

static void rubbish_is_refused(void **state)
{
	static const char *const bad[] = { "",
					   "# GRUB",
					   "good=a\n",
					   "# GRUB Environment Block\n",
					   "# GRUB Environment Block\ngood=c\n##",
					   "# GRUB Environment Block\ngood=a\nnext=x\n##",
					   "# GRUB Environment Block\ngood=a" };
	struct bootenv e;
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(bad); i++)
		assert_int_equal(bootenv_parse(bad[i], strlen(bad[i]), &e), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(grub_agrees),
		cmocka_unit_test(rubbish_is_refused),
	};

	return cmocka_run_group_tests_name("bootenv", tests, NULL, NULL);
}
