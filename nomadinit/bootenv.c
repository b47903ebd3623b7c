/* SPDX-License-Identifier: MPL-2.0 */
#include "bootenv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "blockdev.h"
#include "log.h"
#include "base/tree.h"
#include "util.h"

static const char magic[] = "# GRUB Environment Block\n";

int bootenv_parse(const char *block, size_t len, struct bootenv *ret)
{
	struct bootenv e = { 0 };
	const char *p = block, *end = block + len, *line;

	if (len < sizeof(magic) - 1 || memcmp(block, magic, sizeof(magic) - 1) != 0)
		return -EINVAL;
	for (p += sizeof(magic) - 1; p < end && *p != '#'; p = line + 1) {
		line = memchr(p, '\n', (size_t)(end - p));
		if (!line)
			return -EINVAL;
		if (line - p == 6 && memcmp(p, "good=", 5) == 0)
			e.good = p[5];
		else if (line - p == 6 && memcmp(p, "next=", 5) == 0)
			e.next = p[5];
		else if (line - p == 7 && memcmp(p, "tries=", 6) == 0 && p[6] >= '0' && p[6] <= '9')
			e.tries = p[6] - '0';
	}
	if ((e.good != 'a' && e.good != 'b') || (e.next && e.next != 'a' && e.next != 'b'))
		return -EINVAL;
	*ret = e;
	return 0;
}

void bootenv_format(const struct bootenv *e, char block[BOOTENV_SIZE])
{
	char text[128];
	int n;

	if (e->next)
		n = snprintf(text, sizeof(text), "%sgood=%c\nnext=%c\ntries=%d\n", magic, e->good, e->next, e->tries);
	else
		n = snprintf(text, sizeof(text), "%sgood=%c\nnext=\ntries=0\n", magic, e->good);
	memset(block, '#', BOOTENV_SIZE);
	memcpy(block, text, (size_t)n);
}

int bootenv_read(const char *path, struct bootenv *ret)
{
	char block[BOOTENV_SIZE + 1];
	int n = util_read_file(path, block, sizeof(block));

	return n < 0 ? n : bootenv_parse(block, (size_t)n, ret);
}

int bootenv_write(const char *path, const struct bootenv *e)
{
	NOMAD_AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	char block[BOOTENV_SIZE];
	int r;

	if (fd < 0)
		return -errno;
	bootenv_format(e, block);
	r = util_pwrite_all(fd, block, sizeof(block), 0);
	return r == 0 && fsync(fd) < 0 ? -errno : r;
}

int bootenv_mount_esp(int writable)
{
	struct blockdev b;
	int r;

	r = blockdev_find(ESP_NAME, 0, &b);
	if (r < 0)
		return r;
	r = nomad__make_dirs(ESP_POINT, 0700);
	if (r == 0 &&
	    mount(b.path, ESP_POINT, "vfat", MS_NOSUID | MS_NODEV | MS_NOEXEC | (writable ? MS_SYNCHRONOUS : MS_RDONLY),
		  "umask=077") < 0)
		r = -errno;
	return r;
}

void bootenv_unmount_esp(void)
{
	umount2(ESP_POINT, MNT_DETACH);
}

int bootenv_bless_main(void)
{
	char slot[8];
	struct bootenv e;
	int r;

	if (util_read_line("/run/nomadinit/slot", slot, sizeof(slot)) != 1)
		return 0; /* not started from a slot */
	r = bootenv_mount_esp(1);
	if (r == 0) {
		r = bootenv_read(ESP_BOOTENV, &e);
		if (r == 0 && (e.good != slot[0] || e.next)) {
			if (e.next && e.next != slot[0])
				fprintf(stderr, "the update in slot %c did not work; slot %c goes on\n", e.next,
					slot[0]);
			else
				fprintf(stderr, "slot %c works and is kept\n", slot[0]);
			e.good = slot[0];
			e.next = 0;
			e.tries = 0;
			r = bootenv_write(ESP_BOOTENV, &e);
		}
		bootenv_unmount_esp();
	}
	if (r < 0)
		fprintf(stderr, "cannot keep slot %s: %s\n", slot, strerror(-r));
	return r < 0;
}
