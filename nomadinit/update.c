/* SPDX-License-Identifier: MPL-2.0 */
/* An update is a tar archive of four files: root.img (with its slot trailer as the last
 * 4 KiB), trailer (the same 4 KiB), boot.efi and boot.cfg.
 *
 * Order matters, as power may fail anywhere:
 *   1. the other slot's trailer is wiped: it no longer counts as a system
 *   2. root.img is written behind its partition's start, then flushed
 *   3. the trailer is written at the partition's end
 *   4. boot.efi and boot.cfg go to the ESP under new names, then are renamed
 *   5. the boot loader is told to try that slot
 * Until 5 the machine starts as it did before.  When the agent has been healthy for a while PID 1
 * keeps the new slot; if it never is, the boot loader's count runs out and the old one starts.
 *
 * Who may bring an update is not decided here: whoever can run this as root.  Under Secure Boot the
 * firmware starts nothing that is not signed, and the signed part holds the root's hash. */
#include "update.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "bootenv.h"
#include "slot.h"
#include "util.h"

enum part { ROOT, TRAILER, EFI, CFG, PART_MAX };
static const char *const part_names[PART_MAX] = { "root.img", "trailer", "boot.efi", "boot.cfg" };

static int octal(const uint8_t *p, size_t len, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < len && p[i] == ' '; i++)
		;
	for (; i < len && p[i] >= '0' && p[i] <= '7'; i++)
		v = v << 3 | (unsigned int)(p[i] - '0');
	if (i < len && p[i] != '\0' && p[i] != ' ')
		return -EINVAL;
	*ret = v;
	return 0;
}

int update_parse_tar(const uint8_t *b, struct tar_member *ret)
{
	uint64_t want, sum = 0;
	size_t i;

	for (i = 0; i < 512 && b[i] == 0; i++)
		;
	if (i == 512)
		return 1;
	for (i = 0; i < 512; i++)
		sum += i >= 148 && i < 156 ? ' ' : b[i];
	if (octal(b + 148, 8, &want) < 0 || sum != want || octal(b + 124, 12, &ret->size) < 0 || b[345] != 0)
		return -EINVAL;
	memcpy(ret->name, b, 100);
	ret->name[100] = '\0';
	return 0;
}

static int find_parts(int fd, struct tar_member parts[PART_MAX])
{
	struct tar_member m;
	uint64_t at = 0;
	uint8_t b[512];
	int r, i, found = 0;

	for (;;) {
		r = util_pread_all(fd, b, sizeof(b), at);
		if (r == 0)
			r = update_parse_tar(b, &m);
		if (r < 0)
			return r;
		if (r == 1)
			break;
		m.offset = at + 512;
		for (i = 0; i < PART_MAX; i++) {
			if (strcmp(m.name, part_names[i]) == 0) {
				parts[i] = m;
				found |= 1 << i;
			}
		}
		at += 512 + (m.size + 511) / 512 * 512;
	}
	return found == (1 << PART_MAX) - 1 ? 0 : -ENOENT;
}

static int copy_part(int from, const struct tar_member *m, int to, uint64_t to_offset)
{
	static char buf[1 << 16];
	uint64_t done = 0;
	size_t n;
	int r = 0;

	while (r == 0 && done < m->size) {
		n = m->size - done < sizeof(buf) ? (size_t)(m->size - done) : sizeof(buf);
		r = util_pread_all(from, buf, n, m->offset + done);
		if (r == 0)
			r = util_pwrite_all(to, buf, n, to_offset + done);
		done += n;
	}
	if (r == 0 && fsync(to) < 0)
		r = -errno;
	return r;
}

static int copy_to_esp(int from, const struct tar_member *m, const char *name)
{
	char path[128], temp[128];
	int fd, r;

	snprintf(path, sizeof(path), "%s/EFI/nomadinit/%s", ESP_POINT, name);
	snprintf(temp, sizeof(temp), "%s/EFI/nomadinit/new.tmp", ESP_POINT);
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = copy_part(from, m, fd, 0);
	close(fd);
	if (r == 0 && rename(temp, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temp);
	return r;
}

static int write_slot(int from, const struct tar_member parts[PART_MAX], const struct blockdev *b)
{
	uint64_t trailer_at = b->sectors * 512 - SLOT_TRAILER;
	static const char zeros[SLOT_TRAILER];
	NOMAD_AUTO_FD int fd = open(b->path, O_WRONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = util_pwrite_all(fd, zeros, sizeof(zeros), trailer_at);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = copy_part(from, &parts[ROOT], fd, 0);
	if (r == 0)
		r = copy_part(from, &parts[TRAILER], fd, trailer_at);
	return r;
}

static int fail(const char *what, int r)
{
	fprintf(stderr, "nomadinit update: %s: %s\n", what, strerror(-r));
	return 1;
}

static int update_esp(int from, const struct tar_member parts[PART_MAX], char slot, char running)
{
	struct bootenv e = { .good = running };
	char name[16];
	int r;

	r = bootenv_mount_esp(1);
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%c.efi", slot);
	r = copy_to_esp(from, &parts[EFI], name);
	if (r == 0) {
		snprintf(name, sizeof(name), "%c.cfg", slot);
		r = copy_to_esp(from, &parts[CFG], name);
	}
	if (r == 0) {
		sync();
		e.next = slot;
		e.tries = BOOTENV_TRIES;
		r = bootenv_write(ESP_BOOTENV, &e);
	}
	bootenv_unmount_esp();
	return r;
}

int update_main(int argc, char **argv)
{
	char running[8], slot, name[16], text[SLOT_TRAILER];
	struct tar_member parts[PART_MAX];
	struct blockdev b;
	struct slot new;
	int r;

	if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "--reboot") != 0)) {
		fprintf(stderr, "usage: nomadinit update FILE [--reboot]\n");
		return 2;
	}
	NOMAD_AUTO_FD int fd = open(argv[1], O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fail(argv[1], -errno);
	r = find_parts(fd, parts);
	if (r == 0 && parts[TRAILER].size != SLOT_TRAILER)
		r = -EINVAL;
	if (r == 0)
		r = util_pread_all(fd, text, sizeof(text), parts[TRAILER].offset);
	if (r == 0)
		r = slot_parse(text, sizeof(text), &new);
	if (r < 0)
		return fail("this is no whole update archive", r);
	if (util_read_line("/run/nomadinit/slot", running, sizeof(running)) != 1)
		return fail("this system was not started from a slot", -ENODEV);
	slot = running[0] == 'a' ? 'b' : 'a';
	snprintf(name, sizeof(name), "nomadroot-%c", slot);
	r = blockdev_find(name, 0, &b);
	if (r < 0)
		return fail(name, r);
	if (parts[ROOT].size + SLOT_TRAILER > b.sectors * 512)
		return fail("the new root is larger than the slot", -EFBIG);
	/* The ESP is mounted for us alone. */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return fail("cannot make a mount namespace", -errno);
	r = write_slot(fd, parts, &b);
	if (r < 0)
		return fail("cannot write the slot", r);
	r = update_esp(fd, parts, slot, running[0]);
	if (r < 0)
		return fail("cannot write the boot partition", r);
	printf("version '%s' is in slot %c and will be tried at the next boot\n", new.version, slot);
	if (argc == 3 && kill(1, SIGINT) < 0)
		return fail("cannot restart", -errno);
	return 0;
}
