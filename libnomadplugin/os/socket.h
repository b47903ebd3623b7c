/* SPDX-License-Identifier: MPL-2.0
 *
 * os/socket.h: unix sockets by directory and name (a path may be longer than
 * a socket address), whole messages with descriptors, and who is at the
 * other end.  No allocation: the supervisor program uses this too. */
#ifndef NOMAD_OS_SOCKET_H
#define NOMAD_OS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { NOMAD__MAX_FDS = 4 };

/* A pair of connected sockets for messages.  0 or -errno. */
int nomad__unix_pair(int ret[2]);
/* A listening socket for messages `name` in the directory, mode 0600,
 * non-blocking; one that is there is replaced.  fd or -errno. */
int nomad__unix_listen(int dirfd, const char *name);
/* A datagram socket there that tells who sent, non-blocking, mode 0600. */
int nomad__unix_datagram(int dirfd, const char *name);
int nomad__unix_connect(int dirfd, const char *name);
/* Accept; non-blocking.  The peer's user id into *ret_uid.  fd or -errno. */
int nomad__unix_accept(int fd, uid_t *ret_uid);
/* Send one message with descriptors, all or nothing, without waiting unless `wait`.  A stream that has taken a part
 * only and not the rest within a second is shut down: -EPIPE. */
int nomad__unix_send(int fd, const void *data, size_t size, const int *fds, int n_fds, bool wait);
/* Receive one message.  Size (0: the end) or -errno; -EMSGSIZE if it was longer; -EPROTO if a stream brings no message,
 * or only half a one for a second: use it no more.
 * Descriptors, close-on-exec, into fds[NOMAD__MAX_FDS], the others -1. */
ssize_t nomad__unix_receive(int fd, void *buf, size_t size, int *fds, bool wait);
/* Receive a datagram; the sender's pid (0: not known) into *ret_pid. */
ssize_t nomad__unix_receive_from(int fd, void *buf, size_t size, int *ret_pid);

/* ---- What differs between systems.  0 or -errno ---- */

int nomad__unix_bind_at(int fd, int dirfd, const char *name);
int nomad__unix_connect_at(int fd, int dirfd, const char *name);
int nomad__unix_peer(int fd, uid_t *ret_uid);
/* Datagrams are to come with their sender. */
int nomad__unix_want_sender(int fd);
/* The pid, if this is where it is. */
void nomad__unix_sender(const struct cmsghdr *c, int *ret_pid);

#endif
