/* SPDX-License-Identifier: MPL-2.0
 *
 * os/socket.h: what all systems have in common.  The rest, names relative to a
 * directory and who is at the other end, is in os/SYSTEM/socket.c.
 *
 * On Linux SOCK_SEQPACKET keeps messages apart, and supervisors of earlier
 * versions speak it.  FreeBSD has changed its SOCK_SEQPACKET: before 15 a full
 * buffer gives EMSGSIZE, since 15 it is a stream with marks (MSG_EOR) that
 * takes parts of messages and never truncates one.  So everywhere else
 * messages go over SOCK_STREAM, which is the same in all versions, each behind
 * its length: four bytes, the highest first.  The descriptors come with the
 * length.  Both ends tell by the socket's type which of the two it is. */
#include "os/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nomad/base.h"

#if defined(__linux__) && !defined(NOMAD__UNIX_STREAM)
enum { MESSAGES = SOCK_SEQPACKET };
#else
enum { MESSAGES = SOCK_STREAM };
#endif

enum {
	FRAME_MAX = 65536,
	/* How long the rest of a message may take whose first part has come or gone. */
	REST_MS = 1000,
};

int nomad__unix_pair(int ret[2])
{
	return socketpair(AF_UNIX, MESSAGES | SOCK_CLOEXEC, 0, ret) < 0 ? -errno : 0;
}

/* Returns the descriptor, or closes it and returns the error r. */
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
	int fd = bind_socket(dirfd, name, MESSAGES);

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
	int fd = socket(AF_UNIX, MESSAGES | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd_or_error(fd, nomad__unix_connect_at(fd, dirfd, name));
}

int nomad__unix_accept(int fd, uid_t *ret_uid)
{
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return client < 0 ? -errno : fd_or_error(client, nomad__unix_peer(client, ret_uid));
}

static bool is_stream(int fd)
{
	socklen_t size = sizeof(int);
	int type = 0;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

/* Waits until the socket is ready, or hung up; false: the time is over. */
static bool wait_ready(int fd, short events, int64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left = deadline ? (deadline - nomad_monotonic_ns()) / 1000000 : -1;

	return (!deadline || left > 0) && (poll(&p, 1, (int)left) != 0 || !deadline);
}

/* Send the rest of a message.  Nothing may follow a part: if the rest cannot be sent, the connection is shut down. */
static int send_rest(int fd, const char *data, size_t size, bool wait)
{
	int64_t deadline = wait ? 0 : nomad_monotonic_ns() + REST_MS * 1000000ll;

	while (size > 0) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			data += n;
			size -= (size_t)n;
		} else if (errno == EINTR) {
			continue;
		} else if (errno != EAGAIN || !wait_ready(fd, POLLOUT, deadline)) {
			(void)shutdown(fd, SHUT_RDWR);
			return -EPIPE;
		}
	}
	return 0;
}

int nomad__unix_send(int fd, const void *data, size_t size, const int *fds, int n_fds, bool wait)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * NOMAD__MAX_FDS)];
	} control;
	uint32_t length = htonl((uint32_t)size);
	const bool stream = is_stream(fd);
	struct iovec iov[] = { { .iov_base = &length, .iov_len = sizeof(length) },
			       { .iov_base = (void *)(uintptr_t)data, .iov_len = size } };
	struct msghdr msg = { .msg_iov = iov + !stream, .msg_iovlen = stream ? 2 : 1 };
	ssize_t n;

	if (stream && size > FRAME_MAX)
		return -EMSGSIZE;
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
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | (stream ? 0 : MSG_EOR) | (wait ? 0 : MSG_DONTWAIT));
	while (n < 0 && errno == EINTR);
	if (n < 0 || !stream)
		return n < 0 ? -errno : 0;
	if ((size_t)n < sizeof(length)) {
		int r = send_rest(fd, (const char *)&length + n, sizeof(length) - (size_t)n, wait);

		return r < 0 ? r : send_rest(fd, data, size, wait);
	}
	n -= (ssize_t)sizeof(length);
	return send_rest(fd, (const char *)data + n, size - (size_t)n, wait);
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

static void drop_fds(int *fds)
{
	for (int i = 0; i < NOMAD__MAX_FDS; i++)
		if (fds[i] >= 0) {
			close(fds[i]);
			fds[i] = -1;
		}
}

/* What there is, with its descriptors.  *ret_whole: nothing of either was cut off. */
static ssize_t receive_some(int fd, void *buf, size_t size, int *fds, bool wait, bool *ret_whole)
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
	*ret_whole = !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
	return n;
}

/* The rest of what has begun: 1, 0 (the end came before it), -EPROTO (it did not come). */
static int receive_rest(int fd, char *buf, size_t size, int64_t deadline)
{
	while (size > 0) {
		ssize_t n = recv(fd, buf, size, MSG_DONTWAIT);

		if (n == 0)
			return 0;
		if (n > 0) {
			buf += n;
			size -= (size_t)n;
		} else if (errno != EINTR && (errno != EAGAIN || !wait_ready(fd, POLLIN, deadline))) {
			return errno == EAGAIN ? -EPROTO : -errno;
		}
	}
	return 1;
}

static ssize_t receive_frame(int fd, char *buf, size_t size, int *fds, bool wait)
{
	int64_t deadline;
	uint32_t length;
	char excess[256];
	bool whole;
	ssize_t n = receive_some(fd, &length, sizeof(length), fds, wait, &whole);
	size_t over = 0;
	int r;

	if (n <= 0)
		return n;
	deadline = nomad_monotonic_ns() + REST_MS * 1000000ll;
	r = receive_rest(fd, (char *)&length + n, sizeof(length) - (size_t)n, deadline);
	length = ntohl(length);
	if (r > 0 && length > FRAME_MAX)
		r = -EPROTO;
	if (r > 0) {
		over = length > size ? length - size : 0;
		r = receive_rest(fd, buf, length - over, deadline);
	}
	for (size_t left = over; r > 0 && left > 0; left -= left < sizeof(excess) ? left : sizeof(excess))
		r = receive_rest(fd, excess, left < sizeof(excess) ? left : sizeof(excess), deadline);
	if (r > 0 && (over || !whole))
		r = -EMSGSIZE;
	if (r <= 0) {
		drop_fds(fds);
		return r;
	}
	return (ssize_t)length;
}

ssize_t nomad__unix_receive(int fd, void *buf, size_t size, int *fds, bool wait)
{
	bool whole;
	ssize_t n;

	if (is_stream(fd))
		return receive_frame(fd, buf, size, fds, wait);
	n = receive_some(fd, buf, size, fds, wait, &whole);
	if (n < 0 || whole)
		return n;
	drop_fds(fds);
	return -EMSGSIZE;
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
	/* Such as FDSTORE: the descriptors were not requested. */
	take_fds(&msg, NULL, 0);
	return n;
}
