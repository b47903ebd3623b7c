/* SPDX-License-Identifier: MPL-2.0
 *
 * os/process.h from sysctl(3), procctl(2) and fexecve(2). */
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/mman.h>
#include <sys/procctl.h>
#include <sys/stat.h>
#include <sys/sysctl.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fields.h"
#include "nomad/base.h"

static int boot_time_us(uint64_t *ret)
{
	struct timeval tv;
	size_t size = sizeof(tv);

	if (sysctlbyname("kern.boottime", &tv, &size, NULL, 0) < 0)
		return -errno;
	if (size != sizeof(tv))
		return -EIO;
	*ret = (uint64_t)tv.tv_sec * 1000000 + (uint64_t)tv.tv_usec;
	return 0;
}

int nomad__boot_id(char ret[NOMAD__BOOT_ID_SIZE])
{
	unsigned char id[16];
	size_t size = sizeof(id);
	struct nomad__text t;
	uint64_t us = 0;
	int r;

	nomad__text_init(&t, ret, NOMAD__BOOT_ID_SIZE);
	if (sysctlbyname("kern.boot_id", id, &size, NULL, 0) == 0 && size == sizeof(id)) {
		for (size_t i = 0; i < sizeof(id); i++) {
			char hex[3] = { "0123456789abcdef"[id[i] >> 4], "0123456789abcdef"[id[i] & 15], 0 };

			nomad__text_add(&t, hex);
		}
		return 0;
	}
	/* Before there was one.  It moves when the clock is set, which then looks like another boot. */
	r = boot_time_us(&us);
	if (r < 0)
		return r;
	nomad__text_num(&t, (int64_t)(us / 1000000));
	return 0;
}

static int get(int pid, struct kinfo_proc *ret)
{
	int name[] = { CTL_KERN, KERN_PROC, KERN_PROC_PID, pid };
	size_t size = sizeof(*ret);

	if (pid <= 0)
		return -ESRCH;
	if (sysctl(name, 4, ret, &size, NULL, 0) < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	return size == sizeof(*ret) && ret->ki_pid == pid ? 0 : -ESRCH;
}

int nomad__process_find(int pid, struct nomad__process *ret)
{
	struct kinfo_proc p = { .ki_pid = 0 };
	uint64_t before = 0, after = 0;
	int r;

	/* The kernel counts from the boot and adds the boot's time, which moves when the clock is set: take it off
	 * again. */
	do {
		r = boot_time_us(&before);
		if (r == 0)
			r = get(pid, &p);
		if (r == 0)
			r = boot_time_us(&after);
		if (r < 0)
			return r;
	} while (before != after);
	ret->pid = pid;
	ret->start = (uint64_t)p.ki_start.tv_sec * 1000000 + (uint64_t)p.ki_start.tv_usec - before;
	return 0;
}

bool nomad__process_lives(const struct nomad__process *process)
{
	struct nomad__process now;
	struct kinfo_proc p;

	return nomad__process_find(process->pid, &now) == 0 && now.start == process->start &&
	       get(process->pid, &p) == 0 && p.ki_stat != SZOMB;
}

int nomad__process_parent(int pid)
{
	struct kinfo_proc p;
	int r = get(pid, &p);

	return r < 0 ? r : p.ki_ppid;
}

ssize_t nomad__process_arguments(int pid, char *buf, size_t size)
{
	int name[] = { CTL_KERN, KERN_PROC, KERN_PROC_ARGS, pid };

	return sysctl(name, 4, buf, &size, NULL, 0) < 0 ? -errno : (ssize_t)size;
}

int nomad__process_signal(const struct nomad__process *process, int sig)
{
	if (process->pid <= 1 || !nomad__process_lives(process))
		return -ESRCH;
	return kill(process->pid, sig) < 0 ? -errno : 0;
}

int nomad__process_children(int pid, int *ret, int max)
{
	int name[] = { CTL_KERN, KERN_PROC, KERN_PROC_PROC, 0 }, count = 0;
	size_t room = 0, size;
	char *all = MAP_FAILED;

	/* Mapped, not from the heap.  The list may grow between the question for its size and the one for it. */
	for (int tries = 0; tries < 5; tries++) {
		if (sysctl(name, 3, NULL, &size, NULL, 0) < 0)
			return -errno;
		room = size + size / 4 + 65536;
		all = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
		if (all == MAP_FAILED)
			return -errno;
		size = room;
		if (sysctl(name, 3, all, &size, NULL, 0) == 0)
			break;
		count = -errno;
		munmap(all, room);
		all = MAP_FAILED;
		if (count != -ENOMEM)
			return count;
	}
	if (all == MAP_FAILED)
		return -ENOMEM;
	count = 0;
	for (size_t at = 0; at + sizeof(struct kinfo_proc) <= size;) {
		struct kinfo_proc p;

		memcpy(&p, all + at, sizeof(p));
		if (p.ki_structsize <= 0)
			break;
		at += (size_t)p.ki_structsize;
		if (p.ki_ppid == pid && count < max)
			ret[count++] = p.ki_pid;
	}
	munmap(all, room);
	return count;
}

static uint64_t ns(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * 1000000000 + (uint64_t)tv->tv_usec * 1000;
}

int nomad__process_usage(int pid, struct nomad__process_usage *ret)
{
	struct kinfo_proc p;
	int r = get(pid, &p);

	if (r < 0)
		return r;
	ret->user_ns = ns(&p.ki_rusage.ru_utime);
	ret->system_ns = ns(&p.ki_rusage.ru_stime);
	ret->rss_bytes = (uint64_t)p.ki_rssize * (uint64_t)getpagesize();
	return 0;
}

int nomad__process_descriptors(void)
{
#ifdef KERN_PROC_NFDS
	int name[] = { CTL_KERN, KERN_PROC, KERN_PROC_NFDS, getpid() }, count = 0;
	size_t size = sizeof(count);

	return sysctl(name, 4, &count, &size, NULL, 0) < 0 ? -errno : count;
#else
	return -ENOSYS;
#endif
}

int nomad__reaper_acquire(void)
{
	/* EBUSY: it is one already. */
	return procctl(P_PID, getpid(), PROC_REAP_ACQUIRE, NULL) < 0 && errno != EBUSY ? -errno : 0;
}

void nomad__die_with_parent(void)
{
	int sig = SIGKILL;

	(void)procctl(P_PID, 0, PROC_PDEATHSIG_CTL, &sig);
}

void nomad__process_protect(void)
{
	int control = PROC_TRACE_CTL_DISABLE;

	if (geteuid() == 0)
		(void)procctl(P_PID, getpid(), PROC_TRACE_CTL, &control);
}

void nomad__process_name(const char *name)
{
	setproctitle("-%s", name);
}

int nomad__oom_score(int adjust)
{
	int flags = adjust < 0 ? PPROT_SET : PPROT_CLEAR;

	return procctl(P_PID, getpid(), PROC_SPROTECT, &flags) < 0 ? -errno : 0;
}

void nomad__close_from(int first)
{
	closefrom(first);
}

int nomad__memory_file(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Only files can be run, not shared memory: one without a name. */
static int load_in(const char *dir, const void *data, size_t size)
{
	char path[64];
	struct nomad__text t;
	int fd, program = -1, r;

	nomad__text_init(&t, path, sizeof(path));
	nomad__text_add(&t, dir);
	nomad__text_add(&t, "/nomad-driver.XXXXXX");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = nomad_write_all(fd, data, size);
	if (r == 0 && fchmod(fd, 0500) < 0)
		r = -errno;
	/* Nothing that is open for writing can be run. */
	if (r == 0) {
		program = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (program < 0)
			r = -errno;
	}
	(void)unlink(path);
	close(fd);
	return r < 0 ? r : program;
}

int nomad__program_load(const char *name, const void *data, size_t size)
{
	int fd = load_in("/var/run", data, size);

	(void)name;
	return fd < 0 ? load_in("/tmp", data, size) : fd;
}

int nomad__program_exec(int fd, char *const argv[], char *const envp[])
{
	fexecve(fd, argv, envp);
	return -errno;
}
