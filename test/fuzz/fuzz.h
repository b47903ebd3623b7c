/* SPDX-License-Identifier: MPL-2.0
 *
 * test/fuzz/fuzz.h: what the fuzzers share. */
#ifndef NOMAD_TEST_FUZZ_H
#define NOMAD_TEST_FUZZ_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nomad/base.h"
#include "nomad/error.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ static inline __attribute__((unused))

FUZZ void fuzz_must(bool holds)
{
	if (!holds)
		abort();
}

FUZZ void fuzz_printable(const char *text)
{
	for (; *text; text++)
		fuzz_must((unsigned char)*text >= 0x20 && *text != 0x7f);
}

/* A failure says why, in one printable line. */
FUZZ void fuzz_error(struct nomad_error *err)
{
	fuzz_must(err && nomad_error_message(err)[0]);
	fuzz_printable(nomad_error_message(err));
	nomad_error_free(err);
}

/* ---- An input that is taken apart ---- */

struct fuzz_input {
	const uint8_t *data;
	size_t size;
};

FUZZ uint8_t fuzz_byte(struct fuzz_input *in)
{
	if (!in->size)
		return 0;
	in->size--;
	return *in->data++;
}

/* Up to `end` (-1: none), or all that is left; a string of its own, so that ASan sees where it ends. */
FUZZ char *fuzz_text(struct fuzz_input *in, int end, size_t *ret_size)
{
	const uint8_t *found = in->size && end >= 0 ? memchr(in->data, end, in->size) : NULL;
	size_t n = found ? (size_t)(found - in->data) : in->size;
	char *text = malloc(n + 1);

	fuzz_must(text);
	if (n)
		memcpy(text, in->data, n);
	text[n] = 0;
	n += found != NULL;
	in->data += n;
	in->size -= n;
	if (ret_size)
		*ret_size = n - (found != NULL);
	return text;
}

/* `n` bytes, or all that is left, in memory of their own. */
FUZZ uint8_t *fuzz_bytes(struct fuzz_input *in, size_t n, size_t *ret_size)
{
	uint8_t *bytes;

	n = n < in->size ? n : in->size;
	bytes = malloc(n ? n : 1);
	fuzz_must(bytes);
	if (n)
		memcpy(bytes, in->data, n);
	in->data += n;
	in->size -= n;
	*ret_size = n;
	return bytes;
}

/* ---- Files ---- */

/* A file in memory. */
FUZZ int fuzz_file(const void *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	fuzz_must(fd >= 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
	return fd;
}

/* The directory of this process, which ../run removes. */
FUZZ int fuzz_directory(void)
{
	static char path[64] = "/tmp/fuzz-XXXXXX";
	static int fd = -1;

	if (fd < 0) {
		if (getenv("TMPDIR"))
			snprintf(path, sizeof(path), "%.40s/fuzz-XXXXXX", getenv("TMPDIR"));
		fuzz_must(mkdtemp(path));
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fuzz_must(fd >= 0);
	}
	return fd;
}

FUZZ void fuzz_put_file(const char *name, const void *data, size_t size)
{
	int fd = openat(fuzz_directory(), name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	fuzz_must(fd >= 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
	close(fd);
}

#endif
