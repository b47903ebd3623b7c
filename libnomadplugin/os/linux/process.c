/* SPDX-License-Identifier: MPL-2.0
 *
 * os/process.h from /proc, prctl(2), memfd_create(2) and pidfds. */
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/fields.h"
#include "nomad/base.h"
#include "os/linux/proc.h"

ssize_t nomad__proc_read(int pid, const char *what, char *buf, size_t size)
{
	char path[64];
	struct nomad__text t;

	nomad__text_init(&t, path, sizeof(path));
	nomad__text_add(&t, "/proc/");
	nomad__text_num(&t, pid);
	nomad__text_add(&t, what);
	return nomad__text_read(AT_FDCWD, path, buf, size);
}

int nomad__boot_id(char ret[NOMAD__BOOT_ID_SIZE])
{
	ssize_t n = nomad__text_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", ret, NOMAD__BOOT_ID_SIZE);

	if (n < 0)
		return (int)n;
	ret[strcspn(ret, "\n")] = 0;
	return 0;
}

/* Field n of /proc/PID/stat, n > 2: behind the last parenthesis of the name. */
static const char *stat_field(const char *stat, int n)
{
	const char *p = strrchr(stat, ')');

	for (int i = 2; p && i < n; i++) {
		p = strchr(p + 1, ' ');
		if (!p)
			return NULL;
	}
	return p ? p + 1 : NULL;
}

static int read_stat(int pid, char *buf, size_t size)
{
	int r;

	if (pid <= 0)
		return -ESRCH;
	r = (int)nomad__proc_read(pid, "/stat", buf, size);
	return r == -ENOENT ? -ESRCH : r;
}

int nomad__process_find(int pid, struct nomad__process *ret)
{
	char stat[1024];
	const char *field;
	int r = read_stat(pid, stat, sizeof(stat));

	if (r < 0)
		return r;
	field = stat_field(stat, 22);
	if (!field)
		return -EIO;
	*ret = (struct nomad__process){ .pid = pid, .start = (uint64_t)nomad__parse_num(field, 0) };
	return 0;
}

bool nomad__process_lives(const struct nomad__process *process)
{
	char stat[1024];
	const char *state, *field;

	if (read_stat(process->pid, stat, sizeof(stat)) < 0)
		return false;
	state = stat_field(stat, 3);
	field = stat_field(stat, 22);
	return field && (uint64_t)nomad__parse_num(field, 0) == process->start && *state != 'Z' && *state != 'X';
}

int nomad__process_parent(int pid)
{
	char stat[1024];
	const char *field;
	int r = read_stat(pid, stat, sizeof(stat));

	if (r < 0)
		return r;
	field = stat_field(stat, 4);
	return field ? (int)nomad__parse_num(field, 0) : -EIO;
}

ssize_t nomad__process_arguments(int pid, char *buf, size_t size)
{
	return nomad__proc_read(pid, "/cmdline", buf, size);
}

int nomad__process_signal(const struct nomad__process *process, int sig)
{
	int fd, r = 0;

	if (process->pid <= 1)
		return -ESRCH;
	/* The pidfd pins the process, so its identity can be checked afterwards. */
	fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	if (fd < 0 && errno == ESRCH)
		return -ESRCH;
	if (!nomad__process_lives(process))
		r = -ESRCH;
	else if ((fd >= 0 ? (int)syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0) : kill(process->pid, sig)) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	return r;
}

static int children_of_thread(const char *path, int *ret, int count, int max)
{
	char buf[2048];
	int fd = open(path, O_RDONLY | O_CLOEXEC), value = 0;
	bool digit = false;
	ssize_t n;

	if (fd < 0)
		return count;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] >= '0' && buf[i] <= '9') {
				value = value * 10 + (buf[i] - '0');
				digit = true;
			} else if (digit) {
				if (count < max)
					ret[count++] = value;
				value = 0;
				digit = false;
			}
		}
	close(fd);
	return count;
}

int nomad__process_children(int pid, int *ret, int max)
{
	char path[80];
	struct nomad__text t;
	struct nomad__entries entries = { 0 };
	const struct dirent *d;
	size_t base;
	int count = 0;

	nomad__text_init(&t, path, sizeof(path));
	nomad__text_add(&t, "/proc/");
	nomad__text_num(&t, pid);
	nomad__text_add(&t, "/task/");
	base = t.used;
	/* A child belongs to the thread that forked it. */
	entries.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (entries.fd < 0)
		return -errno;
	while ((d = nomad__entries_next(&entries))) {
		t.used = base;
		nomad__text_add(&t, d->d_name);
		nomad__text_add(&t, "/children");
		count = children_of_thread(path, ret, count, max);
	}
	close(entries.fd);
	return count;
}

int nomad__process_usage(int pid, struct nomad__process_usage *ret)
{
	char stat[1024];
	const char *utime, *stime, *rss;
	uint64_t tick = 1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK);
	int r = read_stat(pid, stat, sizeof(stat));

	if (r < 0)
		return r;
	utime = stat_field(stat, 14);
	stime = stat_field(stat, 15);
	rss = stat_field(stat, 24);
	if (!utime || !stime || !rss)
		return -EIO;
	ret->user_ns = (uint64_t)nomad__parse_num(utime, 0) * tick;
	ret->system_ns = (uint64_t)nomad__parse_num(stime, 0) * tick;
	ret->rss_bytes = (uint64_t)nomad__parse_num(rss, 0) * (uint64_t)sysconf(_SC_PAGESIZE);
	return 0;
}

int nomad__process_descriptors(void)
{
	struct nomad__entries entries = { .fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	int count = -1; /* but this one */

	if (entries.fd < 0)
		return -errno;
	while (nomad__entries_next(&entries))
		count++;
	close(entries.fd);
	return count;
}

int nomad__reaper_acquire(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : 0;
}

void nomad__die_with_parent(void)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

void nomad__process_protect(void)
{
	if (geteuid() == 0)
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void nomad__process_name(const char *name)
{
	(void)prctl(PR_SET_NAME, name, 0, 0, 0);
}

int nomad__oom_score(int adjust)
{
	char buf[24];
	struct nomad__text t;
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	nomad__text_init(&t, buf, sizeof(buf));
	nomad__text_num(&t, adjust);
	if (write(fd, buf, strlen(buf)) < 0)
		r = -errno;
	close(fd);
	return r;
}

void nomad__close_from(int first)
{
	if (syscall(SYS_close_range, first, ~0u, 0) == 0)
		return;
	for (int fd = first; fd < 65536; fd++)
		close(fd);
}

int nomad__memory_file(const char *name)
{
	int fd = (int)syscall(SYS_memfd_create, name, MFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

int nomad__program_load(const char *name, const void *data, size_t size)
{
	/* Kernels before 6.3 do not know MFD_EXEC, later ones may insist on it. */
	int fd = (int)syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC), r;

	if (fd < 0 && errno == EINVAL)
		fd = (int)syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	r = nomad_write_all(fd, data, size);
	if (r >= 0 && (fchmod(fd, 0500) < 0 ||
		       fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0))
		r = -errno;
	if (r >= 0)
		return fd;
	close(fd);
	return r;
}

int nomad__program_exec(int fd, char *const argv[], char *const envp[])
{
	syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
	return -errno;
}
