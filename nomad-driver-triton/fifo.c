/* SPDX-License-Identifier: MPL-2.0
 *
 * One end of Nomad's log pipes.
 *
 * The folder of the pipes can be written by tasks of the same allocation, so
 * the name is opened below its folder without following a link, and has to be
 * a FIFO.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fifo.h"

#define MAGIC UINT64_C(0x31676f6c74697274)

int triton_fifo_open(const char *path)
{
	NOMAD_AUTO_FREE char *folder = NULL;
	NOMAD_AUTO_FD int dir = -1, fd = -1;
	const char *slash = path ? strrchr(path, '/') : NULL;
	struct stat st;

	if (!slash || !slash[1] || strcmp(path, "/dev/null") == 0)
		return -ENODEV;
	folder = nomad_strdupf("%.*s", slash == path ? 1 : (int)(slash - path), path);
	if (!folder)
		return -ENOMEM;
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	/* Looked at first: to open a device might do something. */
	if (fstatat(dir, slash + 1, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	if (!S_ISFIFO(st.st_mode))
		return -ENODEV;
	fd = openat(dir, slash + 1, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
		return -ENODEV;
	return NOMAD_TAKE_FD(fd);
}

int triton_position_open(struct triton_position *position, const char *path, struct nomad_error **err)
{
	NOMAD_AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	void *map;

	position->count = NULL;
	if (fd < 0 || ftruncate(fd, 3 * sizeof(uint64_t)) < 0)
		return nomad_error_errno(err, errno, "open the log's position '%s'", path);
	map = mmap(NULL, 3 * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return nomad_error_errno(err, errno, "map the log's position '%s'", path);
	position->count = map;
	if (position->count[0] != MAGIC) {
		position->count[0] = MAGIC;
		position->count[1] = position->count[2] = 0;
	}
	return 0;
}

void triton_position_close(struct triton_position *position)
{
	if (position->count)
		munmap(position->count, 3 * sizeof(uint64_t));
	position->count = NULL;
}
