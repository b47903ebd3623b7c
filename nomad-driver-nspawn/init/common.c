/* SPDX-License-Identifier: MPL-2.0
 *
 * What all parts of nspawn-init use. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "channels.h"
#include "init.h"
#include "nomad/base.h"

void init_fail(int status, const char *act, const char *object)
{
	dprintf(2, "cannot %s '%s': %s\n", act, object, strerror(errno));
	_exit(status);
}

int open_without_links(const char *path, int flags)
{
	struct open_how how = { .flags = (__u64)(flags | O_CLOEXEC), .resolve = RESOLVE_NO_SYMLINKS };

	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int r = fd < 0 ? -1 : nomad_write_all(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return r < 0 ? -1 : 0;
}

void die_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

pid_t helper_fork(const char *name)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	die_with_parent();
	channels_close();
	prctl(PR_SET_NAME, name);
	for (int i = 0; i < 3; i++)
		close(i); /* the log ends with the container */
	return 0;
}
