/* SPDX-License-Identifier: MPL-2.0
 *
 * launch.c: fork the supervisor program out of a process with many threads:
 * vfork, and until exec nothing but async-signal-safe calls. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/process.h"
#include "os/socket.h"
#include "supervisor/handle.h"
#include "supervisor/program.h"

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

int nomad__supervisor_launch(const char *title, int *ret_fd, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *crash = NULL;
	int program = nomad__supervisor_program(), pair[2], pid, r, errnum = 0, status;
	const char *at = getenv("NOMAD_DRIVER_CRASH_AT");
	char *argv[] = { (char *) title, NULL }, *envp[] = { NULL, NULL };
	sigset_t all, before;

	if (program < 0)
		return nomad_error_errno(err, -program, "load the supervisor program");
	if (at && strncmp(at, "super-", 6) == 0)
		envp[0] = crash = nomad_strdupf("NOMAD_DRIVER_CRASH_AT=%s", at);
	r = nomad__unix_pair(pair);
	if (r < 0)
		return nomad_error_errno(err, -r, "make a socket pair");
	/* dup2() onto itself would leave it close-on-exec. */
	if (pair[1] == 3) {
		pair[1] = fcntl(3, F_DUPFD_CLOEXEC, 4);
		close(3);
		if (pair[1] < 0) {
			r = nomad_error_errno(err, errno, "make a socket pair");
			close(pair[0]);
			return r;
		}
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = spawn(program, pair[1], argv, envp, &errnum);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(pair[1]);
	if (pid > 0 && errnum)
		(void) waitpid(pid, &status, 0);
	if (pid < 0 || errnum) {
		close(pair[0]);
		return nomad_error_errno(err, errnum, "run the supervisor program");
	}
	*ret_fd = pair[0];
	return pid;
}
