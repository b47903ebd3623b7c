/* SPDX-License-Identifier: MPL-2.0
 *
 * Leases, see lease.h.  A file made with O_EXCL is one: so two tasks never
 * get the same thing, whatever plugin they are of, and a plugin that dies
 * leaves nothing that the next one cannot judge. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lease.h"

int nspawn_lock(const char *dir, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/lock", dir);
	NOMAD_AUTO_FD int fd = -1;

	if (!path)
		return nomad_error_errno(err, ENOMEM, "lock '%s'", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return nomad_error_errno(err, errno, "lock '%s'", path);
	return NOMAD_TAKE_FD(fd);
}

int nspawn_shared_lock(const char *group, char ret[NSPAWN_SHARED_MAX], struct nomad_error **err)
{
	static const char shared[] = "/run/nomad-nspawn";

	snprintf(ret, NSPAWN_SHARED_MAX, "%s/%s", shared, group);
	if ((mkdir(shared, 0700) < 0 && errno != EEXIST) || (mkdir(ret, 0700) < 0 && errno != EEXIST))
		return nomad_error_errno(err, errno, "create '%s'", ret);
	return nspawn_lock(ret, err);
}

int nspawn_lease_take(const char *dir, const char *name, const char *owner, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", dir, name);
	bool written;
	int fd;

	if (!path)
		return nomad_error_errno(err, ENOMEM, "take '%s'", name);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return nomad_error_errno(err, errno, "create '%s'", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0)
		return nomad_error_errno(err, errno, "create '%s'", path);
	written = nomad_write_all(fd, owner, strlen(owner)) == 0;
	close(fd);
	if (written)
		return 1;
	(void)unlink(path);
	return nomad_error_errno(err, ENOSPC, "write '%s'", path);
}

const char *nspawn_lease_owner(const char *dir, const char *name, char ret[PATH_MAX])
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", dir, name);
	FILE *file = path ? fopen(path, "re") : NULL;
	char *line;

	ret[file ? fread(ret, 1, PATH_MAX - 1, file) : 0] = 0;
	if (file)
		fclose(file);
	line = strchr(ret, '\n');
	if (!line)
		return "";
	*line = 0;
	return line + 1;
}

void nspawn_lease_release(const char *dir, const char *name, const char *owner)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", dir, name);
	char found[PATH_MAX];

	nspawn_lease_owner(dir, name, found);
	if (path && strcmp(found, owner) == 0)
		(void)unlink(path);
}

void nspawn_lease_release_all(const char *dir, const char *owner)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			nspawn_lease_release(dir, e->d_name, owner);
	if (d)
		closedir(d);
}

bool nspawn_lease_sweep(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char owner[PATH_MAX];
	bool none = true;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		nspawn_lease_owner(dir, e->d_name, owner);
		if (access(owner, F_OK) < 0 && errno == ENOENT)
			nspawn_lease_release(dir, e->d_name, owner);
		else
			none = false;
	}
	if (d)
		closedir(d);
	return none;
}
