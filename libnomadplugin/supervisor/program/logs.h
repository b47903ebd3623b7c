/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/program/logs.h: where the bytes of stdout and stderr end. */
#ifndef NOMAD_SUPERVISOR_LOGS_H
#define NOMAD_SUPERVISOR_LOGS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Rotated files NAME.0, NAME.1, ... in a directory: the highest is written. */
struct rotation {
	int dir; /* -1: not in use */
	int fd;
	char name[160]; /* "TASK.stdout." */
	int64_t number;
	uint64_t bytes, max_bytes;
	unsigned max_files;
	uint64_t dropped; /* bytes that could not be written */
};

/* 0 or -errno; the directory is borrowed until the end. */
int rotation_open(struct rotation *rotation, int dir, const char *task, const char *stream, unsigned max_files,
		  uint64_t max_bytes);
/* Never fails: what cannot be written is counted. */
void rotation_write(struct rotation *rotation, const char *data, size_t size);

#endif
