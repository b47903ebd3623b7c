/* SPDX-License-Identifier: MPL-2.0
 *
 * The journal of a system that boots is the log of its task: journalctl of
 * the image follows it, once for each of the two streams, as children of the
 * system's PID 1.
 *
 * They live and end with the container.  So nothing on the host reads files
 * that a container writes, and a restart of the plugin neither loses nor
 * repeats a line: the pipe is the supervisor's.  When nobody reads it,
 * journalctl waits and the system goes on. */
#include "journal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "channels.h"
#include "init.h"

enum { LOOK_MS = 100, WAIT_MS = 300000 };

static void follow(const char *priorities, int to)
{
	static const char *const programs[] = { "/usr/bin/journalctl", "/bin/journalctl" };
	const char *const argv[] = { "journalctl", "--follow",		 "--no-tail", "--boot", "--quiet",
				     "--no-pager", "--output=short-iso", priorities,  NULL };
	const char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "TERM=dumb", NULL };
	int i;

	for (i = 0; access("/run/systemd/journal/socket", F_OK) < 0; i++)
		if (i == WAIT_MS / LOOK_MS || poll(NULL, 0, LOOK_MS) > 0)
			return;
	if (dup2(to, STDOUT_FILENO) < 0)
		return;
	for (i = 0; i < 2; i++)
		execve(programs[i], (char *const *)argv, (char *const *)env);
}

void journal_start(void)
{
	sigset_t none;

	for (int to = STDOUT_FILENO; to <= STDERR_FILENO; to++) {
		if (fork())
			continue;
		die_with_parent();
		channels_close();
		prctl(PR_SET_NAME, "nspawn-journal");
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		follow(to == STDOUT_FILENO ? "--priority=4..7" : "--priority=0..3", to);
		_exit(0);
	}
}
