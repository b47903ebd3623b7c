/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/program.h: the supervisor program inside this executable. */
#ifndef NOMAD_SUPERVISOR_PROGRAM_H
#define NOMAD_SUPERVISOR_PROGRAM_H

/* A descriptor for nomad__program_exec(), or -errno.  The same one for all:
 * supervisors of a plugin share their pages.  It stays open. */
int nomad__supervisor_program(void);

#endif
