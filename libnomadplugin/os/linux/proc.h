/* SPDX-License-Identifier: MPL-2.0 */
#ifndef NOMAD_OS_LINUX_PROC_H
#define NOMAD_OS_LINUX_PROC_H

#include <sys/types.h>

/* /proc/PID/what, as nomad__text_read(). */
ssize_t nomad__proc_read(int pid, const char *what, char *buf, size_t size);

#endif
