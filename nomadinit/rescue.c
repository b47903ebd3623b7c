/* SPDX-License-Identifier: MPL-2.0 */
#include "rescue.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cmdline.h"
#include "log.h"

pid_t rescue_open(void)
{
	char *argv[] = { (char *)(uintptr_t) "-sh", NULL };
	sigset_t none;
	pid_t pid;
	int fd;

	if (!cmdline_is_on("rescue"))
		return 0;
	log_warn("a rescue shell is open on the console, as the kernel arguments say; the agent waits for its end");
	pid = fork();
	if (pid != 0)
		return pid;
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	fd = open("/dev/console", O_RDWR | O_CLOEXEC);
	ioctl(fd, TIOCSCTTY, 1);
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("PS1", "rescue# ", 1);
	execv("/bin/sh", argv);
	dprintf(2, "the image has no shell (it was built with SHELL=no)\r\n");
	_exit(127);
}
