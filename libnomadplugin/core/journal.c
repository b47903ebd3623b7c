/* SPDX-License-Identifier: MPL-2.0
 *
 * One line is `key=value\n`, or `key\n` for a key that is forgotten.  In a
 * value, `\n` and `\\` mean line feed and backslash. */
#include "core/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_key(const char *key, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", key[i]))
			return false;
	return size > 0 && size <= 64;
}

static int read_line(struct nomad__journal *record, char *line, size_t size)
{
	char *equals = memchr(line, '=', size), *out, key[65];
	size_t key_size = equals ? (size_t)(equals - line) : size;

	if (memchr(line, 0, size) || !is_key(line, key_size))
		return 0; /* not ours: ignored */
	memcpy(key, line, key_size);
	key[key_size] = 0;
	if (!equals) {
		nomad_map_remove(&record->map, key);
		return 0;
	}
	out = equals + 1;
	for (char *p = out; p < line + size; p++) {
		if (*p == '\\' && p + 1 < line + size) {
			p++;
			*out++ = *p == 'n' ? '\n' : *p;
		} else {
			*out++ = *p;
		}
	}
	*out = 0; /* over the line feed at the latest */
	return nomad_map_set(&record->map, key, equals + 1);
}

static int read_all(struct nomad__journal *record, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *text = NULL;
	struct stat st;
	size_t size = 0;
	char *line, *end;

	if (fstat(record->fd, &st) < 0)
		return nomad_error_errno(err, errno, "read task record '%s'", record->path);
	if (st.st_size > NOMAD__JOURNAL_MAX_SIZE)
		return nomad_error_set(err, EFBIG, "read task record '%s': larger than %d bytes", record->path,
				       NOMAD__JOURNAL_MAX_SIZE);
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return nomad_error_errno(err, ENOMEM, "read task record '%s'", record->path);
	while (size < (size_t)st.st_size) {
		ssize_t n = pread(record->fd, text + size, (size_t)st.st_size - size, (off_t)size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return nomad_error_errno(err, errno, "read task record '%s'", record->path);
		if (n == 0)
			break;
		size += (size_t)n;
	}
	for (line = text; (end = memchr(line, '\n', size - (size_t)(line - text))); line = end + 1)
		if (read_line(record, line, (size_t)(end - line)) < 0)
			return nomad_error_errno(err, ENOMEM, "read task record '%s'", record->path);
	if (line < text + size)
		record->torn_at = line - text;
	return 0;
}

int nomad__journal_open(struct nomad__journal *record, const char *path, bool create, struct nomad_error **err)
{
	int r;

	*record = (struct nomad__journal)NOMAD__JOURNAL_INIT;
	record->path = strdup(path);
	if (!record->path)
		return nomad_error_errno(err, ENOMEM, "open task record '%s'", path);
	record->fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0), 0600);
	if (record->fd < 0) {
		r = nomad_error_errno(err, errno, "open task record '%s'", path);
		nomad__journal_close(record);
		return r;
	}
	r = read_all(record, err);
	if (r < 0)
		nomad__journal_close(record);
	return r;
}

static int sync_directory(const char *path)
{
	NOMAD_AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 && errno != EINVAL ? -errno : 0; /* there are file systems that cannot */
}

/* A journal that is new is on the disk only with its name, and that of its directory. */
static int sync_names(const struct nomad__journal *record)
{
	NOMAD_AUTO_FREE char *path = strdup(record->path);
	int r = path ? 0 : -ENOMEM;

	for (int i = 0; r >= 0 && i < 2; i++) {
		char *slash = strrchr(path, '/');

		if (!slash || slash == path)
			break;
		*slash = 0;
		r = sync_directory(path);
	}
	return r;
}

static int append(struct nomad__journal *record, const char *line, size_t size, bool durable, struct nomad_error **err)
{
	struct stat st;
	ssize_t n;
	int r;

	if (record->fd < 0)
		return nomad_error_set(err, EBADF, "write task record: not open");
	if (record->broken)
		return nomad_error_set(err, EIO, "write task record '%s': an earlier line could not be written",
				       record->path);
	/* Cut the half line off, or this one would continue it. */
	if (record->torn_at >= 0 && ftruncate(record->fd, record->torn_at) < 0)
		return nomad_error_errno(err, errno, "repair task record '%s'", record->path);
	record->torn_at = -1;
	if (fstat(record->fd, &st) < 0)
		return nomad_error_errno(err, errno, "write task record '%s'", record->path);
	if (st.st_size + (off_t)size > NOMAD__JOURNAL_MAX_SIZE)
		return nomad_error_set(err, EFBIG, "write task record '%s': would be larger than %d bytes",
				       record->path, NOMAD__JOURNAL_MAX_SIZE);
	do
		n = write(record->fd, line, size);
	while (n < 0 && errno == EINTR);
	r = n < 0 ? -errno : n < (ssize_t)size ? -ENOSPC : durable && fdatasync(record->fd) < 0 ? -errno : 0;
	if (r >= 0 && durable && !record->named) {
		r = sync_names(record);
		record->named = r >= 0;
	}
	if (r >= 0)
		return 0;
	nomad_error_errno(err, -r, "write task record '%s'", record->path);
	record->broken = n > 0 && ftruncate(record->fd, st.st_size) < 0;
	return r;
}

/* Returns where the line ends. */
static char *write_line(char *p, const char *key, const char *value)
{
	p = stpcpy(stpcpy(p, key), "=");
	for (const char *v = value; *v; v++) {
		if (*v == '\n' || *v == '\\')
			*p++ = '\\';
		*p++ = *v == '\n' ? 'n' : *v;
	}
	*p++ = '\n';
	return p;
}

static int check_pair(const char *key, const char *value, struct nomad_error **err)
{
	if (!is_key(key, strlen(key)))
		return nomad_error_set(err, EINVAL, "write task record: key '%s': not of the form [a-z0-9._-]+", key);
	if (strlen(value) > NOMAD__JOURNAL_MAX_VALUE)
		return nomad_error_set(err, EINVAL, "write task record: the value of '%s' is longer than %d bytes", key,
				       NOMAD__JOURNAL_MAX_VALUE);
	return 0;
}

static int put(struct nomad__journal *record, const char *key, const char *value, bool durable,
	       struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *line = NULL;
	int r = check_pair(key, value, err);

	if (r < 0)
		return r;
	line = malloc(strlen(key) + 2 * strlen(value) + 3);
	if (!line)
		return nomad_error_errno(err, ENOMEM, "write task record");
	r = append(record, line, (size_t)(write_line(line, key, value) - line), durable, err);
	if (r < 0)
		return r;
	if (nomad_map_set(&record->map, key, value) < 0)
		return nomad_error_errno(err, ENOMEM, "write task record");
	return 0;
}

int nomad__journal_put(struct nomad__journal *record, const char *key, const char *value, struct nomad_error **err)
{
	return put(record, key, value, true, err);
}

int nomad__journal_note(struct nomad__journal *record, const char *key, const char *value, struct nomad_error **err)
{
	return put(record, key, value, false, err);
}

int nomad__journal_put_all(struct nomad__journal *record, struct nomad_error **err)
{
	const struct nomad_map *map = &record->map;
	NOMAD_AUTO_FREE char *lines = NULL;
	size_t size = 1;
	char *p;
	int r;

	for (size_t i = 0; i < map->count; i++) {
		r = check_pair(map->pairs[i].key, map->pairs[i].value, err);
		if (r < 0)
			return r;
		size += strlen(map->pairs[i].key) + 2 * strlen(map->pairs[i].value) + 2;
	}
	lines = p = malloc(size);
	if (!lines)
		return nomad_error_errno(err, ENOMEM, "write task record");
	for (size_t i = 0; i < map->count; i++)
		p = write_line(p, map->pairs[i].key, map->pairs[i].value);
	return append(record, lines, (size_t)(p - lines), false, err);
}

void nomad__journal_forget(struct nomad__journal *record, const char *key)
{
	char line[72];
	size_t size = strlen(key);

	if (!nomad_map_get(&record->map, key))
		return;
	memcpy(line, key, size);
	line[size] = '\n';
	(void)append(record, line, size + 1, true, NULL);
	nomad_map_remove(&record->map, key);
}

int nomad__journal_claim(struct nomad__journal *record, int patience_ms)
{
	struct stat mine, there;

	while (flock(record->fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (patience_ms <= 0)
			return -EWOULDBLOCK;
		(void)poll(NULL, 0, 10);
		patience_ms -= 10;
	}
	/* Who had it before may have removed it. */
	if (fstat(record->fd, &mine) < 0)
		return -errno;
	if (lstat(record->path, &there) < 0 || mine.st_ino != there.st_ino || mine.st_dev != there.st_dev)
		return -ESTALE;
	return 0;
}

void nomad__journal_close(struct nomad__journal *record)
{
	if (record->fd >= 0)
		close(record->fd);
	free(record->path);
	nomad_map_done(&record->map);
	*record = (struct nomad__journal)NOMAD__JOURNAL_INIT;
}

bool nomad__journal_is_remote(const struct nomad_map *map)
{
	const char *started = nomad_map_get(map, "started");

	return started && strcmp(started, NOMAD__STARTED_REMOTE) == 0 && !nomad_map_get(map, "supervised");
}
