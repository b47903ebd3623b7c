/* SPDX-License-Identifier: MPL-2.0 */
#include "blockdev.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "util.h"

#define BOOT_DISK "/run/nomadinit/disk"

const char *const blockdev_fs_names[FS_MAX] = { "nothing known", "nothing", "ext4", "vfat", "iso9660", "squashfs" };

static void take_label(char *to, size_t size, const uint8_t *from, size_t len)
{
	size_t i;

	for (i = 0; i < len && i + 1 < size && from[i]; i++)
		to[i] = (char)from[i];
	while (i > 0 && to[i - 1] == ' ')
		i--;
	to[i] = '\0';
}

static unsigned int le16(const uint8_t *p)
{
	return (unsigned int)(p[0] | p[1] << 8);
}

/* FAT keeps its label in the root folder; the boot sector's copy is what mkfs wrote, which will do. */
static bool probe_vfat(const uint8_t *b, struct blockdev_label *ret)
{
	if (b[510] != 0x55 || b[511] != 0xaa || (b[0] != 0xeb && b[0] != 0xe9))
		return false;
	if (memcmp(b + 82, "FAT32   ", 8) == 0)
		take_label(ret->label, sizeof(ret->label), b + 71, 11);
	else if (memcmp(b + 54, "FAT1", 4) == 0 || memcmp(b + 54, "FAT ", 4) == 0)
		take_label(ret->label, sizeof(ret->label), b + 43, 11);
	else
		return false;
	ret->fs = FS_VFAT;
	return true;
}

int blockdev_probe(int fd, struct blockdev_label *ret)
{
	uint8_t b[4096], iso[2048];
	size_t i;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = util_pread_all(fd, b, sizeof(b), 0);
	if (r < 0)
		return r;
	if (le16(b + 1024 + 56) == 0xef53) {
		ret->fs = FS_EXT4;
		take_label(ret->label, sizeof(ret->label), b + 1024 + 120, 16);
		/* Not clean, known to have errors, or the journal has something for us. */
		ret->needs_check = !(le16(b + 1024 + 58) & 1) || (le16(b + 1024 + 58) & 2) || (b[1024 + 96] & 4);
		return 0;
	}
	if (memcmp(b, "hsqs", 4) == 0) {
		ret->fs = FS_SQUASHFS;
		return 0;
	}
	if (probe_vfat(b, ret))
		return 0;
	if (util_pread_all(fd, iso, sizeof(iso), 32768) == 0 && memcmp(iso, "\001CD001", 6) == 0) {
		ret->fs = FS_ISO9660;
		take_label(ret->label, sizeof(ret->label), iso + 40, 32);
		return 0;
	}
	for (i = 0; i < sizeof(b) && b[i] == 0; i++)
		;
	ret->fs = i == sizeof(b) ? FS_BLANK : FS_UNKNOWN;
	return 0;
}

bool blockdev_has_backup(int fd)
{
	/* By block size: the first block of group 1. */
	static const uint64_t at[] = { 8193 * 1024ull, 16384 * 2048ull, 32768 * 4096ull };
	uint8_t sb[64];
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(at); i++)
		if (util_pread_all(fd, sb, sizeof(sb), at[i]) == 0 && le16(sb + 56) == 0xef53 && le16(sb + 24) == i)
			return true;
	return false;
}

static void read_uevent(struct blockdev *b)
{
	char path[96], text[1024], *line, *save = NULL;

	snprintf(path, sizeof(path), "/sys/class/block/%s/uevent", b->name);
	if (util_read_file(path, text, sizeof(text)) < 0)
		return;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, "PARTNAME=", 9) == 0)
			util_copy(b->partname, sizeof(b->partname), line + 9);
		else if (strncmp(line, "PARTN=", 6) == 0)
			b->partition = atoi(line + 6);
		else if (strncmp(line, "MAJOR=", 6) == 0)
			b->major = (unsigned int)atoi(line + 6);
		else if (strncmp(line, "MINOR=", 6) == 0)
			b->minor = (unsigned int)atoi(line + 6);
	}
}

static uint64_t read_number(const char *name, const char *what)
{
	char path[96], text[32];

	snprintf(path, sizeof(path), "/sys/class/block/%s/%s", name, what);
	return util_read_line(path, text, sizeof(text)) > 0 ? strtoull(text, NULL, 10) : 0;
}

static void find_disk(struct blockdev *b)
{
	char path[96], link[512], *slash;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/class/block/%s", b->name);
	n = readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return;
	link[n] = '\0';
	slash = strrchr(link, '/');
	if (!slash)
		return;
	*slash = '\0';
	slash = strrchr(link, '/');
	if (slash)
		util_copy(b->disk, sizeof(b->disk), slash + 1);
}

size_t blockdev_list(struct blockdev *list, size_t max)
{
	struct dirent *d;
	size_t n = 0;
	DIR *dir = opendir("/sys/class/block");

	while (dir && n < max && (d = readdir(dir))) {
		struct blockdev *b = &list[n];

		if (d->d_name[0] == '.' || strncmp(d->d_name, "ram", 3) == 0 || strncmp(d->d_name, "loop", 4) == 0 ||
		    strncmp(d->d_name, "dm-", 3) == 0)
			continue;
		memset(b, 0, sizeof(*b));
		if (!util_copy(b->name, sizeof(b->name), d->d_name))
			continue;
		snprintf(b->path, sizeof(b->path), "/dev/%s", b->name);
		read_uevent(b);
		b->sectors = read_number(b->name, "size");
		if (b->partition) {
			b->start = read_number(b->name, "start");
			find_disk(b);
		}
		n += b->sectors > 0;
	}
	if (dir)
		closedir(dir);
	return n;
}

static bool has_label(const struct blockdev *b, const char *label)
{
	struct blockdev_label l;
	/* Not O_NONBLOCK: a drive without a medium shall say so. */
	NOMAD_AUTO_FD int fd = open(b->path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && blockdev_probe(fd, &l) == 0 && l.label[0] && strcasecmp(l.label, label) == 0;
}

static char boot_disk[32];

void blockdev_set_boot_disk(const char *name)
{
	util_copy(boot_disk, sizeof(boot_disk), name);
	util_replace_file(BOOT_DISK, name, strlen(name), 0444);
}

const char *blockdev_boot_disk(void)
{
	if (!boot_disk[0] && util_read_line(BOOT_DISK, boot_disk, sizeof(boot_disk)) < 0)
		boot_disk[0] = '\0';
	return boot_disk;
}

static bool is_on(const struct blockdev *b, const char *disk)
{
	return strcmp(b->disk, disk) == 0 || strcmp(b->name, disk) == 0;
}

/* Has this disk, or the disk of this partition, a boot partition of ours? */
static bool is_a_nodes(const struct blockdev *b, const struct blockdev *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(list[i].partname, ESP_NAME) == 0 && is_on(b, list[i].disk))
			return true;
	return false;
}

/* On the disk we started from, else on disks that are no node's at all; and only one. */
static int find_once(const char *label, struct blockdev *ret)
{
	static struct blockdev list[64];
	size_t n = blockdev_list(list, NOMAD_ARRAY_LEN(list)), i;
	const char *boot = blockdev_boot_disk();
	int turn, found = 0;

	for (turn = 0; turn < 2 && found == 0; turn++) {
		for (i = 0; i < n; i++) {
			bool here = is_on(&list[i], boot);

			if (boot[0] && (turn == 0 ? !here : here || is_a_nodes(&list[i], list, n)))
				continue;
			/* A hybrid image has its label on the disk and on a partition of it. */
			if (found && is_on(&list[i], ret->name))
				continue;
			if (list[i].partname[0] ? strcmp(list[i].partname, label) == 0 : has_label(&list[i], label)) {
				found += !found || !is_on(ret, list[i].name);
				*ret = list[i];
			}
		}
	}
	return found == 1 ? 0 : found ? -ENOTUNIQ : -ENODEV;
}

int blockdev_find(const char *label, unsigned int wait_ms, struct blockdev *ret)
{
	uint64_t end = util_now_ms() + wait_ms;
	int r;

	while ((r = find_once(label, ret)) == -ENODEV && util_now_ms() < end)
		util_sleep_ms(20);
	return r;
}
