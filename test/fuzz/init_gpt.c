/* SPDX-License-Identifier: MPL-2.0
 *
 * The partition table of nomadinit's disk.  Sums that the input cannot have are put right, or few would get far: the
 * first byte says which. */
#include "fuzz.h"
#include "nomadinit/gpt.h"

enum { SECTORS = 8192, ENTRIES = 128 * 128 };

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static void put_sums(uint8_t *header, const uint8_t *entries)
{
	put32(header + 88, gpt_crc32(entries, (size_t)(header[80] & 127) * 128));
	put32(header + 16, 0);
	put32(header + 16, gpt_crc32(header, 92));
}

static void use(int fd, struct gpt *g, unsigned how)
{
	static const uint8_t guid[16] = { 1, 2, 3, 4 };
	uint64_t start = 0, sectors = 0;
	int number = gpt_find(g, "nomadstate");

	(void)gpt_find_guid(g, guid);
	(void)gpt_individualize(g);
	if (number > 0) {
		gpt_mark(g, number);
		fuzz_must(gpt_is_marked(g, number));
		(void)gpt_grow(g, number, &start, &sectors);
	}
	if (how & 4 && gpt_add(g, "nomadnew", 2048, &start, &sectors) > 0)
		fuzz_must(gpt_find(g, "nomadnew") > 0 && start + sectors <= SECTORS);
	/* What was written is whole. */
	if (gpt_write(fd, g) == 0) {
		struct gpt again;

		fuzz_must(gpt_read(fd, SECTORS, &again) == 0 && again.n_entries == g->n_entries &&
			  memcmp(again.entries, g->entries, (size_t)g->n_entries * 128) == 0);
		gpt_done(&again);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t disk[3 * GPT_SECTOR + ENTRIES];
	struct fuzz_input in = { data, size };
	unsigned how = fuzz_byte(&in);
	struct gpt g;
	int fd;

	memset(disk, 0, sizeof(disk));
	/* Sector 1 and the entries behind it. */
	memcpy(disk + GPT_SECTOR, in.data, in.size < 2 * GPT_SECTOR + ENTRIES ? in.size : 2 * GPT_SECTOR + ENTRIES);
	if (how & 1)
		put_sums(disk + GPT_SECTOR, disk + 2 * GPT_SECTOR);
	fd = fuzz_file(disk, sizeof(disk));
	fuzz_must(ftruncate(fd, (off_t)SECTORS * GPT_SECTOR) == 0);
	if (how & 2) /* the backup only */
		fuzz_must(pwrite(fd, disk + GPT_SECTOR, GPT_SECTOR, (off_t)(SECTORS - 1) * GPT_SECTOR) == GPT_SECTOR &&
			  pwrite(fd, "", 1, GPT_SECTOR) == 1);
	if (gpt_read(fd, SECTORS, &g) == 0) {
		use(fd, &g, how);
		gpt_done(&g);
	}
	close(fd);
	return 0;
}
