/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "modules.h"
#include "util.h"

static char dir[] = "/tmp/nomadinit-modules.XXXXXX";
static char order[512];

static void put(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(util_replace_file(path, text, strlen(text), 0600), 0);
}

static int record(const char *path)
{
	strcat(order, path + strlen(dir) + 1);
	strcat(order, " ");
	return strstr(path, "broken") ? -ENOEXEC : 0;
}

static int make(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	put("modules.dep",
	    "k/virtio_net.ko.xz: k/net_failover.ko.xz k/failover.ko.xz\nk/failover.ko.xz:\nk/net_failover.ko.xz: "
	    "k/failover.ko.xz\nk/ext4.ko: k/jbd2.ko\nk/jbd2.ko:\nk/crc32c_generic.ko:\nk/nls-cp437.ko:\nk/broken.ko:\n"
	    "k/loop1.ko:\nk/loop2.ko:\n");
	put("modules.alias",
	    "# Aliases\nalias virtio:d00000001v* virtio_net\nalias crc32c crc32c_generic\nalias fs-ext4 ext4\n"
	    "alias pci:v0000[12]*d* broken\nalias acpi*:PNP0C0C:* nls_cp437\n");
	put("modules.softdep",
	    "softdep ext4 pre: crc32c post: loop1\nsoftdep loop1 pre: loop2\nsoftdep loop2 pre: loop1\n");
	return 0;
}

static int clean(void **state)
{
	const char *const argv[] = { "/bin/rm", "-rf", dir, NULL };

	(void)state;
	return util_run(argv, 10000);
}

static const char *load(const char *name, int want)
{
	struct modules m;

	order[0] = '\0';
	assert_int_equal(modules_open_dir(&m, dir), 0);
	m.load = record;
	assert_int_equal(modules_load(&m, name), want);
	modules_close(&m);
	return order;
}

static void what_is_needed_is_loaded_first(void **state)
{
	(void)state;
	assert_string_equal(load("virtio_net", 0), "k/failover.ko.xz k/net_failover.ko.xz k/virtio_net.ko.xz ");
	assert_string_equal(load("virtio:d00000001v00001AF4", 0),
			    "k/failover.ko.xz k/net_failover.ko.xz k/virtio_net.ko.xz ");
	assert_string_equal(load("nls_cp437", 0), "k/nls-cp437.ko ");
	assert_string_equal(load("nls-cp437", 0), "k/nls-cp437.ko ");
}

static void soft_dependencies_count(void **state)
{
	(void)state;
	assert_string_equal(load("fs-ext4", 0), "k/crc32c_generic.ko k/jbd2.ko k/ext4.ko ");
}

static void circles_end(void **state)
{
	(void)state;
	assert_int_equal(strncmp(load("loop1", 0), "k/loop", 6), 0);
}

static void what_is_not_there_or_broken_is_said(void **state)
{
	(void)state;
	load("nothing", -ENOENT);
	load("broken", -ENOEXEC);
	assert_string_equal(load("pci:v00001234d5678", -ENOEXEC), "k/broken.ko ");
}

static void nothing_is_loaded_twice(void **state)
{
	struct modules m;

	(void)state;
	order[0] = '\0';
	assert_int_equal(modules_open_dir(&m, dir), 0);
	m.load = record;
	assert_int_equal(modules_load(&m, "net_failover"), 0);
	assert_int_equal(modules_load(&m, "virtio_net"), 0);
	assert_int_equal(modules_load(&m, "failover"), 0);
	assert_string_equal(order, "k/failover.ko.xz k/net_failover.ko.xz k/virtio_net.ko.xz ");
	modules_close(&m);
}

static void patterns_match_as_the_kernel_means(void **state)
{
	(void)state;
	assert_true(modules_match("pci:v*d*", "pci:v1d2"));
	assert_true(modules_match("a?c[0-9x]", "abc7"));
	assert_true(modules_match("a?c[0-9x]", "abcx"));
	assert_false(modules_match("a?c[0-9x]", "abcy"));
	assert_true(modules_match("*a*b", "xaxxaxb"));
	assert_false(modules_match("*a*b", "xaxxaxbc"));
	assert_true(modules_match("", ""));
	assert_true(modules_match("**", ""));
	assert_false(modules_match("a", ""));
	assert_false(modules_match("", "a"));
	assert_false(modules_match("[a", "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_needed_is_loaded_first),
		cmocka_unit_test(soft_dependencies_count),
		cmocka_unit_test(circles_end),
		cmocka_unit_test(what_is_not_there_or_broken_is_said),
		cmocka_unit_test(nothing_is_loaded_twice),
		cmocka_unit_test(patterns_match_as_the_kernel_means),
	};

	return cmocka_run_group_tests_name("modules", tests, make, clean);
}
