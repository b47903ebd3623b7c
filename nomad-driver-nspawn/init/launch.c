/* SPDX-License-Identifier: MPL-2.0
 *
 * nspawn-init launch: the root file system of a container, in a mount
 * namespace that ends with systemd-nspawn, whatever ends it.
 *
 *	launch STEP... -- PROGRAM ARGS...
 *
 *	dir DIR			work in DIR; names below are relative to it
 *	clone SOURCE NAME	SOURCE is seen at NAME, without what is mounted below it
 *	bind SOURCE NAME	the same, with it
 *	idmap SOURCE NAME BASE	the same, its owners shifted by BASE (65536 of them)
 *	loop FILE NAME ro|rw	a file system image, or its root partition, at NAME
 *	layer FILE NAME		an empty file system of the driver's in FILE at NAME
 *	tmpfs NAME		an empty tmpfs at NAME
 *	overlay N UP NAME BASE	UP/upper over lower0 to lower<N - 1> at NAME, UP/work beside it; BASE not 0: owners in
 *				UP are those of the container, and shifted by it
 *	nodev NAME		device nodes in the tree NAME have no effect
 *	mkdir NAME PATH UID	PATH, a directory owned by UID, within the tree NAME
 *	mkfile NAME PATH UID	the same for an empty file
 *	machine-id NAME ID UID	/etc/machine-id in the tree NAME, if there is an /etc
 *	node, devices, users, dhcp, net	see node_copy(), devices.c, users.c, dhcp.c, net.c
 *
 * A SOURCE, and a FILE, is a path without symbolic links: who could put one
 * there since it was judged would show another place of the host.
 *
 * The kernel's idmapped mounts below an overlay (Linux 5.19) give a user
 * namespace its own owners without a single file being copied up. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channels.h"
#include "init.h"
#include "loop.h"
#include "nomad/base.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 4
#endif

static int mkdirs(const char *path)
{
	char part[4096], *p = part;

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return -1;
	while ((p = strchr(p + 1, '/'))) {
		*p = 0;
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -1;
		*p = '/';
	}
	return mkdir(part, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

/* A user namespace in which 0..65535 are base..base+65535; with_root: and the last user is root of the host, which
 * could not make a file there otherwise, as systemd-nspawn does before it gives it to the container. */
static int userns_open(const char *base, int with_root)
{
	char path[64], map[80];
	int ready[2], fd = -1;
	pid_t pid;
	char c;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (!pid) {
		die_with_parent();
		if (unshare(CLONE_NEWUSER) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	if (pid > 0 && read(ready[0], &c, 1) == 1) {
		snprintf(map, sizeof(map), "0 %s 65536\n%s", base, with_root ? "4294967294 0 1\n" : "");
		snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
		if (!write_file(path, map)) {
			snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)pid);
			if (!write_file(path, map)) {
				snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
				fd = open(path, O_RDONLY | O_CLOEXEC);
			}
		}
	}
	close(ready[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return fd;
}

static int target_make(int tree, const char *name)
{
	struct stat st;
	int fd;

	if (fstat(tree, &st) < 0)
		return -1;
	if (S_ISDIR(st.st_mode))
		return mkdir(name, 0700) < 0 && errno != EEXIST ? -1 : 0;
	fd = open(name, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

/* `userns`: its owners are shifted by that; or -1. */
static int tree_clone(const char *source, const char *name, int userns, int recursive)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (__u64)userns };
	int from = open_without_links(source, O_PATH), tree, r;

	if (from < 0)
		return -1;
	tree = (int)syscall(SYS_open_tree, from, "",
			    OPEN_TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0));
	close(from);
	if (tree < 0)
		return -1;
	if (userns >= 0) {
		r = (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr));
		if (r < 0)
			return -1;
	}
	if (target_make(tree, name) < 0)
		return -1;
	r = (int)syscall(SYS_move_mount, tree, "", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH);
	close(tree);
	return r;
}

static int tree_shift(const char *source, const char *name, const char *base)
{
	/* One for all: it is always the same base. */
	static int userns = -1;

	if (userns < 0)
		userns = userns_open(base, 0);
	return userns < 0 ? -1 : tree_clone(source, name, userns, 0);
}

/* A device node like `source` in the directory "nodes", which is in memory: of the same owner as the
 * container counts users. */
static int node_copy(const char *source, const char *name, const char *base)
{
	uid_t first = (uid_t)strtoul(base, NULL, 10);
	char path[300];
	int fd = open_without_links(source, O_PATH), r;
	struct stat st;

	if (fd < 0)
		return -1;
	r = fstat(fd, &st);
	close(fd);
	if (r < 0)
		return -1;
	if (mkdir("nodes", 0700) < 0) {
		if (errno != EEXIST)
			return -1;
	} else if (mount("tmpfs", "nodes", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755") < 0) {
		return -1;
	}
	snprintf(path, sizeof(path), "nodes/%s", name);
	if (mknod(path, st.st_mode & S_IFMT, st.st_rdev) < 0 || chown(path, first + st.st_uid, first + st.st_gid) < 0)
		return -1;
	return chmod(path, st.st_mode & 0777);
}

/* "lower0:lower1:..." */
static int lowers_join(const char *count, char *ret, size_t size)
{
	size_t n = 0;

	for (unsigned long i = 0; i < strtoul(count, NULL, 10) && n < size; i++)
		n += (size_t)snprintf(ret + n, size - n, "%slower%lu", i ? ":" : "", i);
	errno = n < size ? 0 : E2BIG;
	return n < size ? 0 : -1;
}

static int overlay_mount(const char *lowers, const char *up, const char *name, const char *base)
{
	const uid_t shift = (uid_t)strtoul(base, NULL, 10);
	char upper[256], work[256], lower[4096], options[sizeof(lower) + 128];
	struct stat st;
	int userns;

	snprintf(upper, sizeof(upper), "%s/upper", up);
	snprintf(work, sizeof(work), "%s/work", up);
	if (stat("lower0", &st) < 0 || (mkdir(name, 0700) < 0 && errno != EEXIST))
		return -1;
	/* The top of the tree is the upper directory itself: it looks like the lower one. */
	if (mkdir(upper, 0755) < 0) {
		if (errno != EEXIST)
			return -1;
	} else if (chown(upper, st.st_uid - shift, st.st_gid - shift) < 0 || chmod(upper, st.st_mode & 07777) < 0) {
		return -1;
	}
	if (mkdir(work, 0700) < 0 && errno != EEXIST)
		return -1;
	if (shift) {
		userns = userns_open(base, 1);
		if (userns < 0 || tree_clone(up, "shifted", userns, 0) < 0)
			return -1;
		close(userns);
	}
	if (lowers_join(lowers, lower, sizeof(lower)) < 0)
		return -1;
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower,
		 shift ? "shifted" : up, shift ? "shifted" : up);
	return mount("overlay", name, "overlay", 0, options);
}

static int nodev(const char *name)
{
	const unsigned long kept = ST_RDONLY | ST_NOSUID | ST_NOEXEC | ST_NOATIME | ST_NODIRATIME; /* MS_... too */
	struct statvfs st;

	if (statvfs(name, &st) < 0)
		return -1;
	return mount(NULL, name, NULL, MS_REMOUNT | MS_BIND | MS_NODEV | (st.f_flag & kept), NULL);
}

/* Within the tree (we have it for root), so that its symbolic links lead nowhere else.  What is there
 * already is fine, and what cannot be, systemd-nspawn complains of. */
static int make_within(const char *path, uid_t owner, int is_file)
{
	char part[4096], *p;
	int fd;

	if (strlen(path) >= sizeof(part))
		return ENAMETOOLONG;
	strcpy(part, path);
	for (p = part + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = 0;
		if (!c && is_file) {
			fd = open(part, O_CREAT | O_EXCL | O_CLOEXEC, 0644);
			if (fd >= 0 && fchown(fd, owner, owner) < 0)
				return errno;
			if (fd >= 0)
				close(fd);
		} else if (!mkdir(part, 0755) && chown(part, owner, owner) < 0) {
			return errno;
		}
		*p = c;
		if (!c)
			return 0;
	}
}

static int machine_id(const char *uuid, uid_t owner)
{
	char id[40];
	size_t n = 0;
	int fd, r;

	for (; *uuid && n < 32; uuid++)
		if (*uuid != '-')
			id[n++] = *uuid;
	id[n++] = '\n';
	(void)unlink("/etc/machine-id");
	fd = open("/etc/machine-id", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0)
		return 0; /* no /etc */
	r = -nomad_write_all(fd, id, n);
	if (!r && fchown(fd, owner, owner) < 0)
		r = errno;
	close(fd);
	return r;
}

static int is_within(const char *act)
{
	return strcmp(act, "mkdir") == 0 || strcmp(act, "mkfile") == 0 || strcmp(act, "machine-id") == 0;
}

/* All such steps for one tree that follow each other, in one child.  Returns how many arguments they
 * take, or -1. */
static int within(int argc, char **argv)
{
	const char *name = argv[1];
	int n = 0, status, r;
	pid_t pid;

	while (n + 3 < argc && is_within(argv[n]) && strcmp(argv[n + 1], name) == 0)
		n += 4;
	pid = fork();
	if (!pid) {
		if (chroot(name) < 0 || chdir("/") < 0)
			_exit(errno);
		for (; n > 0; n -= 4, argv += 4) {
			uid_t owner = (uid_t)strtoul(argv[3], NULL, 10);

			r = strcmp(argv[0], "machine-id") == 0
				    ? machine_id(argv[2], owner)
				    : make_within(argv[2], owner, strcmp(argv[0], "mkfile") == 0);
			if (r)
				_exit(r);
		}
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
	return errno ? -1 : n;
}

static int loop_at(const char *file, const char *name, int writable)
{
	char device[64];

	if (mkdir(name, 0700) < 0 && errno != EEXIST)
		return -1;
	if (!loop_attach(file, writable, device, sizeof(device)) && !device_mount(device, name, writable))
		return 0;
	if (errno != EMEDIUMTYPE)
		return -1;
	dprintf(2,
		"image '%s': neither a file system (ext2, ext3, ext4, xfs, btrfs, squashfs or erofs) nor a disk with "
		"one in its root partition; see \"image\" in nomad-driver-nspawn(8)\n",
		file);
	_exit(125);
}

/* The file system that the driver has made. It holds no device nodes but those that overlays use as marks. */
static int layer_at(const char *file, const char *name)
{
	char device[64];

	if ((mkdir(name, 0700) < 0 && errno != EEXIST) || loop_attach(file, 1, device, sizeof(device)) < 0)
		return -1;
	/* Without noinit_itable the kernel would fill the holes of the file. */
	return mount(device, name, "ext4", MS_NODEV | MS_NOATIME, "noinit_itable,discard");
}

static int step(const char *act, char **a)
{
	if (strcmp(act, "dir") == 0)
		return chdir(a[0]);
	if (strcmp(act, "clone") == 0)
		return tree_clone(a[0], a[1], -1, 0);
	if (strcmp(act, "bind") == 0)
		return tree_clone(a[0], a[1], -1, 1);
	if (strcmp(act, "idmap") == 0)
		return tree_shift(a[0], a[1], a[2]);
	if (strcmp(act, "node") == 0)
		return node_copy(a[0], a[1], a[2]);
	if (strcmp(act, "loop") == 0)
		return loop_at(a[0], a[1], strcmp(a[2], "rw") == 0);
	if (strcmp(act, "tmpfs") == 0)
		return mkdirs(a[0]) < 0 ? -1 : mount("tmpfs", a[0], "tmpfs", MS_NODEV, "mode=0755");
	if (strcmp(act, "nodev") == 0)
		return nodev(a[0]);
	if (strcmp(act, "dhcp") == 0)
		return dhcp_start(a[0], a[1], a[2], a[3], a[4]);
	if (strcmp(act, "net") == 0)
		return net_start(a);
	if (strcmp(act, "layer") == 0)
		return layer_at(a[0], a[1]);
	if (strcmp(act, "users") == 0)
		return users_lock(a[0], a[1], a[2]);
	if (strcmp(act, "devices") == 0)
		return devices_limit(a[0]);
	return overlay_mount(a[0], a[1], a[2], a[3]);
}

/* Whether the file system of `path` can shift owners. */
int probe(const char *path)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC);
	int userns = tree < 0 ? -1 : userns_open("524288", 0);

	if (userns < 0)
		return 1;
	attr.userns_fd = (__u64)userns;
	return syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0;
}

/* systemd-nspawn makes directories and devices at some places of the tree by their names on the host, and so follows
 * a link of the image out of it. */
static void places_check(const char *name)
{
	static const char *const places[] = { "dev", "etc", "proc", "run", "sys", "usr", "var/log/journal" };
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH };
	int tree = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), fd;

	for (size_t i = 0; tree >= 0 && i < sizeof(places) / sizeof(places[0]); i++) {
		fd = (int)syscall(SYS_openat2, tree, places[i], &how, sizeof(how));
		if (fd < 0 && errno != ENOENT && errno != ENOTDIR) {
			dprintf(2, "cannot use the image: a link at /%s is absolute or leads out of the image: %s\n",
				places[i], strerror(errno));
			_exit(125);
		}
		if (fd >= 0)
			close(fd);
	}
	if (tree >= 0)
		close(tree);
}

int launch(int argc, char **argv)
{
	static const struct {
		const char *name;
		int args;
	} steps[] = {
		{ "dir", 1 },	  { "clone", 2 }, { "bind", 2 },  { "idmap", 3 }, { "node", 3 },
		{ "loop", 3 },	  { "users", 3 }, { "layer", 2 }, { "tmpfs", 1 }, { "overlay", 4 },
		{ "devices", 1 }, { "nodev", 1 }, { "dhcp", 5 },  { "net", 6 },
	};
	size_t s;
	int i = 0, n;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		init_fail(125, "make a mount namespace for", "the container");
	while (i < argc && strcmp(argv[i], "--") != 0) {
		if (is_within(argv[i]) && i + 3 < argc) {
			n = within(argc - i, argv + i);
			if (n < 0)
				init_fail(125, "prepare the root file system", argv[i + 1]);
			i += n;
			continue;
		}
		for (s = 0; s < sizeof(steps) / sizeof(steps[0]); s++)
			if (strcmp(argv[i], steps[s].name) == 0 && i + steps[s].args < argc)
				break;
		errno = EINVAL;
		if (s == sizeof(steps) / sizeof(steps[0]))
			init_fail(125, "take the step", argv[i]);
		if (step(argv[i], argv + i + 1) < 0) {
			dprintf(2, "cannot prepare the container: %s '%s': %s\n", argv[i], argv[i + 1],
				strerror(errno));
			return 125;
		}
		i += 1 + steps[s].args;
	}
	if (i + 1 >= argc)
		return 64;
	places_check("image");
	places_check("root");
	if (chdir("/") < 0)
		init_fail(125, "enter", "/");
	if (channels_pass() < 0)
		init_fail(125, "pass the channels to", argv[i + 1]);
	execv(argv[i + 1], argv + i + 1);
	init_fail(127, "run", argv[i + 1]);
}
