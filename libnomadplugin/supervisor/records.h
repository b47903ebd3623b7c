/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/records.h: the files in a task's directory, as the plugin reads
 * them:
 *
 *   supervisor   who the supervisor, the process and the leader are (identity.h)
 *   cgroups      which cgroups there may be; written before they are made
 *   exit         how it ended
 *   ctl, notify  sockets */
#ifndef NOMAD_SUPERVISOR_RECORDS_H
#define NOMAD_SUPERVISOR_RECORDS_H

#include "os/cgroup.h"
#include "supervisor/client.h"
#include "supervisor/identity.h"

int nomad__task_dir_open(const char *dir);
int nomad__exit_read(int dirfd, struct nomad__supervisor_exit *ret);
int nomad__exit_parse(const char *data, size_t size, struct nomad__supervisor_exit *ret);
/* Read the record of cgroups into ret[NOMAD__MAX_CGROUPS]; returns their number, or -errno.  Without a record the
 * number is 0. */
int nomad__cgroups_read(int dirfd, struct nomad__cgroup *ret);
/* Kill all of a task whose supervisor is dead, until `deadline_ns`.  0, -EBUSY, or why it is not known. */
int nomad__leftovers_kill(int dirfd, int64_t deadline_ns);

#endif
