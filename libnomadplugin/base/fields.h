/* SPDX-License-Identifier: MPL-2.0
 *
 * base/fields.h: "key=value" strings, each closed by NUL, one after
 * the other: the form of the start specification, of the control messages
 * and of the files in a task's directory.  A reader ignores keys that it does
 * not know; a key may come several times.  Every message and file begins with
 * "v=1".
 *
 * No allocation, no stdio: the supervisor program uses this too. */
#ifndef NOMAD_BASE_FIELDS_H
#define NOMAD_BASE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Text in a buffer that somebody else holds; what does not fit is cut off. */
struct nomad__text {
	char *buf;
	size_t size, used; /* used: without the closing NUL */
	bool full;	   /* something was cut off */
};

void nomad__text_init(struct nomad__text *text, char *buf, size_t size);
void nomad__text_add(struct nomad__text *text, const char *s);
void nomad__text_num(struct nomad__text *text, int64_t n);
/* A file of less than `size` bytes as text in `buf`, "" on failure; a symlink is not followed.  Bytes, or -errno. */
ssize_t nomad__text_read(int dirfd, const char *path, char *buf, size_t size);
/* Digits at the beginning of `s` (a '-' before them is fine); `otherwise` if there are none. */
int64_t nomad__parse_num(const char *s, int64_t otherwise);

struct nomad__fields {
	char *buf;
	size_t size, used;
	bool full; /* something did not fit: do not send it */
};

/* Begins with "v=1". */
void nomad__fields_init(struct nomad__fields *record, char *buf, size_t size);
/* Without it, for nomad__fields_append(). */
void nomad__fields_init_bare(struct nomad__fields *record, char *buf, size_t size);
void nomad__fields_add(struct nomad__fields *record, const char *key, const char *value);
void nomad__fields_num(struct nomad__fields *record, const char *key, int64_t value);

/* Close it with a sum of all that is in it; what was cut off or mixed up is not sealed any more. */
void nomad__fields_seal(struct nomad__fields *record);
bool nomad__fields_is_sealed(const char *data, size_t size);

/* The value of the first `key`, or NULL.  `data` need not end with a NUL;
 * then its last, unfinished string does not count. */
const char *nomad__fields_get(const char *data, size_t size, const char *key);
int64_t nomad__fields_get_num(const char *data, size_t size, const char *key, int64_t otherwise);
/* Each value of `key`: *pos starts at 0.  NULL: no more. */
const char *nomad__fields_next(const char *data, size_t size, const char *key, size_t *pos);

/* Replace the file `name` in `dirfd` by the record, atomically; `durable`:
 * it is on the disk on return.  0 or -errno. */
int nomad__fields_write(int dirfd, const char *name, const struct nomad__fields *record, bool durable);
/* Add to it instead: a reader sees the new strings or does not yet. */
int nomad__fields_append(int dirfd, const char *name, const struct nomad__fields *record);
/* Read a file of at most `size` bytes; a symlink is not followed.  Bytes read, or -errno. */
ssize_t nomad__fields_read(int dirfd, const char *name, char *buf, size_t size);

#endif
