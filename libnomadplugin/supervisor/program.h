/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/program.h: the supervisor program inside this executable. */
#ifndef NOMAD_SUPERVISOR_PROGRAM_H
#define NOMAD_SUPERVISOR_PROGRAM_H

#include <stddef.h>

/* A descriptor for nomad__program_exec(), or -errno.  The same one for all:
 * supervisors of a plugin share their pages.  It stays open. */
int nomad__supervisor_program(void);
/* The same as bytes. */
void nomad__supervisor_blob_get(const char **ret_data, size_t *ret_size);

#endif
