/* SPDX-License-Identifier: MPL-2.0
 *
 * rotate.c: log files as Nomad's own collector names them, so that its
 * listing finds them: TASK.stdout.N, the highest N is the current one, no
 * other name with that beginning ever.  The directory is one that the task
 * can write into, so no symlink is followed and only a regular file
 * is written. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static void file_name(const struct rotation *r, int64_t number, char *buf, size_t size)
{
	struct nomad__text t;

	nomad__text_init(&t, buf, size);
	nomad__text_add(&t, r->name);
	nomad__text_num(&t, number);
}

/* The N of the name of a log file; -1 for other names. */
static int64_t number_of(const struct rotation *r, const char *name)
{
	size_t n = strlen(r->name);
	int64_t number;

	if (strncmp(name, r->name, n) != 0 || !name[n] || name[n + strspn(name + n, "0123456789")])
		return -1;
	number = nomad__parse_num(name + n, -1);
	/* "007" is nobody's. */
	return name[n] == '0' && name[n + 1] ? -1 : number;
}

/* The highest number, -1 if there is none; remove those below `oldest`. */
static int64_t scan(const struct rotation *r, int64_t oldest)
{
	struct nomad__entries entries = { .fd = openat(r->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	const struct dirent *d;
	int64_t highest = -1;

	while (entries.fd >= 0 && (d = nomad__entries_next(&entries))) {
		int64_t number = number_of(r, d->d_name);

		if (number >= 0 && number < oldest)
			(void)unlinkat(r->dir, d->d_name, 0);
		if (number > highest)
			highest = number;
	}
	if (entries.fd >= 0)
		close(entries.fd);
	return highest;
}

static int open_number(struct rotation *r, int64_t number)
{
	char name[200];
	struct stat st;
	int fd;

	file_name(r, number, name, sizeof(name));
	/* Non-blocking, lest a FIFO in that place holds us for ever. */
	fd = openat(r->dir, name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1) {
		close(fd);
		return -EINVAL;
	}
	if (r->fd >= 0)
		close(r->fd);
	r->fd = fd;
	r->number = number;
	r->bytes = (uint64_t)st.st_size;
	return 0;
}

int rotation_open(struct rotation *r, int dir, const char *task, const char *stream, unsigned max_files,
		  uint64_t max_bytes)
{
	struct nomad__text t;
	int64_t highest;
	int result;

	*r = (struct rotation){ .dir = dir,
				.fd = -1,
				.max_files = max_files ? max_files : 10,
				.max_bytes = max_bytes ? max_bytes : 10 << 20 };
	nomad__text_init(&t, r->name, sizeof(r->name));
	nomad__text_add(&t, task);
	nomad__text_add(&t, stream);
	if (t.full || strchr(task, '/'))
		return -EINVAL;
	/* Goes on with the file of the task's previous run. */
	highest = scan(r, 0);
	result = open_number(r, highest < 0 ? 0 : highest);
	/* What somebody put there as a trap is left behind. */
	for (int i = 0; i < 3 && (result == -ELOOP || result == -EINVAL || result == -ENXIO || result == -EISDIR); i++)
		result = open_number(r, ++highest);
	return result;
}

static void next_file(struct rotation *r)
{
	int64_t number = r->number + 1;

	/* A file that cannot be made: go on in the old one, it is the better loss. */
	if (open_number(r, number) < 0 && open_number(r, number + 1) < 0) {
		r->bytes = 0;
		return;
	}
	(void)scan(r, r->number - (int64_t)r->max_files + 1);
}

static void put(struct rotation *r, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(r->fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (!r->dropped)
				clients_notice("the log file cannot be written (is the disk full?), output is dropped",
					       0);
			r->dropped += size;
			return;
		}
		r->bytes += (uint64_t)n;
		data += n;
		size -= (size_t)n;
	}
}

void rotation_write(struct rotation *r, const char *data, size_t size)
{
	while (size > 0) {
		uint64_t room = r->bytes < r->max_bytes ? r->max_bytes - r->bytes : 0;
		size_t n = size;

		if (size > room) {
			/* Break behind a line, if one ends within the room. */
			const char *line = memrchr(data, '\n', (size_t)room);

			n = line ? (size_t)(line - data) + 1 : (size_t)room;
		}
		if (n > 0)
			put(r, data, n);
		data += n;
		size -= n;
		if (size > 0)
			next_file(r);
	}
}
