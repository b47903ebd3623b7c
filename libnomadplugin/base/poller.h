/* SPDX-License-Identifier: MPL-2.0
 *
 * base/poller.h: wait for many descriptors at once.  epoll on Linux, kqueue on
 * FreeBSD.  One thread waits; nomad__poller_wake() may be called from any,
 * all else belongs to the thread that waits. */
#ifndef NOMAD_BASE_POLLER_H
#define NOMAD_BASE_POLLER_H

#include <stdint.h>

struct nomad__poller;

/* The same numbers as NOMAD__READ, _WRITE, _HANGUP of base/loop.h. */
enum { NOMAD__POLL_READ = 1, NOMAD__POLL_WRITE = 2, NOMAD__POLL_HANGUP = 4 };

struct nomad__poller_event {
	void *ud;
	unsigned events; /* NOMAD__POLL_*; HANGUP (also an error on the fd) comes unasked */
};

int nomad__poller_new(struct nomad__poller **ret); /* 0 or -errno */
void nomad__poller_free(struct nomad__poller *poller);

/* Level-triggered.  An fd is there once only.  `ud` must not be NULL. */
int nomad__poller_add(struct nomad__poller *poller, int fd, unsigned events, void *ud);
int nomad__poller_mod(struct nomad__poller *poller, int fd, unsigned events, void *ud);
/* Before the fd is closed. */
void nomad__poller_del(struct nomad__poller *poller, int fd);

/* Wait for at most `timeout_ns` (negative: for ever; rounded up to what the
 * system can do).  Returns how many events are in ret[]: 0 after the timeout, a wake or a
 * signal; or -errno.  One descriptor may fill two entries. */
int nomad__poller_wait(struct nomad__poller *poller, int64_t timeout_ns, struct nomad__poller_event *ret, int max);
/* Make a wait that is under way, or else the next one, return. */
void nomad__poller_wake(struct nomad__poller *poller);

#endif
