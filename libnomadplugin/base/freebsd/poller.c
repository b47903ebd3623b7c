/* SPDX-License-Identifier: MPL-2.0
 *
 * base/poller.h with kqueue; an EVFILT_USER event wakes it. */
#include "base/poller.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/event.h>
#include <sys/time.h>
#include <unistd.h>

struct nomad__poller {
	int kq;
};

enum { BATCH = 64 };

int nomad__poller_new(struct nomad__poller **ret)
{
	struct nomad__poller *poller = calloc(1, sizeof(*poller));
	struct kevent ev;
	int r;

	if (!poller)
		return -ENOMEM;
	/* kqueue1() came with 14.0, for its O_CLOEXEC; but no child inherits a kqueue. */
	poller->kq = kqueue();
	if (poller->kq < 0)
		goto fail;
	/* A NULL ud is the wake. */
	EV_SET(&ev, 0, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, NULL);
	if (kevent(poller->kq, &ev, 1, NULL, 0, NULL) < 0)
		goto fail;
	*ret = poller;
	return 0;
fail:
	r = -errno;
	nomad__poller_free(poller);
	return r;
}

void nomad__poller_free(struct nomad__poller *poller)
{
	if (!poller)
		return;
	if (poller->kq >= 0)
		close(poller->kq);
	free(poller);
}

/* kqueue has one filter for each direction.  HANGUP rides on the read filter: where reading was not asked for, with a
 * low-water mark that no data reaches.  Pipes ignore that mark (filt_piperead() in sys/kern/sys_pipe.c), so such a
 * filter is also edge-triggered and marked in ext[2], and wait() ignores its events without EV_EOF. */
static int set(struct nomad__poller *poller, int fd, int filter, bool want, bool quiet, void *ud)
{
	struct kevent ev;

	EV_SET(&ev, fd, filter, want ? EV_ADD | EV_ENABLE | (quiet ? EV_CLEAR : 0) : EV_DELETE, quiet ? NOTE_LOWAT : 0,
	       quiet ? INT32_MAX : 0, ud);
	ev.ext[2] = quiet;
	if (kevent(poller->kq, &ev, 1, NULL, 0, NULL) < 0 && (want || errno != ENOENT))
		return -errno;
	return 0;
}

int nomad__poller_add(struct nomad__poller *poller, int fd, unsigned events, void *ud)
{
	const bool quiet = !(events & NOMAD__POLL_READ);
	int r;

	r = set(poller, fd, EVFILT_READ, !quiet || !(events & NOMAD__POLL_WRITE) || (events & NOMAD__POLL_HANGUP),
		quiet, ud);
	if (r < 0)
		return r;
	r = set(poller, fd, EVFILT_WRITE, events & NOMAD__POLL_WRITE, false, ud);
	/* The write filter refuses a pipe whose reader is gone; the read filter reports that end at once. */
	if (r == -EPIPE)
		r = set(poller, fd, EVFILT_READ, true, quiet, ud);
	if (r < 0)
		nomad__poller_del(poller, fd);
	return r;
}

int nomad__poller_mod(struct nomad__poller *poller, int fd, unsigned events, void *ud)
{
	nomad__poller_del(poller, fd);
	return nomad__poller_add(poller, fd, events, ud);
}

void nomad__poller_del(struct nomad__poller *poller, int fd)
{
	(void)set(poller, fd, EVFILT_READ, false, false, NULL);
	(void)set(poller, fd, EVFILT_WRITE, false, false, NULL);
}

int nomad__poller_wait(struct nomad__poller *poller, int64_t timeout_ns, struct nomad__poller_event *ret, int max)
{
	struct kevent ev[BATCH];
	struct timespec ts = { .tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000 };
	int n, count = 0;

	n = kevent(poller->kq, NULL, 0, ev, max < BATCH ? max : BATCH, timeout_ns < 0 ? NULL : &ts);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		if (!ev[i].udata || (ev[i].ext[2] && !(ev[i].flags & EV_EOF)))
			continue;
		ret[count].ud = ev[i].udata;
		ret[count].events = ev[i].filter == EVFILT_WRITE ? NOMAD__POLL_WRITE : NOMAD__POLL_READ;
		if (ev[i].flags & EV_EOF)
			ret[count].events |= NOMAD__POLL_HANGUP;
		count++;
	}
	return count;
}

void nomad__poller_wake(struct nomad__poller *poller)
{
	struct kevent ev;

	EV_SET(&ev, 0, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
	(void)kevent(poller->kq, &ev, 1, NULL, 0, NULL);
}
