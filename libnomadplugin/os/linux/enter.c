/* SPDX-License-Identifier: MPL-2.0
 *
 * os/enter.h with setns(2) on a pidfd, which enters all at once. */
#include "os/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fields.h"
#include "os/linux/proc.h"

static const struct {
	const char *name;
	int flag;
} namespaces[] = {
	{ "user", CLONE_NEWUSER }, { "mnt", CLONE_NEWNS },  { "pid", CLONE_NEWPID },	   { "uts", CLONE_NEWUTS },
	{ "ipc", CLONE_NEWIPC },   { "net", CLONE_NEWNET }, { "cgroup", CLONE_NEWCGROUP },
};

enum { LAST_CAPABILITY = 63 };

static void proc_path(char *buf, size_t size, int pid, const char *what, const char *name)
{
	struct nomad__text t;

	nomad__text_init(&t, buf, size);
	nomad__text_add(&t, "/proc/");
	nomad__text_num(&t, pid);
	nomad__text_add(&t, what);
	nomad__text_add(&t, name);
}

static bool is_ours(int pid, const char *name)
{
	char path[80];
	struct stat theirs, ours;

	proc_path(path, sizeof(path), pid, "/ns/", name);
	if (stat(path, &theirs) < 0)
		return true; /* a kernel without it */
	proc_path(path, sizeof(path), getpid(), "/ns/", name);
	return stat(path, &ours) == 0 && theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev;
}

static uint64_t parse_hex(const char *s)
{
	uint64_t n = 0;

	for (; *s; s++) {
		if (*s >= '0' && *s <= '9')
			n = n * 16 + (uint64_t)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			n = n * 16 + (uint64_t)(*s - 'a' + 10);
		else
			break;
	}
	return n;
}

static void read_status(int pid, struct nomad__enter *ret)
{
	char buf[4096];
	const char *found;

	(void)nomad__proc_read(pid, "/status", buf, sizeof(buf));
	found = strstr(buf, "\nCapBnd:\t");
	if (found)
		ret->capabilities = parse_hex(found + 9);
	found = strstr(buf, "\nNoNewPrivs:\t");
	ret->no_new_privs = found && found[13] == '1';
}

int nomad__enter_open(const struct nomad__process *process, struct nomad__enter *ret)
{
	int pid = process->pid;
	char path[64];

	*ret = (struct nomad__enter){ .root = -1, .capabilities = ~0ull };
	ret->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (ret->pidfd < 0)
		return -errno;
	if (!nomad__process_lives(process))
		return -ESRCH;
	proc_path(path, sizeof(path), pid, "/root", "");
	ret->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ret->root < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++)
		if (!is_ours(pid, namespaces[i].name))
			ret->flags |= namespaces[i].flag;
	ret->needs_fork = (ret->flags & CLONE_NEWPID) != 0;
	ret->other_users = (ret->flags & CLONE_NEWUSER) != 0;
	read_status(pid, ret);
	/* All that was read was of the same process. */
	return nomad__process_lives(process) ? 0 : -ESRCH;
}

int nomad__enter_apply(const struct nomad__enter *enter)
{
	if (enter->flags && setns(enter->pidfd, enter->flags) < 0)
		return -errno;
	if (fchdir(enter->root) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

int nomad__enter_restrict_bounds(const struct nomad__enter *enter)
{
	for (int i = 0; i <= LAST_CAPABILITY; i++)
		if (!(enter->capabilities >> i & 1) && prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1 &&
		    prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
			return -errno;
	return 0;
}

int nomad__enter_restrict(const struct nomad__enter *enter)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		uint32_t allowed = (uint32_t)(enter->capabilities >> (32 * i));

		data[i].effective &= allowed;
		data[i].permitted &= allowed;
		data[i].inheritable &= allowed;
	}
	if (syscall(SYS_capset, &header, data) < 0)
		return -errno;
	if (enter->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

int nomad__fork_sibling(void)
{
	long pid = syscall(SYS_clone, CLONE_PARENT, NULL, NULL, NULL, NULL);

	return pid < 0 ? -errno : (int)pid;
}

int nomad__enter_netns(int fd)
{
	return setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

int nomad__enter_netns_of(int pid)
{
	char path[64];
	int fd, r;

	if (is_ours(pid, "net"))
		return 0;
	proc_path(path, sizeof(path), pid, "/ns/net", "");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = nomad__enter_netns(fd);
	close(fd);
	return r;
}

int nomad__take_terminal(void)
{
	return ioctl(0, TIOCSCTTY, 0) < 0 ? -errno : 0;
}
