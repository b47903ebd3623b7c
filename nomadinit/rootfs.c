/* SPDX-License-Identifier: MPL-2.0 */
/* The initramfs holds this program and the modules for disks.
 *
 * The kernel arguments (signed, where Secure Boot is) give the root hash; the slot that has it is
 * opened through dm-verity, so what is mounted is what was built, whichever slot it lies in.
 * If it does not turn up, the reason is on the console and after a minute the machine starts
 * again: the boot loader may have another slot to offer, and a slow disk another chance. */
#include "rootfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tree.h"
#include "bootdisk.h"
#include "cmdline.h"
#include "log.h"
#include "modules.h"
#include "mounts.h"
#include "slot.h"
#include "util.h"
#include "verity.h"

#define NEW_ROOT "/root"
#define WAIT_MS 60000

static void give_up(const char *what, int r) __attribute__((noreturn));
static void give_up(const char *what, int r)
{
	log_error("%s: %s; starting again in 10 s", what, strerror(-r));
	util_sleep_ms(10000);
	sync();
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static void load_modules(void)
{
	static const char *const always[] = { "squashfs", "dm-verity", "efivarfs" };
	struct modules m;
	size_t i;
	int n;

	if (modules_open(&m, "") < 0) {
		log_warn("the initramfs has no modules of this kernel");
		return;
	}
	n = modules_load_hardware(&m);
	for (i = 0; i < NOMAD_ARRAY_LEN(always); i++)
		modules_load(&m, always[i]);
	log_info("%d kernel modules for the hardware", n);
	modules_close(&m);
}

static int mount_root(const char *hash, char *ret_slot, char *ret_disk)
{
	struct blockdev b;
	char path[64];
	struct slot s;
	int r;

	r = bootdisk_find(ret_disk);
	if (r == -ENOTUNIQ)
		log_error("more than one disk has the GUIDs of the one we started from: none is used; detach the copy");
	if (r == 0)
		r = slot_find(ret_disk, hash, &b, &s);
	if (r < 0)
		return r;
	util_copy(path, sizeof(path), b.path);
	if (hash[0]) {
		r = verity_open("nomadroot", b.path, b.major, b.minor, s.hash_offset, hash, path, sizeof(path));
		if (r < 0) {
			log_error("cannot open '%s' with dm-verity: %s", b.path, strerror(-r));
			return r;
		}
	}
	if (mount(path, NEW_ROOT, "squashfs", MS_RDONLY | MS_NODEV, NULL) < 0 &&
	    (errno != EINVAL || mount(path, NEW_ROOT, "erofs", MS_RDONLY | MS_NODEV, NULL) < 0)) {
		r = -errno;
		log_error("cannot mount '%s': %s", path, strerror(-r));
		return r;
	}
	*ret_slot = b.partname[10];
	log_info("root is slot %c ('%s'), version '%s'%s", *ret_slot, b.path, s.version, hash[0] ? ", verified" : "");
	return 0;
}

void rootfs_main(void)
{
	static const char *const move[] = { "/dev", "/proc", "/sys" };
	char env_slot[] = "NOMADINIT_SLOT=?", env_disk[64] = "NOMADINIT_DISK=", target[32];
	char *argv[] = { (char *)(uintptr_t) "nomadinit", NULL };
	char *envp[] = { env_slot, env_disk, (char *)(uintptr_t) "TERM=linux", NULL };
	const char *hash;
	uint64_t end;
	int r;
	size_t i;

	umask(022);
	r = mounts_early();
	log_open_consoles();
	if (r < 0)
		log_error("cannot mount the kernel's file systems: %s", strerror(-r));
	cmdline_load();
	load_modules();
	hash = cmdline_get("roothash");
	if (!hash)
		hash = "";
	mkdir(NEW_ROOT, 0755);
	end = util_now_ms() + WAIT_MS;
	while ((r = mount_root(hash, &env_slot[sizeof(env_slot) - 2], &env_disk[15])) < 0) {
		if (util_now_ms() >= end)
			give_up(r == -ENODEV ? "the disk we started from has no slot with the wanted root hash"
					     : "cannot mount the root",
				r);
		util_sleep_ms(r == -ENODEV ? 20 : 5000);
	}
	for (i = 0; i < NOMAD_ARRAY_LEN(move); i++) {
		snprintf(target, sizeof(target), "%s%s", NEW_ROOT, move[i]);
		if (mount(move[i], target, NULL, MS_MOVE, NULL) < 0)
			log_error("cannot move '%s': %s", move[i], strerror(errno));
	}
	/* The initramfs is memory: what is done with is given back. */
	nomad__remove_tree("/lib");
	unlink("/init");
	if (chdir(NEW_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		give_up("cannot change to the root", -errno);
	execve("/sbin/nomadinit", argv, envp);
	give_up("cannot start '/sbin/nomadinit' of the root", -errno);
}
