/* SPDX-License-Identifier: MPL-2.0
 *
 * init/init.h: what the files of nspawn-init share, and the names that it
 * has in common with the driver. */
#ifndef NSPAWN_INIT_H
#define NSPAWN_INIT_H

#include <sys/types.h>

#define NSPAWN_SPEC_NAME "nomad.task"	   /* credential of systemd-nspawn */
#define NSPAWN_INIT_PATH "/run/nomad/init" /* in the container */
#define NSPAWN_NET_PATH "/run/nomad/net"
#define NSPAWN_NET_NAME "net-socket" /* the same in the task's directory */
#define NSPAWN_LINK "host0"	     /* name of the link in the container */

/* devices.c: from now on this cgroup may use the usual devices and those of `rules` ("c10:200:rw,b7:0:r") only.
 * 0, or -1 with errno. */
int devices_limit(const char *rules);

/* users.c: hold systemd's locks of these users of the host, "shared" or alone, until systemd-nspawn ends.  0, or -1
 * with errno. */
int users_lock(const char *first, const char *count, const char *how);

/* dhcp.c: answer the DHCP client whose link is to be `peer` behind `link`, a link or bridge of the host, in a
 * process of its own.  0, or -1 with errno. */
int dhcp_start(const char *link, const char *peer, const char *address, const char *gateway, const char *bits);

/* net.c: on the host, a process that gives the container its link as soon as it asks: PEER ADDRESS GATEWAY BITS
 * ADDRESS6 GATEWAY6, where an address "-" is none, and the IPv6 network has 96 bits more.  0, or -1 with errno. */
int net_start(char *const *args);
/* In the container: ask, and wait for it, if there is one to come. */
void net_await(void);

/* Opens this network namespace to the users of a container, see init.c.  The exit status. */
int netns_open(const char *file);

/* launch.c */
int launch(int argc, char **argv);
int probe(const char *path);

/* common.c */
/* Says on stderr what could not be done and why (errno), and exits. */
void init_fail(int status, const char *act, const char *object) __attribute__((noreturn));
/* open(2), close-on-exec, of a path that has no symbolic link in it: ELOOP if it has. */
int open_without_links(const char *path, int flags);
/* Writes to a file that exists.  0, or -1 with errno. */
int write_file(const char *path, const char *text);
void die_with_parent(void);
/* Forks a helper of the container, which ends with systemd-nspawn and has no stdin, stdout and stderr. */
pid_t helper_fork(const char *name);

#endif
