/* SPDX-License-Identifier: MPL-2.0 */
#include "inject.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/crash.h"

#define VARIABLE "NOMAD_TEST_INJECT"

static _Atomic int left = -1; /* calls until one fails; negative: none does */
static _Atomic int kind;
static const char *_Atomic fired_name;
static char supervisor_variable[256];

#ifdef INJECT_SUPERVISOR

/* KIND:N:FILE */
static const char *fired_file;
static bool looked;

static void look(void)
{
	const char *s;

	if (looked || !environ) /* before main() the C library opens files, too */
		return;
	looked = true;
	s = getenv(VARIABLE);
	if (!s || s[0] < '0' || s[1] != ':')
		return;
	kind = s[0] - '0';
	left = atoi(s + 2) - 1;
	fired_file = strchr(s + 2, ':');
	fired_file = fired_file ? fired_file + 1 : NULL;
}

static void fired(void)
{
	if (fired_file) {
		int fd =
			(int)syscall(SYS_openat, AT_FDCWD, fired_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

		(void)!syscall(SYS_write, fd, fired_name, strlen(fired_name));
		(void)!syscall(SYS_write, fd, "\n", 1);
		syscall(SYS_close, fd);
	}
}

#else

static void look(void)
{
}

static void fired(void)
{
}

void inject_arm(enum inject_kind what, int n)
{
	fired_name = NULL;
	kind = what;
	left = n - 1;
}

bool inject_disarm(const char **ret_name)
{
	bool was = atomic_exchange(&left, -1) < 0;

	if (ret_name)
		*ret_name = was ? fired_name : NULL;
	return was;
}

void inject_supervisor(enum inject_kind what, int n, const char *file)
{
	if (n)
		snprintf(supervisor_variable, sizeof(supervisor_variable), VARIABLE "=%d:%d:%s", what, n, file);
	else
		supervisor_variable[0] = 0;
}

#endif

/* In the place of crash.c. */
void nomad__crash_at(const char *step)
{
	(void)step;
}

const char *nomad__crash_of_supervisor(char *buf, size_t size)
{
	(void)buf;
	(void)size;
	return supervisor_variable[0] ? supervisor_variable : NULL;
}

static bool fails(enum inject_kind of, const char *name, int errnum)
{
	look();
	if (kind != (int)of || left < 0)
		return false;
	if (atomic_fetch_sub(&left, 1) != 0)
		return false;
	fired_name = name;
	fired();
	errno = errnum;
	return true;
}

/* Files of a disk are not waited for in a way that can be interrupted. */
static bool waits(int fd)
{
	struct stat st;

	return kind == INJECT_EINTR && left >= 0 && fstat(fd, &st) == 0 &&
	       (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

/* A disk may be full; an eventfd or a pipe that is open never is, not that way. */
static bool is_file(int fd)
{
	struct stat st;

	return kind == INJECT_ERRORS && left >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

#define REAL(name) __real_##name
#define WRAP(type, name, parameters, errnum, failure, ...)                                                             \
	type __real_##name parameters;                                                                                 \
	type __wrap_##name parameters;                                                                                 \
	type __wrap_##name parameters                                                                                  \
	{                                                                                                              \
		if (fails(INJECT_ERRORS, #name, errnum))                                                               \
			return failure;                                                                                \
		return REAL(name)(__VA_ARGS__);                                                                        \
	}
/* One that may also be interrupted, if `slow`; `errnum` 0: nothing else. */
#define WRAP_SLOW(type, name, parameters, errnum, slow, ...)                                                           \
	type __real_##name parameters;                                                                                 \
	type __wrap_##name parameters;                                                                                 \
	type __wrap_##name parameters                                                                                  \
	{                                                                                                              \
		if (((errnum) != 0 && fails(INJECT_ERRORS, #name, errnum)) ||                                          \
		    ((slow) && fails(INJECT_EINTR, #name, EINTR)))                                                     \
			return -1;                                                                                     \
		return REAL(name)(__VA_ARGS__);                                                                        \
	}

#ifndef INJECT_SUPERVISOR /* it needs none of these */
WRAP(void *, malloc, (size_t size), ENOMEM, NULL, size)
WRAP(void *, calloc, (size_t n, size_t size), ENOMEM, NULL, n, size)
WRAP(void *, realloc, (void *p, size_t size), ENOMEM, NULL, p, size)
WRAP(void *, reallocarray, (void *p, size_t n, size_t size), ENOMEM, NULL, p, n, size)
WRAP(char *, strdup, (const char *s), ENOMEM, NULL, s)
WRAP(char *, strndup, (const char *s, size_t n), ENOMEM, NULL, s, n)
WRAP(int, vasprintf, (char **ret, const char *fmt, va_list ap), ENOMEM, -1, ret, fmt, ap)
WRAP(int, __vasprintf_chk, (char **ret, int flag, const char *fmt, va_list ap), ENOMEM, -1, ret, flag, fmt, ap)
WRAP(DIR *, opendir, (const char *path), EMFILE, NULL, path)
WRAP(DIR *, fdopendir, (int fd), ENOMEM, NULL, fd)
WRAP(FILE *, fopen, (const char *path, const char *mode), EMFILE, NULL, path, mode)
WRAP(int, epoll_ctl, (int e, int op, int fd, struct epoll_event *ev), ENOSPC, -1, e, op, fd, ev)
WRAP(int, posix_openpt, (int flags), ENOSPC, -1, flags)
WRAP(int, ftruncate, (int fd, off_t size), ENOSPC, -1, fd, size)
WRAP(int, fdatasync, (int fd), ENOSPC, -1, fd)
WRAP_SLOW(ssize_t, pread, (int fd, void *p, size_t size, off_t at), 0, waits(fd), fd, p, size, at)
WRAP_SLOW(pid_t, waitpid, (pid_t pid, int *status, int options), 0, true, pid, status, options)
WRAP(int, pthread_create, (pthread_t * t, const pthread_attr_t *a, void *(*fn)(void *), void *arg), EAGAIN, EAGAIN, t,
     a, fn, arg)
#endif

WRAP(void *, mmap, (void *p, size_t size, int prot, int flags, int fd, off_t at), ENOMEM, MAP_FAILED, p, size, prot,
     flags, fd, at)

WRAP(int, mkdir, (const char *path, mode_t mode), ENOSPC, -1, path, mode)
WRAP(int, renameat, (int a, const char *from, int b, const char *to), ENOSPC, -1, a, from, b, to)
WRAP(int, pipe2, (int *fds, int flags), EMFILE, -1, fds, flags)
WRAP(int, socket, (int a, int b, int c), EMFILE, -1, a, b, c)
WRAP(int, socketpair, (int a, int b, int c, int *fds), EMFILE, -1, a, b, c, fds)
WRAP(int, bind, (int fd, const struct sockaddr *a, socklen_t n), ENOSPC, -1, fd, a, n)
WRAP(int, flock, (int fd, int op), ENOLCK, -1, fd, op)
WRAP(int, fsync, (int fd), ENOSPC, -1, fd)
WRAP_SLOW(int, connect, (int fd, const struct sockaddr *a, socklen_t n), EAGAIN, waits(fd), fd, a, n)
WRAP_SLOW(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags), EMFILE, waits(fd), fd, a, n, flags)
WRAP_SLOW(ssize_t, write, (int fd, const void *p, size_t size), is_file(fd) ? ENOSPC : 0, waits(fd), fd, p, size)
WRAP_SLOW(ssize_t, read, (int fd, void *p, size_t size), 0, waits(fd), fd, p, size)
WRAP_SLOW(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), ENOBUFS, waits(fd), fd, m, flags)
WRAP_SLOW(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), 0, waits(fd), fd, m, flags)
WRAP_SLOW(int, poll, (struct pollfd * p, nfds_t n, int timeout), 0, timeout != 0, p, n, timeout)

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (fails(INJECT_ERRORS, "open", EMFILE))
		return -1;
	return __real_open(path, flags, mode);
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (fails(INJECT_ERRORS, "openat", flags & O_CREAT ? ENOSPC : EMFILE))
		return -1;
	return __real_openat(dir, path, flags, mode);
}

int __real_fcntl(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	if ((cmd == F_DUPFD_CLOEXEC || cmd == F_DUPFD) && fails(INJECT_ERRORS, "fcntl", EMFILE))
		return -1;
	return __real_fcntl(fd, cmd, arg);
}

/* Processes */
WRAP(pid_t, fork, (void), EAGAIN, -1)
WRAP(int, execve, (const char *path, char *const *argv, char *const *env), ENOMEM, -1, path, argv, env)

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (((number == SYS_memfd_create || number == SYS_pidfd_open) &&
	     fails(INJECT_ERRORS, "memfd_create or pidfd_open", EMFILE)) ||
	    (number == SYS_clone3 && fails(INJECT_ERRORS, "clone3", EAGAIN)) ||
	    (number == SYS_execveat && fails(INJECT_ERRORS, "execveat", ENOMEM)))
		return -1;
	return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* It returns twice: our frame must be gone by then. */
#ifdef __x86_64__
int inject_vfork_fails(void);
int inject_vfork_fails(void)
{
	return fails(INJECT_ERRORS, "vfork", EAGAIN);
}
__asm__(".globl __wrap_vfork\n"
	".type __wrap_vfork, @function\n"
	"__wrap_vfork:\n"
	"	subq $8, %rsp\n"
	"	call inject_vfork_fails\n"
	"	addq $8, %rsp\n"
	"	testl %eax, %eax\n"
	"	jz __real_vfork@PLT\n"
	"	movl $-1, %eax\n"
	"	ret\n"
	".size __wrap_vfork, . - __wrap_vfork\n");
#endif
