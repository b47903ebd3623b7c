/* SPDX-License-Identifier: MPL-2.0
 *
 * os/cgroup.h for cgroup v2, v1 and both at once.
 *
 * Moving a process costs a wait for all processors (5 ms and more), unless
 * a thread moves itself through `tasks` (v1) or a process is created in its
 * cgroup (v2, CLONE_INTO_CGROUP).  This code uses both, to keep a start cheap. */
#include "os/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/fields.h"
#include "os/linux/proc.h"

/* <linux/sched.h> does not mix with <sched.h> everywhere. */
struct clone_args_v2 {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
		cgroup;
};
#define INTO_CGROUP 0x200000000ull

enum { MAX_DEPTH = 64 };

int nomad__cgroup_parse(const char *s, struct nomad__cgroup *ret)
{
	const char *ctl, *root, *rel;
	struct nomad__text t;

	memset(ret, 0, sizeof(*ret));
	if ((s[0] != 'o' && s[0] != 'n') || !s[1] || !strchr("2f1", s[1]) || s[2] != ':')
		return -EINVAL;
	ret->ours = s[0] == 'o';
	ret->kind = s[1];
	ctl = s + 3;
	root = strchr(ctl, ':');
	rel = root ? strchr(root + 1, ':') : NULL;
	if (!rel || root[1] != '/' || rel[1] != '/' || rel[2] == 0 || strstr(rel, "/..") ||
	    (size_t)(root - ctl) >= sizeof(ret->ctl))
		return -EINVAL;
	memcpy(ret->ctl, ctl, (size_t)(root - ctl));
	ret->root = (size_t)(rel - root - 1);
	if (ret->root >= sizeof(ret->path))
		return -ENAMETOOLONG;
	nomad__text_init(&t, ret->path, sizeof(ret->path));
	nomad__text_add(&t, root + 1);
	t.used = ret->root;
	nomad__text_add(&t, rel + 1);
	return t.full ? -ENAMETOOLONG : 0;
}

int nomad__cgroup_create(const struct nomad__cgroup *cgroup)
{
	char parent[sizeof(cgroup->path)];
	char *slash;

	memcpy(parent, cgroup->path, sizeof(parent));
	for (int tries = 0; tries < 10; tries++) {
		if (mkdir(cgroup->path, 0755) == 0 || errno == EEXIST)
			return 0;
		if (errno != ENOENT)
			break;
		slash = strrchr(parent, '/');
		if ((size_t)(slash - parent) <= cgroup->root)
			break;
		*slash = 0;
		if (mkdir(parent, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return -errno;
}

int nomad__cgroup_write(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		r = -errno;
	close(fd);
	return r;
}

static int write_at(const char *dir, const char *name, const char *value)
{
	char path[400];
	struct nomad__text t;

	nomad__text_init(&t, path, sizeof(path));
	nomad__text_add(&t, dir);
	nomad__text_add(&t, "/");
	nomad__text_add(&t, name);
	return t.full ? -ENAMETOOLONG : nomad__cgroup_write(path, value);
}

int nomad__cgroup_fork(const char *path)
{
	struct clone_args_v2 args = { .exit_signal = SIGCHLD };
	int fd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1, pid;

	if (fd >= 0) {
		args.flags = INTO_CGROUP;
		args.cgroup = (uint64_t)fd;
		pid = (int)syscall(SYS_clone3, &args, sizeof(args));
		if (pid == 0)
			return 0; /* the descriptor is closed by exec */
		close(fd);
		if (pid > 0)
			return pid;
	}
	pid = fork();
	if (pid == 0 && path && write_at(path, "cgroup.procs", "0") < 0)
		_exit(126);
	return pid < 0 ? -errno : pid;
}

int nomad__cgroup_join(const struct nomad__cgroup *cgroup)
{
	return write_at(cgroup->path, cgroup->kind == '2' ? "cgroup.procs" : "tasks", "0");
}

/* Does "N:CTL:/path" name our hierarchy?  The path, or NULL. */
static const char *match_line(const char *line, const char *ctl)
{
	const char *name = strchr(line, ':');
	size_t n = strlen(ctl);

	if (!name)
		return NULL;
	name++;
	return strncmp(name, ctl, n) == 0 && name[n] == ':' ? name + n + 1 : NULL;
}

int nomad__cgroup_of(const struct nomad__cgroup *cgroup, int pid, char *ret, size_t size)
{
	char buf[4096];
	struct nomad__text t;
	const char *rel = cgroup->path + cgroup->root;
	size_t rel_size = strlen(rel);

	if (nomad__proc_read(pid, "/cgroup", buf, sizeof(buf)) <= 0)
		return -ENOENT;
	for (char *line = buf, *end; line && *line; line = end) {
		const char *path;

		end = strchr(line, '\n');
		if (end)
			*end++ = 0;
		path = match_line(line, cgroup->ctl);
		if (!path)
			continue;
		if (strncmp(path, rel, rel_size) != 0 || (path[rel_size] && path[rel_size] != '/'))
			return -ENOENT;
		nomad__text_init(&t, ret, size);
		nomad__text_add(&t, cgroup->path);
		nomad__text_add(&t, path + rel_size);
		return t.full ? -ENAMETOOLONG : 0;
	}
	return -ENOENT;
}

/* Call `visit` for the directory and all below it, the deepest first. */
static int walk(int dirfd, const char *name, int depth, int (*visit)(int fd, int parent, const char *name, void *ud),
		void *ud)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), r = 0;
	struct nomad__entries entries = { .fd = fd };
	const struct dirent *d;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	while (depth < MAX_DEPTH && r >= 0 && (d = nomad__entries_next(&entries)))
		if (d->d_type == DT_DIR) {
			int sub = walk(fd, d->d_name, depth + 1, visit, ud);

			r = sub != 0 ? sub : r;
		}
	if (r >= 0) {
		int own = visit(fd, dirfd, name, ud);

		r = own != 0 ? own : r;
	}
	close(fd);
	return r;
}

struct procs {
	int signal; /* 0: only count */
	int count;
};

static int visit_procs(int dirfd, int parent, const char *name, void *ud)
{
	struct procs *procs = ud;
	int fd = openat(dirfd, "cgroup.procs", O_RDONLY | O_CLOEXEC), pid = 0;
	char buf[2048];
	ssize_t n;

	(void)parent;
	(void)name;
	if (fd < 0)
		return 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] >= '0' && buf[i] <= '9') {
				pid = pid * 10 + (buf[i] - '0');
				continue;
			}
			/* 0: a process that this pid namespace does not see. */
			procs->count++;
			if (procs->signal && pid > 1 && pid != getpid())
				(void)kill(pid, procs->signal);
			pid = 0;
		}
	close(fd);
	return 0;
}

int nomad__cgroup_kill(const struct nomad__cgroup *cgroup)
{
	struct procs procs = { .signal = SIGKILL };
	int r;

	if (cgroup->kind == '2' && write_at(cgroup->path, "cgroup.kill", "1") == 0)
		return 0;
	if (cgroup->kind == 'f')
		(void)write_at(cgroup->path, "freezer.state", "FROZEN");
	r = walk(AT_FDCWD, cgroup->path, 0, visit_procs, &procs);
	/* A frozen process dies when it is thawed. */
	if (cgroup->kind == 'f')
		(void)write_at(cgroup->path, "freezer.state", "THAWED");
	return r < 0 ? r : procs.count > 0;
}

bool nomad__cgroup_is_empty(const struct nomad__cgroup *cgroup)
{
	struct procs procs = { .signal = 0 };
	int fd = cgroup->kind == '2' ? open(cgroup->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	char buf[256] = "";

	if (fd >= 0) {
		(void)nomad__text_read(fd, "cgroup.events", buf, sizeof(buf));
		close(fd);
	}
	/* Of all below, however deep. */
	if (strstr(buf, "populated "))
		return !strstr(buf, "populated 1");
	return walk(AT_FDCWD, cgroup->path, 0, visit_procs, &procs) >= 0 && procs.count == 0;
}

static bool first_below(int fd, char *ret_name, size_t size)
{
	struct nomad__entries entries = { .fd = fd };
	const struct dirent *d;
	struct nomad__text t;

	(void)lseek(fd, 0, SEEK_SET);
	while ((d = nomad__entries_next(&entries)))
		if (d->d_type == DT_DIR) {
			nomad__text_init(&t, ret_name, size);
			nomad__text_add(&t, d->d_name);
			return !t.full;
		}
	return false;
}

/* A container may have made its tree deeper than any recursion.  0 or -errno. */
static int remove_below(int take_fd)
{
	bool emptied = false; /* we come from there, and still it cannot be removed */
	int fd = take_fd, depth = 0, r = 0;
	char name[256];

	while (r >= 0) {
		int next;

		if (!first_below(fd, name, sizeof(name))) {
			if (depth-- == 0)
				break;
			emptied = true;
			next = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		} else if (unlinkat(fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
			emptied = false;
			continue;
		} else if (emptied || (errno != EBUSY && errno != ENOTEMPTY)) {
			r = -errno;
			break;
		} else {
			depth++;
			next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		}
		r = next < 0 ? -errno : 0;
		if (next >= 0) {
			close(fd);
			fd = next;
		}
	}
	close(fd);
	return r;
}

int nomad__cgroup_remove(const struct nomad__cgroup *cgroup)
{
	int fd = open(cgroup->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), r;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = remove_below(fd);
	/* Keep the parent: a start in another thread may be about to use it. */
	return r >= 0 && cgroup->ours && rmdir(cgroup->path) < 0 && errno != ENOENT ? -errno : r;
}

static uint64_t oom_kills_of(int dirfd, const char *file)
{
	char buf[1024];
	const char *found;

	(void)nomad__text_read(dirfd, file, buf, sizeof(buf));
	found = strstr(buf, "oom_kill ");
	return found ? (uint64_t)nomad__parse_num(found + 9, 0) : 0;
}

static int visit_oom(int dirfd, int parent, const char *name, void *ud)
{
	uint64_t *sum = ud;

	(void)parent;
	(void)name;
	*sum += oom_kills_of(dirfd, "memory.oom_control");
	return 0;
}

/* v2 counts for all below; v1 only for the very cgroup that the victim was in. */
uint64_t nomad__cgroup_oom_kills(const struct nomad__cgroup *cgroup)
{
	uint64_t sum = 0;
	int fd;

	if (cgroup->kind != '2') {
		if (strstr(cgroup->ctl, "memory"))
			(void)walk(AT_FDCWD, cgroup->path, 0, visit_oom, &sum);
		return sum;
	}
	fd = open(cgroup->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return 0;
	sum = oom_kills_of(fd, "memory.events");
	close(fd);
	return sum;
}
