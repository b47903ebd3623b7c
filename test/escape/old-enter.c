/* SPDX-License-Identifier: MPL-2.0
 *
 * How commands used to get into a container: a root process of the host joins
 * its namespaces, can be attached to, and still holds a directory of the host.
 * The attack tests use it to show that they would notice.
 *
 *	old-enter PID		joins all namespaces of PID, stays three seconds */
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int host = open("/", O_RDONLY | O_DIRECTORY), pidfd;

	if (argc != 2 || host < 0)
		return 64;
	pidfd = (int)syscall(SYS_pidfd_open, atoi(argv[1]), 0);
	if (pidfd < 0 || setns(pidfd, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC) < 0)
		return 1;
	if (fork() == 0) {
		sleep(3);
		_exit(0);
	}
	(void)wait(NULL);
	return 0;
}
