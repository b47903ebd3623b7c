/* SPDX-License-Identifier: MPL-2.0 */
#include "base/fields.h"
#include "nomad/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void nomad__text_init(struct nomad__text *text, char *buf, size_t size)
{
	*text = (struct nomad__text){ .buf = buf, .size = size };
	buf[0] = 0;
}

static void add_bytes(struct nomad__text *text, const char *s, size_t n)
{
	size_t room = text->size - text->used - 1;

	if (n > room) {
		n = room;
		text->full = true;
	}
	memcpy(text->buf + text->used, s, n);
	text->used += n;
	text->buf[text->used] = 0;
}

void nomad__text_add(struct nomad__text *text, const char *s)
{
	add_bytes(text, s, strlen(s));
}

void nomad__text_num(struct nomad__text *text, int64_t n)
{
	char digits[24];
	size_t at = sizeof(digits);
	uint64_t rest = n < 0 ? -(uint64_t)n : (uint64_t)n;

	do
		digits[--at] = (char)('0' + rest % 10);
	while ((rest /= 10));
	if (n < 0)
		digits[--at] = '-';
	add_bytes(text, digits + at, sizeof(digits) - at);
}

int64_t nomad__parse_num(const char *s, int64_t otherwise)
{
	bool minus = s && *s == '-';
	uint64_t n = 0;

	if (!s)
		return otherwise;
	s += minus;
	if (*s < '0' || *s > '9')
		return otherwise;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (n > (uint64_t)INT64_MAX / 10 - 1)
			return otherwise;
		n = n * 10 + (uint64_t)(*s - '0');
	}
	return minus ? -(int64_t)n : (int64_t)n;
}

void nomad__fields_init_bare(struct nomad__fields *record, char *buf, size_t size)
{
	*record = (struct nomad__fields){ .buf = buf, .size = size };
}

void nomad__fields_init(struct nomad__fields *record, char *buf, size_t size)
{
	nomad__fields_init_bare(record, buf, size);
	nomad__fields_add(record, "v", "1");
}

void nomad__fields_add(struct nomad__fields *record, const char *key, const char *value)
{
	size_t k = strlen(key), v = strlen(value);

	if (record->full || k + v + 2 > record->size - record->used) {
		record->full = true;
		return;
	}
	memcpy(record->buf + record->used, key, k);
	record->buf[record->used + k] = '=';
	memcpy(record->buf + record->used + k + 1, value, v + 1);
	record->used += k + v + 2;
}

void nomad__fields_num(struct nomad__fields *record, const char *key, int64_t value)
{
	char buf[24];
	struct nomad__text t;

	nomad__text_init(&t, buf, sizeof(buf));
	nomad__text_num(&t, value);
	nomad__fields_add(record, key, buf);
}

/* It tells what a power cut left, not what somebody forged. */
void nomad__fields_seal(struct nomad__fields *record)
{
	nomad__fields_num(record, "sum", nomad_hash32(record->buf, record->used));
}

bool nomad__fields_is_sealed(const char *data, size_t size)
{
	const char *sum = nomad__fields_get(data, size, "sum");

	return sum && nomad__parse_num(sum, -1) == nomad_hash32(data, (size_t)(sum - data) - sizeof("sum=") + 1);
}

const char *nomad__fields_next(const char *data, size_t size, const char *key, size_t *pos)
{
	size_t k = strlen(key);

	while (*pos < size) {
		const char *s = data + *pos;
		const char *end = memchr(s, 0, size - *pos);

		if (!end)
			return NULL;
		*pos += (size_t)(end - s) + 1;
		if ((size_t)(end - s) > k && memcmp(s, key, k) == 0 && s[k] == '=')
			return s + k + 1;
	}
	return NULL;
}

const char *nomad__fields_get(const char *data, size_t size, const char *key)
{
	size_t pos = 0;

	return nomad__fields_next(data, size, key, &pos);
}

int64_t nomad__fields_get_num(const char *data, size_t size, const char *key, int64_t otherwise)
{
	return nomad__parse_num(nomad__fields_get(data, size, key), otherwise);
}

ssize_t nomad__text_read(int dirfd, const char *path, char *buf, size_t size)
{
	ssize_t n = nomad__fields_read(dirfd, path, buf, size - 1);

	buf[n > 0 ? n : 0] = 0;
	return n;
}

int nomad__fields_write(int dirfd, const char *name, const struct nomad__fields *record, bool durable)
{
	char temp[64];
	struct nomad__text t;
	int fd, r;

	if (record->full)
		return -EMSGSIZE;
	nomad__text_init(&t, temp, sizeof(temp));
	nomad__text_add(&t, ".");
	nomad__text_add(&t, name);
	nomad__text_add(&t, ".new");
	fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = nomad_write_all(fd, record->buf, record->used);
	if (r >= 0 && durable && fsync(fd) < 0)
		r = -errno;
	close(fd);
	if (r >= 0 && renameat(dirfd, temp, dirfd, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dirfd, temp, 0);
		return r;
	}
	return durable && fsync(dirfd) < 0 ? -errno : 0;
}

int nomad__fields_append(int dirfd, const char *name, const struct nomad__fields *record)
{
	int fd, r;

	if (record->full)
		return -EMSGSIZE;
	fd = openat(dirfd, name, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	r = nomad_write_all(fd, record->buf, record->used);
	close(fd);
	return r;
}

ssize_t nomad__fields_read(int dirfd, const char *name, char *buf, size_t size)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	size_t done = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	while (done < size) {
		n = read(fd, buf + done, size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (n < 0)
		n = -errno;
	close(fd);
	return n < 0 ? n : (ssize_t)done;
}
