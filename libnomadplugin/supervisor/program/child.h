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
/* The same by name or number, with the files of the root that we are in. */
int child_become_inside(const char *user);
/* execve(), and the search of env's PATH for a name without a slash.  Returns -errno. */
int child_exec(char **argv, char **env);
int child_stdio(const int fds[3]);

#endif
