/* SPDX-License-Identifier: MPL-2.0
 *
 * os/host.h: what this host offers to tasks, for constraints of jobs. */
#ifndef NOMAD_OS_HOST_H
#define NOMAD_OS_HOST_H

#include <stdbool.h>

struct nomad__host {
	const char *cgroup; /* "v1", "v2"; NULL without cgroups: then nothing below is known */
	char storage[32];   /* type of the file system of the directory asked for, or "" */
	bool systemd;	    /* it is PID 1 */
	bool idmapped_mounts;
	bool user_namespaces; /* and they are not forbidden */
	bool seccomp;
};

/* Looks at the host and the file system of `dir`. */
void nomad__host_look(const char *dir, struct nomad__host *ret);

#endif
