/* SPDX-License-Identifier: MPL-2.0
 *
 * Users of containers: ranges of the host's user ids that systemd keeps for
 * containers, 65536 each.  A range is free if
 *
 *	no other task has a lease for it,
 *	no systemd-nspawn or systemd-machined holds its lock,
 *	no running process has users of it (containers of earlier versions and of other tools),
 *	/etc/subuid and /etc/subgid do not give it away, and no user or group of the host is in it.
 *
 * The search begins at a hash of the task's name, so that ranges are rarely
 * used again soon.  While the container runs, a process beside it holds
 * systemd's lock (init/users.c). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "argv.h"
#include "lease.h"
#include "users.h"

enum { USERS_FIRST = 524288, USERS_LAST = 1878982656, RANGES = (USERS_LAST - USERS_FIRST) / NSPAWN_USERS + 1 };

static const char *const subids[] = { "/etc/subuid", "/etc/subgid", NULL };

struct nspawn_users nspawn_users_wanted(const struct nspawn_config *config)
{
	static const char *const words[] = { "yes", "identity", "managed" };
	const char *users = config->private_users;
	struct nspawn_users wanted = { .count = NSPAWN_USERS };
	unsigned long first, count = NSPAWN_USERS;
	char *rest;

	if (!nspawn_userns(config))
		return (struct nspawn_users){ 0 };
	for (size_t i = 0; users && i < NOMAD_ARRAY_LEN(words); i++)
		if (strcmp(users, words[i]) == 0)
			return (struct nspawn_users){ 0 };
	if (!users || strcmp(users, "pick") == 0)
		return wanted;
	first = strtoul(users, &rest, 10);
	if (*rest == ':')
		count = strtoul(rest + 1, NULL, 10);
	if (!first || !count || first > UINT_MAX || count > UINT_MAX - first)
		return (struct nspawn_users){ 0 };
	return (struct nspawn_users){ .first = (unsigned)first, .count = (unsigned)count, .named = true };
}

/* ---- What is in use ---- */

struct ranges {
	struct range {
		unsigned long first, last;
	} * list;
	size_t n;
	int r;
};

static void add(struct ranges *ranges, unsigned long first, unsigned long count)
{
	struct range *list = realloc(ranges->list, (ranges->n + 1) * sizeof(*list));

	if (!list) {
		ranges->r = -ENOMEM;
		return;
	}
	ranges->list = list;
	list[ranges->n++] = (struct range){ first, first + count - 1 };
}

static bool overlap(unsigned long first, unsigned long last, const struct range *other)
{
	return first <= other->last && last >= other->first;
}

static bool parse_lease(const char *name, struct range *ret, const char **ret_slug)
{
	int n = 0;

	if (sscanf(name, "%10lu-%10lu.%n", &ret->first, &ret->last, &n) != 2 || !n)
		return false;
	*ret_slug = name + n;
	return true;
}

static void add_leases(struct ranges *ranges, const char *dir, const char *slug)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	const char *whose;
	struct range r;

	while (d && (e = readdir(d)))
		if (parse_lease(e->d_name, &r, &whose) && strcmp(whose, slug) != 0)
			add(ranges, r.first, r.last - r.first + 1);
	if (d)
		closedir(d);
}

static void add_subids(struct ranges *ranges, const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long first, count;
	char line[512];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%*[^:]:%lu:%lu", &first, &count) == 2 && count)
			add(ranges, first, count);
	if (file)
		fclose(file);
}

/* The maps of one process, if it has users of its own. */
static void add_map(struct ranges *ranges, int dir, const char *map)
{
	int fd = openat(dir, map, O_RDONLY | O_CLOEXEC);
	FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
	unsigned long first, count;

	while (file && fscanf(file, "%*u %lu %lu", &first, &count) == 2)
		if (first || count < UINT_MAX)
			add(ranges, first, count);
	if (file)
		fclose(file);
}

static void add_processes(struct ranges *ranges, const char *proc)
{
	char own[64] = "", last[64] = "", path[PATH_MAX], other[64];
	DIR *d = opendir(proc);
	struct dirent *e;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/self/ns/user", proc);
	(void)!readlink(path, own, sizeof(own) - 1);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%.20s/ns/user", e->d_name);
		n = e->d_name[0] >= '0' && e->d_name[0] <= '9' ? readlinkat(dirfd(d), path, other, sizeof(other) - 1)
							       : -1;
		if (n < 0)
			continue;
		other[n] = 0;
		if (strcmp(other, own) == 0 || strcmp(other, last) == 0)
			continue; /* those of one container mostly stand beside each other */
		strcpy(last, other);
		snprintf(path, sizeof(path), "%.20s/uid_map", e->d_name);
		add_map(ranges, dirfd(d), path);
	}
	if (d)
		closedir(d);
}

static bool is_locked(const char *locks, unsigned first)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%u", locks, first);
	NOMAD_AUTO_FD int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

	return fd >= 0 ? flock(fd, LOCK_SH | LOCK_NB) < 0 : errno != ENOENT;
}

static bool is_somebody(unsigned first)
{
	return getpwuid(first) || getgrgid(first) || getpwuid(first + NSPAWN_USERS - 2) ||
	       getgrgid(first + NSPAWN_USERS - 2);
}

static void name_lease(char ret[NAME_MAX], const struct nspawn_users *users, const char *slug)
{
	snprintf(ret, NAME_MAX, "%u-%u.%s", users->first, users->first + (users->count - 1), slug);
}

int nspawn_users_choose(const struct nspawn_users_host *host, uint64_t start, const char *slug,
			struct nspawn_users *users, char ret[NAME_MAX], struct nomad_error **err)
{
	struct ranges used = { 0 };
	unsigned first;
	size_t k, i;

	add_leases(&used, host->leases, slug);
	for (i = 0; host->subids[i]; i++)
		add_subids(&used, host->subids[i]);
	add_processes(&used, host->proc);
	for (k = 0; k < RANGES && !used.r; k++) {
		first = USERS_FIRST + (unsigned)((start + k) % RANGES) * NSPAWN_USERS;
		for (i = 0; i < used.n; i++)
			if (overlap(first, first + NSPAWN_USERS - 1, &used.list[i]))
				break;
		if (i == used.n && !is_locked(host->locks, first) && !is_somebody(first))
			break;
	}
	free(used.list);
	if (used.r)
		return nomad_error_errno(err, -used.r, "choose users for the container");
	if (k == RANGES)
		return nomad_error_set(err, ENOSPC,
				       "choose users for the container: all of %u to %u are in use; end other "
				       "containers or look at /etc/subuid",
				       USERS_FIRST, USERS_LAST + NSPAWN_USERS - 1);
	*users = (struct nspawn_users){ .first = first, .count = NSPAWN_USERS };
	name_lease(ret, users, slug);
	return 0;
}

/* ---- What a job names ---- */

static bool is_same_job(const char *dir, const char *lease, const char *job)
{
	char text[PATH_MAX];

	return strcmp(nspawn_lease_owner(dir, lease, text), job) == 0;
}

int nspawn_users_check(const struct nspawn_users_host *host, const struct nspawn_users *users, const char *slug,
		       const char *job, char ret[NAME_MAX], struct nomad_error **err)
{
	const unsigned long last = users->first + (users->count - 1);
	DIR *d = opendir(host->leases);
	struct dirent *e;
	const char *whose;
	struct range r;
	int result = 0;

	while (d && !result && (e = readdir(d))) {
		if (!parse_lease(e->d_name, &r, &whose) || strcmp(whose, slug) == 0 || !overlap(users->first, last, &r))
			continue;
		if (r.first != users->first || r.last != last || !is_same_job(host->leases, e->d_name, job))
			result = nomad_error_set(err, EBUSY,
						 "option 'private_users': users %u to %lu of this host are another "
						 "task's; leave the option out, or name others",
						 users->first, last);
	}
	if (d)
		closedir(d);
	name_lease(ret, users, slug);
	return result;
}

/* ---- Tasks ---- */

static int lock_leases(struct nspawn_users_host *host, char dir[NSPAWN_SHARED_MAX], char **ret_leases,
		       struct nomad_error **err)
{
	int fd = nspawn_shared_lock("users", dir, err);

	if (fd < 0)
		return fd;
	*ret_leases = nomad_strdupf("%s/leases", dir);
	*host = (struct nspawn_users_host){ *ret_leases, "/run/systemd/nspawn-uid", subids, "/proc" };
	if (*ret_leases)
		return fd;
	close(fd);
	return nomad_error_errno(err, ENOMEM, "choose users for the container");
}

int nspawn_users_take(struct nomad_task *task, struct nspawn_users *users, struct nomad_error **err)
{
	const struct nomad_task_info *info = nomad_task_info(task);
	const char *slug = nomad_task_slug(task);
	NOMAD_AUTO_FREE char *job = nomad_strdupf("%s/%s", info->namespace_name, info->job_id), *leases = NULL;
	NOMAD_AUTO_FREE char *owner = job ? nomad_strdupf("%s%s%s", nomad_task_state_dir(task),
							  users->named ? "\n" : "", users->named ? job : "")
					  : NULL;
	char dir[NSPAWN_SHARED_MAX], name[NAME_MAX];
	struct nspawn_users_host host;
	NOMAD_AUTO_FD int lock = -1;
	int r;

	if (!users->count)
		return 0;
	if (!owner)
		return nomad_error_errno(err, ENOMEM, "choose users for the container");
	lock = lock_leases(&host, dir, &leases, err);
	if (lock < 0)
		return lock;
	r = users->named ? nspawn_users_check(&host, users, slug, job, name, err)
			 : nspawn_users_choose(&host, nomad_hash64(slug, strlen(slug)), slug, users, name, err);
	if (r >= 0)
		r = nomad_task_put(task, "users", name, err);
	if (r >= 0)
		r = nspawn_lease_take(host.leases, name, owner, err);
	return r < 0 ? r : 0;
}

/* The file that the container's process has locked, unless somebody else has it now. */
static void remove_lock(const char *locks, const char *lease)
{
	unsigned long first = strtoul(lease, NULL, 10) & ~(NSPAWN_USERS - 1UL);
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%lu", locks, first);
	NOMAD_AUTO_FD int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

	if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB))
		(void)unlink(path);
}

void nspawn_users_release(struct nomad_task *task)
{
	const char *name = nomad_task_get(task, "users");
	NOMAD_AUTO_FREE char *leases = NULL, *path = NULL;
	char dir[NSPAWN_SHARED_MAX];
	struct nspawn_users_host host;
	NOMAD_AUTO_FD int lock = name ? lock_leases(&host, dir, &leases, NULL) : -1;

	if (lock < 0)
		return;
	/* The task's own name is in it, so it is nobody else's. */
	path = nomad_strdupf("%s/%s", leases, name);
	remove_lock(host.locks, name);
	if (path && (!unlink(path) || errno == ENOENT))
		nomad_task_forget(task, "users");
}

void nspawn_users_sweep(void)
{
	NOMAD_AUTO_FREE char *leases = NULL;
	char dir[NSPAWN_SHARED_MAX];
	struct nspawn_users_host host;
	NOMAD_AUTO_FD int lock = lock_leases(&host, dir, &leases, NULL);

	if (lock >= 0)
		(void)nspawn_lease_sweep(leases);
}
