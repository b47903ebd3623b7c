/* SPDX-License-Identifier: MPL-2.0
 *
 * channels.c: the sockets that the program of the task may have asked for: one
 * over which it runs commands for us, one over which it reports its payload's
 * exit.  They have no name, and the payload can neither reopen nor fill them.
 * What comes over them is hostile. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "nomad/task.h"
#include "os/socket.h"

static struct channel {
	int ours, theirs; /* -1: not asked for, or closed */
} exec_channel = { -1, -1 }, exit_channel = { -1, -1 };

static int open_pair(struct channel *channel)
{
	int ends[2], r = nomad__unix_pair(ends);

	if (r < 0)
		return fail(-r, "create a channel to the program", NULL);
	*channel = (struct channel){ ends[0], ends[1] };
	return 0;
}

int channels_open(void)
{
	int r = spec_num("exec_broker", 0) ? open_pair(&exec_channel) : 0;

	return r >= 0 && spec_num("exit_channel", 0) ? open_pair(&exit_channel) : r;
}

static int give(int fd, int number)
{
	if (fd >= 0)
		return dup2(fd, number) < 0 ? -errno : 0;
	close(number);
	return 0;
}

int channels_give(int *status)
{
	/* Out of the way of the numbers that the program expects. */
	int exec_end = exec_channel.theirs < 0 ? -1 : fcntl(exec_channel.theirs, F_DUPFD, NOMAD_EXIT_FD + 2);
	int exit_end = exit_channel.theirs < 0 ? -1 : fcntl(exit_channel.theirs, F_DUPFD, NOMAD_EXIT_FD + 2);
	int kept = fcntl(*status, F_DUPFD_CLOEXEC, NOMAD_EXIT_FD + 2), r;

	if (kept < 0)
		return -errno;
	r = give(exec_end, NOMAD_EXEC_FD);
	if (r >= 0)
		r = give(exit_end, NOMAD_EXIT_FD);
	if (r >= 0 && dup2(kept, NOMAD_EXIT_FD + 1) < 0)
		r = -errno;
	if (r < 0)
		return r;
	*status = NOMAD_EXIT_FD + 1;
	(void)fcntl(*status, F_SETFD, FD_CLOEXEC);
	nomad__close_from(*status + 1);
	return 0;
}

void channels_given(void)
{
	if (exec_channel.theirs >= 0)
		close(exec_channel.theirs);
	if (exit_channel.theirs >= 0)
		close(exit_channel.theirs);
	exec_channel.theirs = exit_channel.theirs = -1;
}

static volatile sig_atomic_t late;

static void on_alarm(int signal)
{
	(void)signal;
	late = 1;
}

void channel_begin(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };

	late = 0;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGALRM, &sa, NULL);
	alarm(1);
}

bool channel_end(void)
{
	alarm(0);
	return late;
}

int channel_exec(void)
{
	return exec_channel.ours;
}

void channel_exec_close(void)
{
	channel_begin();
	if (exec_channel.ours >= 0)
		close(exec_channel.ours);
	(void)channel_end();
	exec_channel.ours = -1;
}

bool channel_exit_read(int *code, int *signal)
{
	const char *second, *third;
	int64_t c, s;
	char buf[64];
	ssize_t n;

	if (exit_channel.ours < 0)
		return false;
	/* As it was written: a shell's echo puts no length before it.  A stream may have a second line behind the
	 * first. */
	channel_begin();
	n = recv(exit_channel.ours, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	(void)channel_end();
	if (n <= 0)
		return false;
	buf[n] = 0;
	buf[strcspn(buf, "\n")] = 0;
	second = strchr(buf, ' ');
	c = nomad__parse_num(buf, -1);
	s = nomad__parse_num(second ? second + 1 : NULL, -1);
	if (c < 0 || c >= 65536 || s < 0 || s >= NOMAD__NSIG)
		return false;
	*code = (int)c;
	*signal = (int)s;
	third = strchr(second + 1, ' ');
	return third && nomad__parse_num(third + 1, 0) == 1;
}
