/* SPDX-License-Identifier: MPL-2.0
 *
 * Paths of a job: relative to the task directory, with three directories
 * that have names of their own there.
 *
 *	alloc/x, /alloc/x	the directory that the tasks of the group share
 *	local/x, /local/x	the task's local directory
 *	secrets/x, /secrets/x	its secrets, for secrets and ssh only
 *	x			elsewhere in the task directory
 *
 * A path with ".." is refused, and so is one that leads out of its directory
 * through symbolic links: the kernel resolves it beneath that directory.
 * This is for the error: what keeps a build in place even if the links change
 * afterwards is the jail, where nothing else exists (jail.c). */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "paths.h"

static int open_beneath(int dir, const char *path, int flags)
{
	struct open_how how = { .flags = (unsigned)flags | O_CLOEXEC,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };

	return (int)syscall(SYS_openat2, dir, *path ? path : ".", &how, sizeof(how));
}

static const char *skip_slashes(const char *path)
{
	for (;;) {
		if (*path == '/')
			path++;
		else if (path[0] == '.' && (path[1] == '/' || !path[1]))
			path++;
		else
			return path;
	}
}

static bool has_dotdot(const char *path)
{
	while (path) {
		if (strncmp(path, "..", 2) == 0 && (path[2] == '/' || !path[2]))
			return true;
		path = strchr(path, '/');
		if (path)
			path++;
	}
	return false;
}

/* What is behind directory `name` in `path`; NULL if it does not begin with it. */
static const char *below(const char *path, const char *name)
{
	size_t n = strlen(name);

	return strncmp(path, name, n) == 0 && (path[n] == '/' || !path[n]) ? skip_slashes(path + n) : NULL;
}

struct place {
	const char *host, *jail; /* the directory */
	const char *rest;	 /* the path in it */
};

static void locate(const struct build_dirs *dirs, const char *path, struct place *ret)
{
	const struct place named[] = { { dirs->alloc, "/alloc", "alloc" },
				       { dirs->local, "/local", "local" },
				       { dirs->secrets, "/secrets", "secrets" } };
	size_t i;

	path = skip_slashes(path);
	for (i = 0; i < NOMAD_ARRAY_LEN(named); i++) {
		const char *rest = below(path, named[i].rest);

		if (rest) {
			*ret = (struct place){ named[i].host, named[i].jail, rest };
			return;
		}
	}
	*ret = (struct place){ dirs->task, "/task", path };
}

static int refuse(const char *what, const char *path, int errnum, struct nomad_error **err)
{
	if (errnum == EXDEV || errnum == ELOOP)
		return nomad_error_set(err, EACCES,
				       "%s: '%s' leads out of the directories of the task; use a path below local/ or "
				       "alloc/ without links to elsewhere",
				       what, path);
	if (errnum == ENOENT)
		return nomad_error_set(err, ENOENT,
				       "%s: there is no '%s'; paths are relative to the task directory, such as "
				       "local/src or alloc/src",
				       what, path);
	return nomad_error_errno(err, errnum, "%s: open '%s'", what, path);
}

/* The path of `fd` behind that of the directory `base`, which holds it; malloc()ed. */
static char *path_behind(int base, int fd)
{
	char name[40], a[4096], b[4096];
	ssize_t n, m;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", base);
	n = readlink(name, a, sizeof(a));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	m = readlink(name, b, sizeof(b) - 1);
	if (n < 0 || m < n || (size_t)m >= sizeof(b) - 1 || memcmp(a, b, (size_t)n) != 0)
		return NULL;
	b[m] = 0;
	return strdup(b + n);
}

/* Of the task directory the driver hides what is not for builds. */
static bool is_hidden(const struct place *place, const char *rest)
{
	return strcmp(place->jail, "/task") == 0 &&
	       (below(skip_slashes(rest), "secrets") || below(skip_slashes(rest), "private") ||
		below(skip_slashes(rest), "alloc"));
}

static int check_kind(const char *what, const char *path, enum build_path_kind kind, mode_t mode,
		      struct nomad_error **err)
{
	bool dir = kind == BUILD_PATH_DIRECTORY || kind == BUILD_PATH_NEW_DIRECTORY;

	if (dir ? S_ISDIR(mode) : S_ISREG(mode))
		return 0;
	return nomad_error_set(err, dir ? ENOTDIR : EINVAL, "%s: '%s' is not a %s", what, path,
			       dir ? "directory" : "file");
}

/* The entry of what is at `fd`, or is to be at `name` in it. */
static int check_entry(int fd, const char *name, const char *what, const char *path, enum build_path_kind kind,
		       struct nomad_error **err)
{
	struct stat st;

	if (fstatat(fd, name ? name : "", &st, name ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH) < 0)
		return name ? 0 : nomad_error_errno(err, errno, "%s: '%s'", what, path);
	return check_kind(what, path, kind, st.st_mode, err);
}

static void cut_slashes(char *path)
{
	for (size_t n = strlen(path); n && path[n - 1] == '/'; n--)
		path[n - 1] = 0;
}

static int no_directory(const char *what, const char *path, struct nomad_error **err)
{
	return nomad_error_set(err, ENOENT,
			       "%s: the directory of '%s' is not there; make it with an earlier task, or write to "
			       "local/ or alloc/ itself",
			       what, path);
}

static int resolve_in(const struct place *place, const char *what, const char *path, enum build_path_kind kind,
		      char **ret_jail, struct nomad_error **err)
{
	bool is_new = kind == BUILD_PATH_NEW_FILE || kind == BUILD_PATH_NEW_DIRECTORY;
	NOMAD_AUTO_FREE char *parent = strdup(place->rest), *behind = NULL;
	NOMAD_AUTO_FD int base = -1, fd = -1;
	const char *dir = parent, *name = NULL;
	char *slash;
	int r;

	if (!parent)
		return nomad_error_errno(err, ENOMEM, "%s", what);
	if (has_dotdot(path))
		return refuse(what, path, EXDEV, err);
	cut_slashes(parent);
	if (is_new && !*parent)
		return nomad_error_set(err, EINVAL, "%s: '%s' is a directory of Nomad; name a file in it", what, path);
	slash = is_new ? strrchr(parent, '/') : NULL;
	if (slash)
		*slash = 0;
	if (is_new) {
		name = slash ? slash + 1 : parent;
		dir = slash ? parent : "";
	}
	base = open(place->host, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = base < 0 ? -1 : open_beneath(base, dir, is_new ? O_PATH | O_DIRECTORY : O_PATH);
	if (fd < 0)
		return base >= 0 && is_new && errno == ENOENT ? no_directory(what, path, err)
							      : refuse(what, path, errno, err);
	behind = path_behind(base, fd);
	if (!behind || is_hidden(place, behind))
		return refuse(what, path, EXDEV, err);
	r = check_entry(fd, name, what, path, kind, err);
	if (r < 0)
		return r;
	*ret_jail = nomad_strdupf("%s%s%s%s", place->jail, behind, name ? "/" : "", name ? name : "");
	return *ret_jail ? 0 : nomad_error_errno(err, ENOMEM, "%s", what);
}

int build_path_resolve(const struct build_dirs *dirs, const char *what, const char *path, enum build_path_kind kind,
		       char **ret_jail, struct nomad_error **err)
{
	struct place place;

	locate(dirs, path, &place);
	if (kind == BUILD_PATH_SECRET ? strcmp(place.jail, "/secrets") : strcmp(place.jail, "/secrets") == 0)
		return kind == BUILD_PATH_SECRET
			       ? nomad_error_set(err, EACCES,
						 "%s: '%s' is not in the secrets directory; write it to secrets/", what,
						 path)
			       : nomad_error_set(err, EACCES, "%s: '%s' is a secret; use the option secrets", what,
						 path);
	return resolve_in(&place, what, path, kind == BUILD_PATH_SECRET ? BUILD_PATH_FILE : kind, ret_jail, err);
}

char *build_path_on_host(const struct build_dirs *dirs, const char *jail)
{
	struct place place;
	const char *rest = below(skip_slashes(jail), "task");

	locate(dirs, jail, &place);
	return rest ? nomad_strdupf("%s/%s", dirs->task, rest) : nomad_strdupf("%s/%s", place.host, place.rest);
}

int build_path_in_context(const struct build_dirs *dirs, const char *what, const char *context, const char *path,
			  char **ret_jail, struct nomad_error **err)
{
	const char *bare = skip_slashes(path);
	NOMAD_AUTO_FREE char *host = NULL;
	struct place place;

	if (*path == '/' || below(bare, "local") || below(bare, "alloc"))
		return build_path_resolve(dirs, what, path, BUILD_PATH_FILE, ret_jail, err);
	host = build_path_on_host(dirs, context);
	if (!host)
		return nomad_error_errno(err, ENOMEM, "%s", what);
	place = (struct place){ host, context, bare };
	return resolve_in(&place, what, path, BUILD_PATH_FILE, ret_jail, err);
}
