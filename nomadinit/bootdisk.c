/* SPDX-License-Identifier: MPL-2.0 */
#include "bootdisk.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "blockdev.h"
#include "cmdline.h"
#include "gpt.h"
#include "util.h"

#define EFIVARS "/sys/firmware/efi/efivars"
#define VARIABLE EFIVARS "/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

int bootdisk_parse_guid(const char *text, uint8_t guid[16])
{
	/* The first three groups are little-endian numbers. */
	static const uint8_t at[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	unsigned int i, v;

	for (i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			if (*text++ != '-')
				return -EINVAL;
		if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) ||
		    sscanf(text, "%2x", &v) != 1)
			return -EINVAL;
		guid[at[i]] = (uint8_t)v;
		text += 2;
	}
	return *text ? -EINVAL : 0;
}

/* The variable is four bytes of attributes and UTF-16. */
static int from_efi(char *text, size_t size)
{
	char raw[128];
	int n, i;

	mount("efivarfs", EFIVARS, "efivarfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	n = util_read_file(VARIABLE, raw, sizeof(raw));
	umount2(EFIVARS, MNT_DETACH);
	if (n < 0)
		return n;
	for (i = 0; 4 + 2 * i < n && (size_t)i < size - 1; i++)
		text[i] = raw[4 + 2 * i];
	text[i] = '\0';
	return 0;
}

static bool has_partition(const struct blockdev *disk, const uint8_t guid[16])
{
	NOMAD_AUTO_FD int fd = open(disk->path, O_RDONLY | O_CLOEXEC);
	bool found = false;
	struct gpt g;

	if (fd >= 0 && gpt_read(fd, disk->sectors, &g) == 0) {
		found = gpt_find_guid(&g, guid) > 0;
		gpt_done(&g);
	}
	return found;
}

int bootdisk_find(char name[32])
{
	static struct blockdev list[64];
	const char *argument = cmdline_get("boot");
	size_t n = blockdev_list(list, NOMAD_ARRAY_LEN(list)), i;
	char text[64] = "";
	uint8_t guid[16];
	bool has_guid;

	if (argument)
		util_copy(text, sizeof(text), argument);
	else
		from_efi(text, sizeof(text));
	has_guid = bootdisk_parse_guid(text, guid) == 0;
	name[0] = '\0';
	for (i = 0; i < n; i++) {
		const char *disk = has_guid ? list[i].name : list[i].disk;

		if (has_guid ? list[i].partition || !has_partition(&list[i], guid)
			     : strcmp(list[i].partname, ESP_NAME) != 0)
			continue;
		if (name[0] && strcmp(name, disk) != 0)
			return -ENOTUNIQ;
		util_copy(name, 32, disk);
	}
	return name[0] ? 0 : -ENODEV;
}
