/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/program/child.h: what a child does between fork and exec. */
#ifndef NOMAD_SUPERVISOR_CHILD_H
#define NOMAD_SUPERVISOR_CHILD_H

#include <stddef.h>

void child_fail(int fd, int errnum, const char *act, const char *object) __attribute__((noreturn));
char **child_strings(const char *spec, size_t size, const char *key, const char *extra);
void child_defaults(void);
int child_become(const char *spec, size_t size);
int child_stdio(const int fds[3]);

#endif
