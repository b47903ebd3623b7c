/* SPDX-License-Identifier: MPL-2.0
 *
 * os/socket.h: what all systems have in common.  The rest, names relative to a
 * directory and who is at the other end, is in os/SYSTEM/socket.c. */
#include "os/socket.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int nomad__unix_pair(int ret[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0 ? -errno : 0;
}

/* The descriptor if r is none, else closed and the error. */
static int fd_or_error(int fd, int r)
{
	if (r >= 0)
		return fd;
	close(fd);
	return r;
}

static int bind_socket(int dirfd, const char *name, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;
	mode_t mask;

	if (fd < 0)
		return -errno;
	(void)unlinkat(dirfd, name, 0);
	mask = umask(0177);
	r = nomad__unix_bind_at(fd, dirfd, name);
	umask(mask);
	return fd_or_error(fd, r);
}

int nomad__unix_listen(int dirfd, const char *name)
{
	int fd = bind_socket(dirfd, name, SOCK_SEQPACKET);

	return fd < 0 ? fd : fd_or_error(fd, listen(fd, 64) < 0 ? -errno : 0);
}

int nomad__unix_datagram(int dirfd, const char *name)
{
	int fd = bind_socket(dirfd, name, SOCK_DGRAM);

	return fd < 0 ? fd : fd_or_error(fd, nomad__unix_want_sender(fd));
}

int nomad__unix_connect(int dirfd, const char *name)
{
	/* Non-blocking: a full queue of a stopped supervisor must not hold us. */
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd_or_error(fd, nomad__unix_connect_at(fd, dirfd, name));
}

int nomad__unix_accept(int fd, uid_t *ret_uid)
{
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return client < 0 ? -errno : fd_or_error(client, nomad__unix_peer(client, ret_uid));
}

int nomad__unix_send(int fd, const void *data, size_t size, const int *fds, int n_fds, bool wait)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * NOMAD__MAX_FDS)];
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (n_fds > 0) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.buf;
		msg.msg_controllen = (socklen_t)CMSG_SPACE(sizeof(int) * (size_t)n_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = (socklen_t)CMSG_LEN(sizeof(int) * (size_t)n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)n_fds);
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* The descriptors of a message: the first `max` into fds[], the others closed. */
static void take_fds(struct msghdr *msg, int *fds, int max)
{
	int kept = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int theirs;

			memcpy(&theirs, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (kept < max)
				fds[kept++] = theirs;
			else
				close(theirs);
		}
	}
}

ssize_t nomad__unix_receive(int fd, void *buf, size_t size, int *fds, bool wait)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * NOMAD__MAX_FDS) + 256];
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = size };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n;

	for (int i = 0; i < NOMAD__MAX_FDS; i++)
		fds[i] = -1;
	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	take_fds(&msg, fds, NOMAD__MAX_FDS);
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		for (int i = 0; i < NOMAD__MAX_FDS; i++)
			if (fds[i] >= 0) {
				close(fds[i]);
				fds[i] = -1;
			}
		return -EMSGSIZE;
	}
	return n;
}

ssize_t nomad__unix_receive_from(int fd, void *buf, size_t size, int *ret_pid)
{
	union {
		struct cmsghdr align;
		char buf[1024];
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = size };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*ret_pid = 0;
	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		nomad__unix_sender(c, ret_pid);
	/* FDSTORE and the like: nobody asked for descriptors. */
	take_fds(&msg, NULL, 0);
	return n;
}
