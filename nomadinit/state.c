/* SPDX-License-Identifier: MPL-2.0 */
/* What survives a reboot.
 *
 *   by label ---found---> blank? mkfs -> not clean? e2fsck -> grow the partition -> mount -> grow the file system
 *      |not found
 *      +-> room behind the last partition of the disk we came from? add it there, as above
 *      +-> else memory, with a warning (or wait, if so configured)
 *
 * A partition that holds something else is never overwritten. */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "blockdev.h"
#include "gpt.h"
#include "log.h"
#include "base/tree.h"
#include "util.h"

#define RESIZE_FS _IOW('f', 16, uint64_t) /* EXT4_IOC_RESIZE_FS */
#define MIN_NEW_SECTORS (16u << 11)
#define FIND_MS 3000
#define CHECK_MS (30 * 60 * 1000)
#define MAKE_MS (10 * 60 * 1000)

static int make_ext4(const struct blockdev *b, const char *label)
{
	char short_label[17];
	const char *const argv[] = { "/sbin/mke2fs",
				     "-q",
				     "-F",
				     "-t",
				     "ext4",
				     "-b",
				     "4096",
				     "-L",
				     short_label,
				     "-E",
				     "lazy_itable_init=1,lazy_journal_init=1,discard",
				     b->path,
				     NULL };
	int r;

	util_copy(short_label, sizeof(short_label), label);
	log_info("making a file system on '%s'", b->path);
	r = util_run(argv, MAKE_MS);
	if (r != 0)
		log_error("mke2fs on '%s' failed: %s %d", b->path, r < 0 ? strerror(-r) : "exit status", r);
	return r == 0 ? 0 : -EIO;
}

static void check_ext4(const struct blockdev *b)
{
	const char *const gentle[] = { "/sbin/e2fsck", "-p", b->path, NULL };
	const char *const firm[] = { "/sbin/e2fsck", "-f", "-y", b->path, NULL };
	int r;

	log_info("checking '%s', which was not cleanly unmounted", b->path);
	r = util_run(gentle, CHECK_MS);
	if (r >= 4 && r < 127) {
		log_warn("'%s' is damaged; repairing what can be", b->path);
		r = util_run(firm, CHECK_MS);
	}
	/* Mounting replays the journal in any case. */
	if (r < 0 || r >= 4)
		log_error("e2fsck of '%s': %s %d; mounting it anyway", b->path, r < 0 ? strerror(-r) : "exit status",
			  r);
}

static int open_disk(const char *name)
{
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int disk_sectors(int fd, uint64_t *ret)
{
	uint64_t bytes;
	int sector = 0;

	if (ioctl(fd, BLKSSZGET, &sector) < 0 || ioctl(fd, BLKGETSIZE64, &bytes) < 0)
		return -errno;
	if (sector != GPT_SECTOR)
		return -ENOTSUP;
	*ret = bytes / GPT_SECTOR;
	return 0;
}

static void grow_partition(struct blockdev *b)
{
	NOMAD_AUTO_FD int fd = open_disk(b->disk);
	uint64_t sectors, start, size;
	struct gpt g;
	int r;

	r = fd < 0 ? fd : disk_sectors(fd, &sectors);
	if (r == 0)
		r = gpt_read(fd, sectors, &g);
	if (r == 0) {
		r = gpt_grow(&g, b->partition, &start, &size);
		if (r == 1) {
			r = gpt_write(fd, &g);
			if (r == 0)
				r = gpt_tell_kernel(fd, b->partition, start, size, false);
			if (r == 0) {
				log_info("'%s' grew from %llu to %llu MiB", b->path,
					 (unsigned long long)b->sectors >> 11, (unsigned long long)size >> 11);
				b->sectors = size;
			}
		}
		gpt_done(&g);
	}
	if (r < 0 && r != -EBUSY)
		log_warn("cannot grow '%s': %s", b->path, strerror(-r));
}

/* All images of a build carry the same GUIDs.  The running kernel goes on with those it has read. */
static void individualize(void)
{
	NOMAD_AUTO_FD int fd = blockdev_boot_disk()[0] ? open_disk(blockdev_boot_disk()) : -ENODEV;
	uint64_t sectors;
	struct gpt g;
	int r;

	r = fd < 0 ? fd : disk_sectors(fd, &sectors);
	if (r == 0)
		r = gpt_read(fd, sectors, &g);
	if (r == 0) {
		if (gpt_individualize(&g)) {
			r = gpt_write(fd, &g);
			log_info("'%s' and its partitions have GUIDs of their own now", blockdev_boot_disk());
		}
		gpt_done(&g);
	}
	if (r < 0 && fd >= 0)
		log_warn("cannot give '%s' GUIDs of its own: %s", blockdev_boot_disk(), strerror(-r));
}

static void grow_ext4(const struct blockdev *b)
{
	NOMAD_AUTO_FD int fd = open("/state", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t blocks;
	struct statfs s;

	if (fd < 0 || fstatfs(fd, &s) < 0 || s.f_bsize <= 0)
		return;
	blocks = b->sectors * GPT_SECTOR / (uint64_t)s.f_bsize;
	/* f_blocks leaves out the file system's own tables: the kernel knows best whether there is something to do. */
	if (ioctl(fd, RESIZE_FS, &blocks) < 0 && errno != EINVAL && errno != EBUSY)
		log_warn("cannot grow the file system on '%s': %s", b->path, strerror(errno));
}

/* On the disk that has the root slots. */
static int add_partition(const char *label, struct blockdev *ret)
{
	uint64_t sectors, start, size;
	struct blockdev root;
	struct gpt g;
	int r, number;

	if (blockdev_find("nomadroot-a", 0, &root) < 0)
		return -ENODEV;
	NOMAD_AUTO_FD int fd = open_disk(root.disk);

	r = fd < 0 ? fd : disk_sectors(fd, &sectors);
	if (r == 0)
		r = gpt_read(fd, sectors, &g);
	if (r < 0)
		return r;
	number = gpt_add(&g, label, MIN_NEW_SECTORS, &start, &size);
	r = number < 0 ? number : gpt_write(fd, &g);
	if (r == 0)
		r = gpt_tell_kernel(fd, number, start, size, true);
	gpt_done(&g);
	if (r < 0)
		return r;
	log_info("added the partition '%s' of %llu MiB to '%s'", label, (unsigned long long)size >> 11, root.disk);
	/* Added by hand it has no PARTNAME: the kernel reads names only from a table it scans. */
	for (r = 0; r < 100; r++) {
		struct blockdev list[64];
		size_t n = blockdev_list(list, NOMAD_ARRAY_LEN(list)), i;

		for (i = 0; i < n; i++) {
			if (strcmp(list[i].disk, root.disk) == 0 && list[i].start == start) {
				*ret = list[i];
				return 1;
			}
		}
		util_sleep_ms(20);
	}
	return -ENODEV;
}

static int mount_disk(const struct config *c, struct blockdev *b, bool is_new)
{
	struct blockdev_label l = { 0 };
	int r, fd;

	fd = open(b->path, O_RDONLY | O_CLOEXEC);
	r = fd < 0 ? -errno : blockdev_probe(fd, &l);
	if (fd >= 0)
		close(fd);
	if (r < 0) {
		log_error("cannot read '%s': %s", b->path, strerror(-r));
		return r;
	}
	if (c->state.grow && b->disk[0] && !is_new)
		grow_partition(b);
	if (l.fs == FS_BLANK || is_new) {
		r = make_ext4(b, c->state.label);
		if (r < 0)
			return r;
	} else if (l.fs != FS_EXT4) {
		log_error("'%s' is named '%s' but holds %s; it is left alone (clear its first 4 KiB to have it used)",
			  b->path, c->state.label, blockdev_fs_names[l.fs]);
		return -EEXIST;
	} else if (l.needs_check && c->state.check) {
		check_ext4(b);
	}
	if (mount(b->path, "/state", "ext4", MS_NOATIME | MS_NOSUID | MS_NODEV, NULL) < 0) {
		r = -errno;
		log_error("cannot mount '%s': %s", b->path, strerror(-r));
		return r;
	}
	if (c->state.grow)
		grow_ext4(b);
	return 0;
}

static void tell_room(const char *where)
{
	struct statfs s;

	if (statfs("/state", &s) == 0)
		log_info("state is on '%s', %llu of %llu MiB free", where,
			 (unsigned long long)s.f_bavail * (unsigned long long)s.f_bsize >> 20,
			 (unsigned long long)s.f_blocks * (unsigned long long)s.f_bsize >> 20);
}

int state_mount(const struct config *c, bool in_container)
{
	struct blockdev b;
	int r, r2;

	/* In a container the folder is what the caller made it. */
	if (in_container && access("/state", W_OK) == 0)
		return 0;
	if (!in_container)
		individualize();
	r = in_container ? -ENODEV : blockdev_find(c->state.label, FIND_MS, &b);
	if (r == -ENODEV && !in_container) {
		r2 = add_partition(c->state.label, &b);
		if (r2 >= 0)
			r = r2;
		else if (r2 != -ENODEV && r2 != -ENOSPC)
			log_warn("cannot add a state partition: %s", strerror(-r2));
	}
	if (r >= 0) {
		r = mount_disk(c, &b, r == 1);
		if (r == 0) {
			tell_room(b.path);
			return 0;
		}
	} else if (r == -ENOTUNIQ) {
		log_error("more than one partition is named or labelled '%s': none is used", c->state.label);
	} else {
		log_warn("there is no partition named or labelled '%s'", c->state.label);
	}
	if (!c->state.tmpfs_if_missing)
		return -EAGAIN;
	if (mount("tmpfs", "/state", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0)
		log_error("cannot mount a tmpfs on '/state': %s", strerror(errno));
	log_warn("state is kept in memory and will be lost at the next boot");
	return 1;
}

void state_prepare(void)
{
	static const char *const folders[] = { "/state/nomad",	   "/state/log",      "/state/var",
					       "/state/var/lib",   "/state/var/tmp",  "/state/var/log",
					       "/state/var/cache", "/state/nomadinit" };
	size_t i;
	int r;

	for (i = 0; i < NOMAD_ARRAY_LEN(folders); i++) {
		r = nomad__make_dirs(folders[i], 0755);
		if (r < 0)
			log_error("cannot make '%s': %s", folders[i], strerror(-r));
	}
	chmod("/state/nomad", 0700);
	chmod("/state/var/tmp", 01777);
	if (mount("/state/var", "/var", NULL, MS_BIND, NULL) < 0)
		log_warn("cannot bind '/state/var' to '/var': %s", strerror(errno));
	if (symlink("/run", "/state/var/run") < 0 && errno != EEXIST)
		log_warn("cannot link '/var/run': %s", strerror(errno));
}
