/* SPDX-License-Identifier: MPL-2.0
 *
 * launch.c: the supervisor program, carried in this executable, and its fork
 * out of a process with many threads: vfork, and until exec only
 * async-signal-safe calls. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/process.h"
#include "os/socket.h"
#include "supervisor/handle.h"
#include "supervisor/crash.h"

/* The make fragment puts them there. */
extern const unsigned char nomad__supervisor_blob[], nomad__supervisor_blob_end[];

static size_t blob_size(void)
{
	return (size_t)(nomad__supervisor_blob_end - nomad__supervisor_blob);
}

/* The program in anonymous memory, for nomad__program_exec(), or -errno.  One for all: supervisors of a plugin share
 * their pages. */
static int program_in_memory(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static int loaded = -1;
	int r;

	pthread_mutex_lock(&lock);
	if (loaded < 0)
		loaded = nomad__program_load("nomad-supervisor", nomad__supervisor_blob, blob_size());
	r = loaded;
	pthread_mutex_unlock(&lock);
	return r;
}

/* The child borrows our memory: only system calls in it. */
static int __attribute__((noinline)) spawn(int program, int fd, char *const argv[], char *const envp[], int *ret_errno)
{
	volatile int failed = 0;
	int pid = vfork();

	if (pid == 0) {
		if (dup2(fd, 3) < 0)
			failed = errno;
		else
			failed = -nomad__program_exec(program, argv, envp);
		_exit(127);
	}
	*ret_errno = pid < 0 ? errno : failed;
	return pid;
}

static bool is_denied(int errnum)
{
	return errnum == EACCES || errnum == EPERM || errnum == ENOSYS;
}

/* Where programs in memory are forbidden (vm.memfd_noexec, a security module):
 * a file in the task's directory.  An fd for nomad__program_exec(), or -errno. */
static int program_file(int dirfd)
{
	int fd = openat(dirfd, "program", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0700), r;

	if (fd < 0)
		return -errno;
	r = nomad_write_all(fd, nomad__supervisor_blob, blob_size());
	close(fd);
	if (r < 0)
		return r;
	fd = openat(dirfd, "program", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* As spawn(), and the child that failed is gone.  A child of another thread may have the program open for writing until
 * it executes something: ETXTBSY, for a moment. */
static int spawn_reaped(int program, int fd, char *const argv[], char *const envp[], int *ret_errno)
{
	for (int attempt = 0;; attempt++) {
		int status, pid = spawn(program, fd, argv, envp, ret_errno);

		if (pid > 0 && *ret_errno)
			(void)waitpid(pid, &status, 0);
		if (*ret_errno != ETXTBSY || attempt == 100)
			return pid;
		(void)poll(NULL, 0, 10);
	}
}

/* Run it from memory, or else from a file.  The pid, or -errno. */
static int run_program(int dirfd, int fd, char *const argv[], char *const envp[])
{
	int program = program_in_memory(), pid = -1, errnum = program < 0 ? -program : 0;

	if (program >= 0)
		pid = spawn_reaped(program, fd, argv, envp, &errnum);
	if (!is_denied(errnum))
		return errnum ? -errnum : pid;
	program = program_file(dirfd);
	if (program < 0)
		return program;
	pid = spawn_reaped(program, fd, argv, envp, &errnum);
	close(program);
	return errnum ? -errnum : pid;
}

int nomad__supervisor_launch(int dirfd, const char *title, int *ret_fd, struct nomad_error **err)
{
	char crash[64];
	char *argv[] = { (char *)title, NULL },
	     *envp[] = { (char *)nomad__crash_of_supervisor(crash, sizeof(crash)), NULL };
	sigset_t all, before;
	int pair[2], pid, r;

	r = nomad__unix_pair(pair);
	if (r < 0)
		return nomad_error_errno(err, -r, "create a socket pair");
	/* dup2() onto itself would leave it close-on-exec. */
	if (pair[1] == 3) {
		pair[1] = fcntl(3, F_DUPFD_CLOEXEC, 4);
		close(3);
		if (pair[1] < 0) {
			r = nomad_error_errno(err, errno, "create a socket pair");
			close(pair[0]);
			return r;
		}
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = run_program(dirfd, pair[1], argv, envp);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return nomad_error_errno(err, -pid, "run the supervisor program");
	}
	*ret_fd = pair[0];
	return pid;
}
