/* SPDX-License-Identifier: MPL-2.0
 *
 * What nomadinit finds on disks and in updates, by the first byte. */
#include "fuzz.h"
#include "nomadinit/blockdev.h"
#include "nomadinit/bootenv.h"
#include "nomadinit/slot.h"
#include "nomadinit/update.h"
#include "nomadinit/verity.h"

static void probe(const uint8_t *data, size_t size)
{
	int fd = fuzz_file(data, size);
	struct blockdev_label label;

	fuzz_must(ftruncate(fd, 65536) == 0);
	if (blockdev_probe(fd, &label) == 0)
		fuzz_must(label.fs < FS_MAX && strlen(label.label) < sizeof(label.label));
	(void)blockdev_has_backup(fd);
	close(fd);
}

static void read_bootenv(const uint8_t *data, size_t size)
{
	struct bootenv env, again;
	char block[BOOTENV_SIZE];

	if (bootenv_parse((const char *)data, size, &env) < 0)
		return;
	bootenv_format(&env, block);
	fuzz_must(bootenv_parse(block, sizeof(block), &again) == 0 && again.good == env.good && again.next == env.next);
}

static void read_verity(const uint8_t *data, size_t size)
{
	struct verity verity;
	char table[1024];

	if (verity_parse(data, size, &verity) == 0)
		fuzz_must(verity_table(&verity, 8, 1, 1 << 20, "00ff", table, sizeof(table)) == 0);
}

static void read_slot(const uint8_t *data, size_t size)
{
	struct slot slot;

	if (slot_parse((const char *)data, size, &slot) == 0)
		fuzz_must(strspn(slot.root_hash, "0123456789abcdef") == strlen(slot.root_hash));
}

static void read_tar(const uint8_t *data, size_t size)
{
	struct tar_member member;

	if (size >= 512 && update_parse_tar(data, &member) == 0)
		fuzz_must(member.size < UINT64_C(1) << 36 && strlen(member.name) <= 100);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(const uint8_t *data, size_t size) = { probe, read_bootenv, read_verity,
									     read_slot, read_tar };
	struct fuzz_input in = { data, size };
	unsigned which = fuzz_byte(&in);
	uint8_t *bytes = fuzz_bytes(&in, in.size, &size);

	readers[which % NOMAD_ARRAY_LEN(readers)](bytes, size);
	free(bytes);
	return 0;
}
