/* SPDX-License-Identifier: MPL-2.0
 *
 * pot-run: runs in the jail, between pot's shell and the task's program.
 *
 *	run [-u USER[:GROUP]] COMMAND [ARGUMENT...]
 *
 * pot starts a command in the background of a shell, which then ignores SIGINT and SIGQUIT, and a shell cannot take
 * back what was ignored before it started.  This program can.  It also connects the task's stdout: pot's stdout
 * goes to a file, because pot writes its own messages there.  The first line of this program in that file is how the
 *driver knows that there was a jail: pot start continues without one, and reports that the task has ended with 1.
 *
 * With -u it becomes a user of the jail, by name or number, with HOME, USER and LOGNAME.
 *
 * Static, as the jail may have another version of the system, or another system. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../run.h"
#include "base/account.h"

#ifdef _SIG_MAXSIG
enum { SIGNALS = _SIG_MAXSIG + 1 }; /* NSIG leaves out the real-time signals on FreeBSD */
#else
enum { SIGNALS = NSIG };
#endif

static void reset_signals(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < SIGNALS; i++)
		(void)sigaction(i, &sa, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void connect_stdout(void)
{
	if (fcntl(POT_STDOUT_FD, F_GETFD) < 0)
		return;
	(void)!write(STDOUT_FILENO, POT_RUN_MARK "\n", sizeof(POT_RUN_MARK));
	(void)dup2(POT_STDOUT_FD, STDOUT_FILENO);
	(void)close(POT_STDOUT_FD);
}

/* 0, or -1 with errno. */
static int become(const char *user)
{
	static struct nomad__account account;

	if (nomad__account_find(user, &account) < 0 || setenv("HOME", account.home, 1) < 0 ||
	    setenv("USER", account.name, 1) < 0 || setenv("LOGNAME", account.name, 1) < 0 ||
	    setgroups(account.n_groups, account.groups) < 0 || setgid(account.gid) < 0)
		return -1;
	return setuid(account.uid);
}

int main(int argc, char **argv)
{
	reset_signals();
	connect_stdout();
	if (argc > 3 && strcmp(argv[1], "-u") == 0) {
		if (become(argv[2]) < 0) {
			dprintf(STDERR_FILENO,
				"run command: user '%s': %s; see 'user' of the job and the image's passwd\n", argv[2],
				strerror(errno));
			return 126;
		}
		argv += 2;
		argc -= 2;
	}
	if (argc < 2)
		return 64;
	execvp(argv[1], argv + 1);
	dprintf(STDERR_FILENO, "run command: '%s': %s; see option 'command'\n", argv[1], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}
