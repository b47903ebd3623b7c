/* SPDX-License-Identifier: MPL-2.0 */
/* On files; whether other tools agree with what is written is asked of sfdisk, if it is here. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bootdisk.h"
#include "gpt.h"
#include "util.h"

#define MIB 2048ull

static char path[] = "/tmp/nomadinit-gpt.XXXXXX";
static int fd;

/* A disk of 8 MiB with two partitions, made by hand: a of 1 MiB at 1, b of 2 MiB at 2. */
static int make(void **state)
{
	struct gpt g = { .n_entries = 128, .entry_size = 128, .disk_sectors = 8 * MIB };
	uint64_t start, size;

	(void)state;
	fd = mkstemp(path);
	if (fd < 0 || ftruncate(fd, 8 * MIB * 512) < 0)
		return -1;
	memcpy(g.header, "EFI PART\0\0\1\0\x5c\0\0\0", 16);
	g.header[40] = 34;
	g.header[80] = 128;
	g.header[84] = 128;
	g.entries = calloc(128, 128);
	if (!g.entries || gpt_add(&g, "a", 1, &start, &size) != 1)
		return -1;
	g.entries[40] = 0xff; /* sectors 2048 to 4095 */
	g.entries[41] = 0x0f;
	if (gpt_add(&g, "b", 1, &start, &size) != 2 || start != 4096)
		return -1;
	g.entries[128 + 40] = 0xff; /* to 8191 */
	g.entries[128 + 41] = 0x1f;
	if (gpt_write(fd, &g) < 0)
		return -1;
	gpt_done(&g);
	return 0;
}

static int clean(void **state)
{
	(void)state;
	close(fd);
	return unlink(path);
}

static void a_fresh_disk_gets_guids_of_its_own_once(void **state)
{
	static const char unborn[] = "6E6F6D61-6469-4E69-8000-756E626F726E";
	uint8_t old[2][16], before[16];
	struct gpt g;

	(void)state;
	assert_int_equal(bootdisk_parse_guid(unborn, before), 0);
	assert_int_equal(bootdisk_parse_guid("6E6F6D61-6469-4E69-8000-756E626F726", before), -EINVAL);
	assert_int_equal(gpt_read(fd, 8 * MIB, &g), 0);
	assert_false(gpt_individualize(&g));
	memcpy(g.header + 56, before, 16);
	memcpy(old[0], g.entries + 16, 16);
	memcpy(old[1], g.entries + 128 + 16, 16);
	assert_int_equal(gpt_find_guid(&g, old[1]), 2);
	assert_true(gpt_individualize(&g));
	assert_int_equal(gpt_find_guid(&g, old[0]), 0);
	assert_int_equal(gpt_find_guid(&g, old[1]), 0);
	assert_memory_not_equal(g.header + 56, before, 16);
	assert_memory_not_equal(g.entries + 16, g.entries + 128 + 16, 16);
	assert_false(gpt_individualize(&g));
	gpt_done(&g);
}

static void partitions_are_found_by_name(void **state)
{
	struct gpt g;

	(void)state;
	assert_int_equal(gpt_read(fd, 8 * MIB, &g), 0);
	assert_int_equal(gpt_find(&g, "a"), 1);
	assert_int_equal(gpt_find(&g, "b"), 2);
	assert_int_equal(gpt_find(&g, "ab"), 0);
	assert_int_equal(gpt_find(&g, ""), 0);
	gpt_done(&g);
}

static void the_last_one_grows_with_the_disk(void **state)
{
	uint64_t start, size;
	struct gpt g;

	(void)state;
	assert_int_equal(ftruncate(fd, 64 * MIB * 512), 0);
	assert_int_equal(gpt_read(fd, 64 * MIB, &g), 0);
	assert_int_equal(gpt_grow(&g, 1, &start, &size), -EBUSY);
	assert_int_equal(gpt_grow(&g, 2, &start, &size), 1);
	assert_int_equal(start, 4096);
	assert_int_equal(size, 61 * MIB);
	assert_int_equal(gpt_write(fd, &g), 0);
	gpt_done(&g);
	assert_int_equal(gpt_read(fd, 64 * MIB, &g), 0);
	assert_int_equal(gpt_grow(&g, 2, &start, &size), 0);
	gpt_done(&g);
}

static void a_broken_primary_is_mended_from_the_backup(void **state)
{
	char junk[512] = "junk";
	struct gpt g;

	(void)state;
	assert_int_equal(util_pwrite_all(fd, junk, 512, 512), 0);
	assert_int_equal(gpt_read(fd, 64 * MIB, &g), 0);
	assert_int_equal(gpt_find(&g, "b"), 2);
	assert_int_equal(gpt_write(fd, &g), 0);
	gpt_done(&g);
	/* and the other way round */
	assert_int_equal(util_pwrite_all(fd, junk, 512, (64 * MIB - 1) * 512), 0);
	assert_int_equal(gpt_read(fd, 64 * MIB, &g), 0);
	gpt_done(&g);
}

static void no_table_at_all_is_an_error(void **state)
{
	struct gpt g;
	int null = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(gpt_read(null, 64 * MIB, &g), -EINVAL);
	close(null);
}

static void other_tools_agree(void **state)
{
	const char *const verify[] = { "/sbin/sfdisk", "-q", "--verify", path, NULL };
	struct gpt g;

	(void)state;
	if (access("/sbin/sfdisk", X_OK) < 0)
		skip();
	assert_int_equal(gpt_read(fd, 64 * MIB, &g), 0);
	assert_int_equal(gpt_write(fd, &g), 0);
	gpt_done(&g);
	assert_int_equal(util_run(verify, 10000), 0);
}

static void every_damaged_table_is_survived(void **state)
{
	unsigned int seed = 7, i;
	uint8_t sectors[34 * 512], copy[34 * 512];
	uint64_t start, size;
	struct gpt g;
	int file;

	(void)state;
	assert_int_equal(util_pread_all(fd, sectors, sizeof(sectors), 0), 0);
	file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	for (i = 0; i < 2000; i++) {
		memcpy(copy, sectors, sizeof(copy));
		seed = seed * 1103515245 + 12345;
		copy[512 + seed / 65536 % 1024] ^= (uint8_t)(1 << (seed & 7));
		assert_int_equal(util_pwrite_all(file, copy, sizeof(copy), 0), 0);
		if (gpt_read(file, 64 * MIB, &g) == 0) {
			if (gpt_find(&g, "b") > 0)
				gpt_grow(&g, gpt_find(&g, "b"), &start, &size);
			gpt_done(&g);
		}
	}
	close(file);
}

static void the_checksum_is_the_usual_one(void **state)
{
	(void)state;
	assert_int_equal(gpt_crc32("123456789", 9), 0xcbf43926);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fresh_disk_gets_guids_of_its_own_once),
		cmocka_unit_test(the_checksum_is_the_usual_one),
		cmocka_unit_test(partitions_are_found_by_name),
		cmocka_unit_test(the_last_one_grows_with_the_disk),
		cmocka_unit_test(a_broken_primary_is_mended_from_the_backup),
		cmocka_unit_test(no_table_at_all_is_an_error),
		cmocka_unit_test(other_tools_agree),
		cmocka_unit_test(every_damaged_table_is_survived),
	};

	return cmocka_run_group_tests_name("gpt", tests, make, clean);
}
