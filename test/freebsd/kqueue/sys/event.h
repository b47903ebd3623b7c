/* SPDX-License-Identifier: MPL-2.0
 *
 * kqueue(2) for tests on Linux, as far as base/freebsd/poller.c uses it: see kqueue.c.  The numbers are FreeBSD's;
 * test/freebsd/facts.h holds both to them. */
#ifndef TEST_SYS_EVENT_H
#define TEST_SYS_EVENT_H

#include <stdint.h>
#include <time.h>

enum { EVFILT_READ = -1, EVFILT_WRITE = -2, EVFILT_USER = -11 };
enum { EV_ADD = 0x1, EV_DELETE = 0x2, EV_ENABLE = 0x4, EV_CLEAR = 0x20, EV_EOF = 0x8000 };
enum { NOTE_LOWAT = 0x1, NOTE_TRIGGER = 0x01000000 };

struct kevent {
	uintptr_t ident;
	short filter;
	unsigned short flags;
	unsigned int fflags;
	int64_t data;
	void *udata;
	uint64_t ext[4];
};

#define EV_SET(kev, a, b, c, d, e, f)                                                                                  \
	(*(kev) = (struct kevent){ .ident = (uintptr_t)(a),                                                            \
				   .filter = (short)(b),                                                               \
				   .flags = (unsigned short)(c),                                                       \
				   .fflags = (unsigned)(d),                                                            \
				   .data = (e),                                                                        \
				   .udata = (f) })

int kqueue(void);
int kevent(int kq, const struct kevent *changes, int n_changes, struct kevent *events, int n_events,
	   const struct timespec *timeout);

#endif
