/* SPDX-License-Identifier: MPL-2.0
 *
 * A small kqueue on poll(2), with what kqueue(2) documents and what its filters do in FreeBSD's sources:
 *
 *	sys/kern/kern_event.c   ENOENT for an event that is not there, EBADF for a descriptor that is not open; EV_ADD
 *of one that is there changes it; ext[2] is passed through sys/kern/sys_pipe.c     EVFILT_WRITE of a pipe without a
 *reader: EPIPE; EVFILT_READ of a pipe ignores NOTE_LOWAT sys/kern/uipc_socket.c  NOTE_LOWAT counts for sockets; end of
 *file comes in spite of it
 *
 * It looks every millisecond, so that EV_CLEAR needs no memory of the kernel's: an event is new if its data or its end
 * of file have changed since it was told. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/event.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { QUEUES = 64, NOTES = 512 };

struct note {
	struct kevent ev;
	bool used, triggered, told, told_eof;
	int64_t told_data;
};

static struct queue {
	int fd;
	struct note notes[NOTES];
} queues[QUEUES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int kqueue(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct queue *q = NULL;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < QUEUES && fd >= 0; i++) {
		/* A queue goes by close(2), which nobody sees here: its number comes again, or is open no more. */
		if (queues[i].fd == fd || (!q && (!queues[i].fd || fcntl(queues[i].fd, F_GETFD) < 0)))
			q = &queues[i];
		if (queues[i].fd == fd)
			break;
	}
	if (q) {
		memset(q, 0, sizeof(*q));
		q->fd = fd;
	}
	pthread_mutex_unlock(&lock);
	if (q || fd < 0)
		return fd;
	close(fd);
	errno = ENFILE;
	return -1;
}

static bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

static short look(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };

	return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

static int change(struct queue *q, const struct kevent *c)
{
	struct note *found = NULL, *empty = NULL;

	for (struct note *n = q->notes; n < q->notes + NOTES; n++) {
		if (n->used && n->ev.ident == c->ident && n->ev.filter == c->filter)
			found = n;
		else if (!n->used && !empty)
			empty = n;
	}
	if (c->filter != EVFILT_USER && fcntl((int)c->ident, F_GETFD) < 0)
		return EBADF;
	if (c->flags & EV_DELETE) {
		if (!found)
			return ENOENT;
		found->used = false;
		return 0;
	}
	if (!(c->flags & EV_ADD)) {
		if (!found)
			return ENOENT;
		found->triggered = c->fflags & NOTE_TRIGGER;
		return 0;
	}
	if (!found && c->filter == EVFILT_WRITE && is_pipe((int)c->ident) && (look((int)c->ident) & POLLERR))
		return EPIPE;
	if (!found)
		found = empty;
	if (!found)
		return ENOMEM;
	*found = (struct note){ .ev = *c, .used = true };
	return 0;
}

/* Whether a note is to be told now; *ret is what of. */
static bool is_active(struct note *n, struct kevent *ret)
{
	int fd = (int)n->ev.ident, bytes = 0, is_listening = 0;
	socklen_t size = sizeof(is_listening);
	bool eof, active;
	short seen;

	*ret = n->ev;
	ret->fflags = 0;
	if (n->ev.filter == EVFILT_USER) {
		active = n->triggered;
		n->triggered = n->triggered && !(n->ev.flags & EV_CLEAR);
		return active;
	}
	seen = look(fd);
	eof = seen & (POLLHUP | POLLERR | POLLRDHUP);
	if (n->ev.filter == EVFILT_WRITE) {
		eof = seen & (POLLHUP | POLLERR);
		active = eof || (seen & POLLOUT);
	} else {
		int64_t low = 1;

		if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY)
			(void)ioctl(fd, FIONREAD, &bytes);
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) == 0 && !is_listening &&
		    (n->ev.fflags & NOTE_LOWAT))
			low = n->ev.data;
		active = eof || bytes >= low || (bytes == 0 && low == 1 && (seen & POLLIN));
	}
	ret->data = bytes;
	ret->flags = (unsigned short)((n->ev.flags & ~EV_EOF) | (eof ? EV_EOF : 0));
	if (n->ev.flags & EV_CLEAR)
		active = active && (!n->told || n->told_data != bytes || n->told_eof != eof);
	if (active) {
		n->told = true;
		n->told_data = bytes;
		n->told_eof = eof;
	}
	return active;
}

static struct queue *queue_of(int kq)
{
	for (int i = 0; i < QUEUES; i++)
		if (queues[i].fd == kq)
			return &queues[i];
	return NULL;
}

int kevent(int kq, const struct kevent *changes, int n_changes, struct kevent *events, int n_events,
	   const struct timespec *timeout)
{
	int64_t left_ms = timeout ? timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000 : -1;
	int count = 0, errnum = 0;

	for (;; left_ms -= left_ms > 0) {
		struct queue *q;

		pthread_mutex_lock(&lock);
		q = queue_of(kq);
		errnum = q ? 0 : EBADF;
		for (int i = 0; i < n_changes && !errnum; i++)
			errnum = change(q, &changes[i]);
		n_changes = 0;
		for (int i = 0; i < NOTES && count < n_events && !errnum; i++)
			if (q->notes[i].used && is_active(&q->notes[i], &events[count]))
				count++;
		pthread_mutex_unlock(&lock);
		if (errnum) {
			errno = errnum;
			return -1;
		}
		if (count > 0 || n_events == 0 || left_ms == 0)
			return count;
		if (poll(NULL, 0, 1) < 0)
			return -1;
	}
}
