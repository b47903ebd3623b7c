/* SPDX-License-Identifier: MPL-2.0
 *
 * base/poller.h with epoll; an eventfd wakes it. */
#include "base/poller.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct nomad__poller {
	int epoll, wake;
};

enum { BATCH = 64 };

static uint32_t to_epoll(unsigned events)
{
	return (events & NOMAD__POLL_READ ? EPOLLIN : 0) | (events & NOMAD__POLL_WRITE ? EPOLLOUT : 0) |
	       (events & NOMAD__POLL_HANGUP ? EPOLLRDHUP : 0);
}

static unsigned from_epoll(uint32_t events)
{
	return (events & EPOLLIN ? NOMAD__POLL_READ : 0) | (events & EPOLLOUT ? NOMAD__POLL_WRITE : 0) |
	       (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP) ? NOMAD__POLL_HANGUP : 0);
}

int nomad__poller_new(struct nomad__poller **ret)
{
	struct nomad__poller *poller = calloc(1, sizeof(*poller));
	struct epoll_event ev = { .events = EPOLLIN };
	int r;

	if (!poller)
		return -ENOMEM;
	poller->wake = -1;
	poller->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (poller->epoll < 0)
		goto fail;
	poller->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (poller->wake < 0)
		goto fail;
	/* A NULL ud is the wake. */
	if (epoll_ctl(poller->epoll, EPOLL_CTL_ADD, poller->wake, &ev) < 0)
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
	if (poller->wake >= 0)
		close(poller->wake);
	if (poller->epoll >= 0)
		close(poller->epoll);
	free(poller);
}

int nomad__poller_add(struct nomad__poller *poller, int fd, unsigned events, void *ud)
{
	struct epoll_event ev = { .events = to_epoll(events), .data.ptr = ud };

	return epoll_ctl(poller->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

int nomad__poller_mod(struct nomad__poller *poller, int fd, unsigned events, void *ud)
{
	struct epoll_event ev = { .events = to_epoll(events), .data.ptr = ud };

	return epoll_ctl(poller->epoll, EPOLL_CTL_MOD, fd, &ev) < 0 ? -errno : 0;
}

void nomad__poller_del(struct nomad__poller *poller, int fd)
{
	(void)epoll_ctl(poller->epoll, EPOLL_CTL_DEL, fd, NULL);
}

int nomad__poller_wait(struct nomad__poller *poller, int64_t timeout_ns, struct nomad__poller_event *ret, int max)
{
	struct epoll_event ev[BATCH];
	int timeout_ms = -1, n, count = 0;
	uint64_t ignored;

	/* Rounded up: a timer must not find that it is early, and spin. */
	if (timeout_ns >= 0)
		timeout_ms = timeout_ns / 1000000 >= INT_MAX ? INT_MAX : (int)((timeout_ns + 999999) / 1000000);
	n = epoll_wait(poller->epoll, ev, max < BATCH ? max : BATCH, timeout_ms);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		if (!ev[i].data.ptr) {
			(void)!read(poller->wake, &ignored, sizeof(ignored));
			continue;
		}
		ret[count].ud = ev[i].data.ptr;
		ret[count++].events = from_epoll(ev[i].events);
	}
	return count;
}

void nomad__poller_wake(struct nomad__poller *poller)
{
	uint64_t one = 1;

	(void)!write(poller->wake, &one, sizeof(one));
}
