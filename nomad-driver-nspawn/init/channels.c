/* SPDX-License-Identifier: MPL-2.0 */
#include "channels.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int channels_pass(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	return setenv("LISTEN_PID", pid, 1) < 0 || setenv("LISTEN_FDS", "2", 1) < 0 ? -1 : 0;
}

void channels_close(void)
{
	close(NOMAD_EXEC_FD);
	close(NOMAD_EXIT_FD);
}

void channels_close_on_exec(void)
{
	(void)fcntl(NOMAD_EXEC_FD, F_SETFD, FD_CLOEXEC);
	(void)fcntl(NOMAD_EXIT_FD, F_SETFD, FD_CLOEXEC);
}
