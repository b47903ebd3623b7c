/* SPDX-License-Identifier: MPL-2.0
 *
 * Files of a task whose content goes to its instance.
 *
 * The plugin is root and the task's directory is written by templates, artifacts and other tasks, so a path is walked
 * one name at a time, from the directory of the task or the allocation on, and never through a symbolic link. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nomad/error.h"

#include "files.h"
#include "text.h"

enum { FILE_MOST = 100000 }; /* what the data centre takes of a whole request */

/* The directory that `path` is in; local/ and secrets/ are the task's, alloc/ is shared. */
static int open_root(const struct nomad_task_info *info, const char *path)
{
	NOMAD_AUTO_FREE char *root = strncmp(path, "alloc/", 6) == 0
					     ? strdup(info->alloc_dir)
					     : nomad_strdupf("%s/%s", info->alloc_dir, info->name);
	int fd = root ? open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	return !root ? -ENOMEM : fd < 0 ? -errno : fd;
}

/* A descriptor of the regular file, or a negative error. */
static int open_file(const struct nomad_task_info *info, const char *path)
{
	NOMAD_AUTO_FD int at = -1;
	struct stat st;

	path += *path == '/';
	at = open_root(info, path);
	while (at >= 0) {
		size_t n = strcspn(path, "/");
		NOMAD_AUTO_FREE char *name = strndup(path, n);
		bool last = !path[n];
		int fd;

		if (!name)
			return -ENOMEM;
		if (strcmp(name, "..") == 0)
			return -EINVAL;
		/* A pipe must not hold the start up. */
		fd = openat(at, *name ? name : ".",
			    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (last ? O_NONBLOCK : O_DIRECTORY));
		if (fd < 0)
			return -errno;
		close(at);
		at = fd;
		if (last)
			break;
		path += n + 1;
	}
	if (at < 0)
		return at;
	if (fstat(at, &st) < 0)
		return -errno;
	/* A second name may lead out of the directory. */
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return -EINVAL;
	if (st.st_size > FILE_MOST)
		return -EFBIG;
	return NOMAD_TAKE_FD(at);
}

static int explain(int r, const char *option, const char *path, struct nomad_error **err)
{
	if (r == -ELOOP || r == -EMLINK || r == -ENOTDIR)
		return nomad_error_set(err, ELOOP, "option '%s': read '%s': a symbolic link is on the way", option,
				       path);
	if (r == -EINVAL)
		return nomad_error_set(err, EINVAL, "option '%s': read '%s': not a regular file with one name", option,
				       path);
	if (r == -EFBIG)
		return nomad_error_set(err, EFBIG, "option '%s': read '%s': more than %d bytes", option, path,
				       FILE_MOST);
	return nomad_error_errno(err, -r, "option '%s': read '%s'", option, path);
}

static int read_one(const struct nomad_task_info *info, const char *option, const char *path, const char *key,
		    struct nomad_map *ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *text = NULL;
	NOMAD_AUTO_FD int fd = -1;
	size_t size = 0;
	ssize_t n = 1;

	if (!triton_given(path))
		return 0;
	fd = open_file(info, path);
	if (fd < 0)
		return explain(fd, option, path, err);
	text = malloc(FILE_MOST + 2);
	while (text && n > 0 && size <= FILE_MOST) {
		n = read(fd, text + size, FILE_MOST + 1 - size);
		size += n > 0 ? (size_t)n : 0;
	}
	if (!text || n < 0)
		return nomad_error_errno(err, text ? errno : ENOMEM, "option '%s': read '%s'", option, path);
	if (size > FILE_MOST)
		return explain(-EFBIG, option, path, err);
	text[size] = '\0';
	if (strlen(text) != size)
		return nomad_error_set(err, EINVAL, "option '%s': read '%s': it holds a NUL byte", option, path);
	return nomad_map_set(ret, key, text) < 0
		       ? nomad_error_errno(err, ENOMEM, "option '%s': read '%s'", option, path)
		       : 0;
}

int triton_files_read(const struct nomad_task_info *info, const struct triton_task *want, struct nomad_map *ret,
		      struct nomad_error **err)
{
	const struct triton_cloud_task *cloud = want->cloud_api;
	struct nomad_map files = { 0 };
	int r = 0;

	if (triton_task_api(want) == TRITON_CLOUD) {
		r = read_one(info, "user_data_file", cloud->user_data_file, "user-data", &files, err);
		if (r >= 0)
			r = read_one(info, "user_script_file", cloud->user_script_file, "user-script", &files, err);
		if (r >= 0)
			r = read_one(info, "cloud_config_file", cloud->cloud_config_file, "cloud-init:user-data",
				     &files, err);
	}
	for (size_t i = 0; r >= 0 && i < want->metadata_files.count; i++)
		r = read_one(info, "metadata_files", want->metadata_files.pairs[i].value,
			     want->metadata_files.pairs[i].key, &files, err);
	if (r < 0)
		nomad_map_done(&files);
	else
		*ret = files;
	return r;
}
