/* SPDX-License-Identifier: MPL-2.0 */
/* Small things that every part of nomadinit needs beside nomad/base.h: whole small files, time, text.
 * All return 0 (or a length) or a negative errno. */
#ifndef NOMADINIT_UTIL_H
#define NOMADINIT_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "nomad/base.h"

/* Read a file of less than size bytes into buf, end it with NUL; returns its length, -EFBIG if it is longer. */
int util_read_file(const char *path, char *buf, size_t size);
/* The same, without the trailing white space. */
int util_read_line(const char *path, char *buf, size_t size);
/* The same into fresh memory; *ret_len may be NULL. */
int util_read_alloc(const char *path, size_t max, char **ret_data, size_t *ret_len);
/* Write to a file that exists (a kernel knob). */
int util_write_knob(const char *path, const char *text);
/* Replace a file atomically: temporary name, fsync, rename. */
int util_replace_file(const char *path, const void *data, size_t len, unsigned int mode);
int util_pread_all(int fd, void *data, size_t len, uint64_t offset);
int util_pwrite_all(int fd, const void *data, size_t len, uint64_t offset);

/* Milliseconds since boot. */
static inline uint64_t util_now_ms(void)
{
	return (uint64_t)nomad_monotonic_ns() / 1000000;
}
void util_sleep_ms(unsigned int ms);

/* A whole decimal number within bounds, or -EINVAL / -ERANGE. */
int util_parse_long(const char *text, long min, long max, long *ret);
/* Copy, always ending with NUL; false if it had to be cut. */
bool util_copy(char *to, size_t size, const char *from);
/* Is this a host name (labels of letters, digits and '-')? */
bool util_is_hostname(const char *name);

/* Run a program, wait at most timeout_ms, then kill it.  Returns its exit status (128 + signal if a signal ended it),
 * -ETIMEDOUT, or a negative errno if it could not be started.  The event loop waits meanwhile. */
int util_run(const char *const argv[], unsigned int timeout_ms);

/* Give back what is not needed at the moment: free heap, and all pages of the program (those that are used come back
 * from the page cache, by the 16; what an idle turn of the loop uses is together, see hot.ld). */
void util_trim_memory(void);

/* Random bytes that never block (early at boot they may be weak). */
void util_random(void *buf, size_t len);

#endif
