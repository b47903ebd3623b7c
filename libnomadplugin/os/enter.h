/* SPDX-License-Identifier: MPL-2.0
 *
 * os/enter.h: enter what another process lives in (namespaces, a jail).  For
 * single-threaded processes; no allocation. */
#ifndef NOMAD_OS_ENTER_H
#define NOMAD_OS_ENTER_H

/* 0 or -errno; -EOPNOTSUPP where there is no such thing. */
int nomad__enter_netns(int fd);

#endif
