/* SPDX-License-Identifier: MPL-2.0
 *
 * Numbers and sizes of FreeBSD that the code relies on, compared with its headers where it is compiled for FreeBSD
 * (test/freebsd/check-freebsd); those of kqueue with the small kqueue of the tests, too. */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/event.h>

#define SAME(what, value) _Static_assert((what) == (value), #what " is not " #value)

SAME(EVFILT_READ, -1);
SAME(EVFILT_WRITE, -2);
SAME(EVFILT_USER, -11);
SAME(EV_ADD, 0x1);
SAME(EV_DELETE, 0x2);
SAME(EV_ENABLE, 0x4);
SAME(EV_CLEAR, 0x20);
SAME(EV_EOF, 0x8000);
SAME(NOTE_LOWAT, 0x1);
SAME(NOTE_TRIGGER, 0x01000000);
SAME(sizeof(struct kevent), 64);
SAME(offsetof(struct kevent, filter), 8);
SAME(offsetof(struct kevent, flags), 10);
SAME(offsetof(struct kevent, fflags), 12);
SAME(offsetof(struct kevent, data), 16);
SAME(offsetof(struct kevent, udata), 24);
SAME(offsetof(struct kevent, ext), 32);

#ifdef __FreeBSD__
#include <sys/param.h> /* the next one needs it */

#include <signal.h>
#include <sys/jail.h>
#include <sys/mount.h>
#include <sys/procctl.h>
#include <sys/rctl.h>
#include <sys/socket.h>
#include <sys/sysctl.h>
#include <sys/ttycom.h>
#include <sys/un.h>
#include <sys/user.h>

/* The stand-in for pot knows these limits. */
SAME(MAXPATHLEN, 1024);
SAME(MNAMELEN, 1024);
SAME(MAXHOSTNAMELEN, 256);
SAME(sizeof(((struct sockaddr_un *)0)->sun_path), 104);
/* NSIG leaves out the real-time signals. */
SAME(NSIG, 32);
SAME(_SIG_MAXSIG, 128);
SAME(SIGINT, 2);
SAME(SIGQUIT, 3);
SAME(SIGUSR1, 30);
SAME(SIGUSR2, 31);
SAME(SIGCHLD, 20);
SAME(SIGINFO, 29);
/* sysctl(3): what the kernel copies out. */
SAME(sizeof(struct kinfo_proc), KINFO_PROC_SIZE);
SAME(KINFO_PROC_SIZE, 1088);
SAME(KERN_PROC_PID, 1);
SAME(KERN_PROC_PROC, 8);
SAME(KERN_PROC_NFDS, 43);
/* procctl(2) */
SAME(PROC_SPROTECT, 1);
SAME(PROC_REAP_ACQUIRE, 2);
SAME(PROC_TRACE_CTL, 7);
SAME(PROC_PDEATHSIG_CTL, 11);
SAME(PROC_TRACE_CTL_DISABLE, 2);
SAME(PPROT_SET, 1);
SAME(PPROT_CLEAR, 2);
/* unix(4) */
SAME(SOL_LOCAL, 0);
SAME(LOCAL_CREDS_PERSISTENT, 3);
SAME(SCM_RIGHTS, 1);
SAME(SCM_CREDS2, 8);
SAME(offsetof(struct sockcred2, sc_pid), 4);
/* tty(4), pts(4) */
SAME(TIOCSCTTY, 0x20007461);
#endif
