/* SPDX-License-Identifier: MPL-2.0
 *
 * Where the root of a disk is, whatever stands in its partition table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "loop.c"

static FILE *disk;
static uint64_t offset, size;

static int set_up(void **state)
{
	(void)state;
	disk = tmpfile();
	return !disk || ftruncate(fileno(disk), 1 << 20) < 0;
}

static int tear_down(void **state)
{
	(void)state;
	return fclose(disk);
}

static void poke(off_t at, const void *data, size_t n)
{
	assert_int_equal(pwrite(fileno(disk), data, n, at), (ssize_t)n);
}

static void number(off_t at, uint64_t v, size_t n)
{
	poke(at, &v, n); /* little end first, as here */
}

static int find(void)
{
	offset = size = 99;
	errno = 0;
	return partition_find(fileno(disk), &offset, &size);
}

static void mbr(int i, unsigned char boot, unsigned char type, uint32_t first, uint32_t n)
{
	off_t at = 446 + 16 * i;

	poke(510, "\x55\xaa", 2);
	poke(at, &boot, 1);
	poke(at + 4, &type, 1);
	number(at + 8, first, 4);
	number(at + 12, n, 4);
}

static void gpt(uint64_t table, uint32_t n, uint32_t each)
{
	poke(SECTOR, "EFI PART", 8);
	number(SECTOR + 72, table, 8);
	number(SECTOR + 80, n, 4);
	number(SECTOR + 84, each, 4);
}

static void entry(int i, const unsigned char *type, uint64_t first, uint64_t last)
{
	off_t at = 2 * SECTOR + 128 * i;

	poke(at, type, 16);
	number(at + 32, first, 8);
	number(at + 40, last, 8);
}

static void test_whole(void **state)
{
	(void)state;
	assert_int_equal(find(), 0);
	assert_int_equal(offset, 0);
	assert_int_equal(size, 0);
	/* The mark alone: a boot sector of a file system. */
	poke(510, "\x55\xaa", 2);
	assert_int_equal(find(), 0);
	assert_int_equal(offset, 0);
	assert_int_equal(ftruncate(fileno(disk), 100), 0);
	assert_int_equal(find(), 0);
	assert_int_equal(ftruncate(fileno(disk), 0), 0);
	assert_int_equal(find(), 0);
	assert_int_equal(size, 0);
}

static void test_mbr(void **state)
{
	(void)state;
	mbr(0, 0, 0x82, 8, 8); /* swap */
	mbr(1, 0x80, 0x83, 2048, 100);
	assert_int_equal(find(), 0);
	assert_int_equal(offset, 2048 * 512);
	assert_int_equal(size, 100 * 512);
	mbr(1, 0x31, 0x83, 2048, 100); /* no boot flag is like that: this is no table */
	assert_int_equal(find(), 0);
	assert_int_equal(offset, 0);
	mbr(1, 0, 0x83, 0, 100);
	assert_int_equal(find(), 0);
	assert_int_equal(offset, 0);
	mbr(3, 0, 0x83, 0xffffffff, 0xffffffff);
	assert_int_equal(find(), 0);
	assert_true(offset == 0xffffffffULL * 512);
}

static void test_gpt(void **state)
{
	static const unsigned char other[16] = { 1 };

	(void)state;
	gpt(2, 4, 128);
	entry(0, other, 34, 40);
	entry(1, guid_linux, 48, 63);
	entry(2, guid_root, 64, 127);
	assert_int_equal(find(), 0);
	assert_int_equal(offset, 64 * 512);
	assert_int_equal(size, 64 * 512);
	/* Without one that is called root the first of Linux is it. */
	entry(2, other, 64, 127);
	entry(3, guid_linux, 128, 200);
	assert_int_equal(find(), 0);
	assert_int_equal(offset, 48 * 512);
	assert_int_equal(size, 16 * 512);
}

static void test_bad_gpt(void **state)
{
	static const struct {
		uint64_t table;
		uint32_t n, each;
		int error;
	} rows[] = {
		{ 2, 4, 128, ENOENT }, /* empty */
		{ 2, 0, 128, ENOENT },		{ 2, 0xffffffff, 128, EINVAL }, { 2, 4, 0, EINVAL },
		{ 2, 4, 127, EINVAL },		{ 2, 4, 0xffffffff, EINVAL },	{ 0xffffffffffffffff, 4, 128, EINVAL },
		{ 1ULL << 39, 4, 128, ENOENT }, /* behind the end */
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		gpt(rows[i].table, rows[i].n, rows[i].each);
		assert_int_equal(find(), -1);
		assert_int_equal(errno, rows[i].error);
	}
	gpt(2, 4, 128);
	entry(0, guid_root, 1ULL << 60, 1ULL << 61);
	assert_int_equal(find(), -1);
	entry(0, guid_root, 100, 50); /* ends before it begins */
	assert_int_equal(find(), -1);
}

static void test_file_systems(void **state)
{
	static const struct {
		const char *magic;
		off_t at;
		int known;
	} rows[] = {
		{ "\x53\xef", 1024 + 56, 1 },
		{ "XFSB", 0, 1 },
		{ "_BHRfS_M", 65536 + 64, 1 },
		{ "hsqs", 0, 1 },
		{ "MSDOS", 3, 0 },
		{ "CD001", 32769, 0 },
		{ "\x10\x20\xf5\xf2", 1024, 0 },
	};
	FILE *file = tmpfile();
	int fd = fileno(file);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(ftruncate(fd, 0) | ftruncate(fd, 1 << 20), 0);
		assert_int_equal(has_file_system(fd, 4096), 0);
		assert_int_equal(pwrite(fd, rows[i].magic, strlen(rows[i].magic), 4096 + rows[i].at),
				 (ssize_t)strlen(rows[i].magic));
		assert_int_equal(has_file_system(fd, 4096), rows[i].known);
		assert_int_equal(has_file_system(fd, 0), 0);
	}
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mbr, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gpt, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_gpt, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_systems, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("nspawn/init/loop", tests, NULL, NULL);
}
