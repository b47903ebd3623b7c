/* SPDX-License-Identifier: MPL-2.0 */
/* What survives a reboot.
 *
 *   by label ---found---> state_decide(): make, check, repair -> mount -> grow the file system
 *      |not found
 *      +-> room behind the last partition of the disk we came from? add it there, as above
 *      +-> else memory, with a warning (or wait, if so configured)
 *
 * A file system is only made where there never was one: a partition that we have mounted is marked in the partition
 * table. If its state cannot be had, the node does not start as a new one, but says so and tries again, until told
 * otherwise (state.replace_lost).  A partition that holds something else is never overwritten. */
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
#include "helper.h"
#include "log.h"
#include "loop.h"
#include "base/tree.h"
#include "util.h"

#define RESIZE_FS _IOW('f', 16, uint64_t) /* EXT4_IOC_RESIZE_FS */
#define MIN_NEW_SECTORS (16u << 11)
#define FIND_MS 3000
#define HELPER_MS (30 * 60 * 1000)
#define PROGRESS_MS 10000
#define RETRY_MS 5000
#define FAILED_MS 60000 /* to look again at a state that cannot be had */

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

static struct {
	const struct config *config;
	void (*done)(void);
	struct blockdev dev;
	bool is_new, was_repaired;
	uint64_t since_ms; /* when the helper was started */
	const char *doing;
	struct loop_timer timer;
} state;

static void look(void *data);
static void mount_it(void);

static void retry(uint64_t in_ms)
{
	state.timer.fn = look;
	loop_timer_set(&state.timer, in_ms);
}

static void use_memory(void)
{
	if (mount("tmpfs", "/state", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0)
		log_error("cannot mount a tmpfs on '/state': %s", strerror(errno));
	log_warn("state is kept in memory and will be lost at the next boot");
	state.done();
}

/* There is no state partition, or none that we may use. */
static void do_without(void)
{
	if (state.config->state.tmpfs_if_missing)
		use_memory();
	else
		retry(RETRY_MS);
}

/* The partition's mark in the table that it has held a state. */
static bool is_marked(bool set)
{
	NOMAD_AUTO_FD int fd = state.dev.disk[0] ? open_disk(state.dev.disk) : -ENODEV;
	bool marked = false;
	uint64_t sectors;
	struct gpt g;

	if (fd < 0 || disk_sectors(fd, &sectors) < 0 || gpt_read(fd, sectors, &g) < 0)
		return false;
	marked = gpt_is_marked(&g, state.dev.partition);
	if (set && !marked) {
		gpt_mark(&g, state.dev.partition);
		if (gpt_write(fd, &g) < 0)
			log_warn("cannot mark '%s' as in use", state.dev.path);
	}
	gpt_done(&g);
	return marked;
}

static void on_progress(void *data)
{
	(void)data;
	log_info("%s '%s' for %llu s", state.doing, state.dev.path,
		 (unsigned long long)(util_now_ms() - state.since_ms) / 1000);
	loop_timer_set(&state.timer, PROGRESS_MS);
}

static void run(const char *doing, const char *const argv[], helper_fn *done)
{
	int r = helper_run(argv, HELPER_MS, done, NULL);

	state.doing = doing;
	state.since_ms = util_now_ms();
	state.timer.fn = on_progress;
	loop_timer_set(&state.timer, PROGRESS_MS);
	if (r < 0)
		done(NULL, r);
}

static void on_made(void *data, int status)
{
	(void)data;
	loop_timer_stop(&state.timer);
	if (status == 0) {
		mount_it();
		return;
	}
	log_error("mke2fs on '%s' failed: %s %d", state.dev.path, status < 0 ? strerror(-status) : "exit status",
		  status);
	do_without();
}

static void make(void)
{
	static char label[17];
	const char *const argv[] = { "/sbin/mke2fs",
				     "-q",
				     "-F",
				     "-t",
				     "ext4",
				     "-b",
				     "4096",
				     "-L",
				     label,
				     "-E",
				     "lazy_itable_init=1,lazy_journal_init=1,discard",
				     state.dev.path,
				     NULL };

	util_copy(label, sizeof(label), state.config->state.label);
	log_info("making a file system on '%s'", state.dev.path);
	run("making a file system on", argv, on_made);
}

static void on_repaired(void *data, int status)
{
	(void)data;
	loop_timer_stop(&state.timer);
	if (status < 0 || status >= 4)
		log_error("e2fsck of '%s': %s %d; mounting it anyway", state.dev.path,
			  status < 0 ? strerror(-status) : "exit status", status);
	mount_it();
}

/* e2fsck finds the copies of the superblock by itself. */
static void repair(void)
{
	const char *const argv[] = { "/sbin/e2fsck", "-f", "-y", state.dev.path, NULL };

	state.was_repaired = true;
	log_warn("'%s' is damaged; repairing what can be", state.dev.path);
	run("repairing", argv, on_repaired);
}

static void on_checked(void *data, int status)
{
	loop_timer_stop(&state.timer);
	if (status >= 4 && status < 127)
		repair();
	else
		on_repaired(data, status);
}

static void check(void)
{
	const char *const argv[] = { "/sbin/e2fsck", "-p", state.dev.path, NULL };

	log_info("checking '%s', which was not cleanly unmounted", state.dev.path);
	run("checking", argv, on_checked);
}

static void mount_it(void)
{
	struct statfs s;

	if (mount(state.dev.path, "/state", "ext4", MS_NOATIME | MS_NOSUID | MS_NODEV, NULL) < 0) {
		log_error("cannot mount '%s': %s", state.dev.path, strerror(errno));
		if (!state.was_repaired)
			repair();
		else
			retry(FAILED_MS);
		return;
	}
	is_marked(true);
	if (state.config->state.grow)
		grow_ext4(&state.dev);
	if (statfs("/state", &s) == 0)
		log_info("state is on '%s', %llu of %llu MiB free", state.dev.path,
			 (unsigned long long)s.f_bavail * (unsigned long long)s.f_bsize >> 20,
			 (unsigned long long)s.f_blocks * (unsigned long long)s.f_bsize >> 20);
	state.done();
}

enum state_step state_decide(const struct blockdev_label *l, bool has_backup, bool had_state, bool may_replace)
{
	if (l->fs == FS_EXT4)
		return l->needs_check ? STATE_CHECK : STATE_MOUNT;
	if (has_backup)
		return STATE_REPAIR;
	if (had_state)
		return may_replace ? STATE_MAKE : STATE_LOST;
	return l->fs == FS_BLANK ? STATE_MAKE : STATE_FOREIGN;
}

static void go_by(enum state_step step, const struct blockdev_label *l)
{
	switch (step) {
	case STATE_CHECK:
		if (state.config->state.check) {
			check();
			break;
		}
		/* fall through */
	case STATE_MOUNT:
		mount_it();
		break;
	case STATE_REPAIR:
		repair();
		break;
	case STATE_MAKE:
		make();
		break;
	case STATE_FOREIGN:
		log_error("'%s' is named '%s' but holds %s; it is left alone (clear its first 4 KiB to have it used)",
			  state.dev.path, state.config->state.label, blockdev_fs_names[l->fs]);
		do_without();
		break;
	case STATE_LOST:
		log_error("'%s' held this node's state and now holds %s; the node does not start without it "
			  "(nomadinit.state.replace_lost makes a new one)",
			  state.dev.path, blockdev_fs_names[l->fs]);
		retry(FAILED_MS);
		break;
	}
}

static void use_disk(void)
{
	NOMAD_AUTO_FD int fd = open(state.dev.path, O_RDONLY | O_CLOEXEC);
	struct blockdev_label l = { 0 };
	int r = fd < 0 ? -errno : blockdev_probe(fd, &l);

	if (r < 0) {
		log_error("cannot read '%s': %s", state.dev.path, strerror(-r));
		retry(RETRY_MS);
		return;
	}
	if (state.config->state.grow && state.dev.disk[0] && !state.is_new)
		grow_partition(&state.dev);
	go_by(state.is_new
		      ? STATE_MAKE
		      : state_decide(&l, blockdev_has_backup(fd), is_marked(false), state.config->state.replace_lost),
	      &l);
}

static void look(void *data)
{
	int r, r2;

	(void)data;
	individualize();
	r = blockdev_find(state.config->state.label, FIND_MS, &state.dev);
	state.is_new = state.was_repaired = false;
	if (r == -ENODEV) {
		r2 = add_partition(state.config->state.label, &state.dev);
		state.is_new = r2 == 1;
		if (r2 == 1)
			r = 0;
		else if (r2 != -ENODEV && r2 != -ENOSPC)
			log_warn("cannot add a state partition: %s", strerror(-r2));
	}
	if (r == 0) {
		use_disk();
		return;
	}
	if (r == -ENOTUNIQ)
		log_error("more than one partition is named or labelled '%s': none is used", state.config->state.label);
	else
		log_warn("there is no partition named or labelled '%s'", state.config->state.label);
	do_without();
}

void state_start(const struct config *c, bool in_container, void (*done)(void))
{
	state.config = c;
	state.done = done;
	/* In a container the folder is what the caller made it. */
	if (!in_container)
		look(NULL);
	else if (access("/state", W_OK) == 0)
		done();
	else
		use_memory();
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
