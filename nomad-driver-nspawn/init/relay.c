/* SPDX-License-Identifier: MPL-2.0
 *
 * The master of a terminal never leaves the container: root of the container
 * could hold the same open file and make it block, and so stop a process of
 * the host at its next read or write.  So a process in the container copies
 * between the master and two pipes, of which the host has its own ends.
 *
 *	command -> relay   a message with a descriptor: the master
 *	broker  -> relay   op=resize rows columns
 */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/fields.h"
#include "os/socket.h"

struct copy {
	int from, to;
	size_t used;
	bool ended;
	char data[4096];
};

/* Moves what can be moved without waiting.  1; 0: nothing was there; -1: nobody takes it. */
static int copy_some(struct copy *c)
{
	ssize_t n;

	if (!c->used && !c->ended) {
		n = read(c->from, c->data, sizeof(c->data));
		c->ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
		c->used = n > 0 ? (size_t)n : 0;
	}
	if (!c->used)
		return 0;
	n = write(c->to, c->data, c->used);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -1;
	memmove(c->data, c->data + n, c->used - (size_t)n);
	c->used -= (size_t)n;
	return 1;
}

/* False: the command has ended, and the broker wants no more. */
static bool take_order(int control, int *master, struct winsize *size)
{
	int fds[NOMAD__MAX_FDS];
	char m[256];
	ssize_t n = nomad__unix_receive(control, m, sizeof(m), fds, false);

	if (n == -EAGAIN || n == -EMSGSIZE)
		return true;
	if (n <= 0)
		return false;
	for (int i = 0; i < NOMAD__MAX_FDS; i++)
		if (fds[i] >= 0 && *master < 0)
			*master = fds[i];
		else if (fds[i] >= 0)
			close(fds[i]);
	if (nomad__fields_get(m, (size_t)n, "rows")) {
		size->ws_row = (unsigned short)nomad__fields_get_num(m, (size_t)n, "rows", 0);
		size->ws_col = (unsigned short)nomad__fields_get_num(m, (size_t)n, "columns", 0);
	}
	if (*master >= 0 && (size->ws_row || size->ws_col))
		(void)ioctl(*master, TIOCSWINSZ, size);
	return true;
}

/* What the command wrote before its end. */
static void __attribute__((noreturn)) drain(struct copy *output)
{
	while (copy_some(output) > 0) {
		struct pollfd writable = { .fd = output->to, .events = POLLOUT };

		if (output->used)
			(void)poll(&writable, 1, -1);
	}
	_exit(0);
}

void relay(int control, int in, int out)
{
	struct copy input = { .from = in, .to = -1 }, output = { .from = -1, .to = out };
	struct winsize size = { 0 };
	int master = -1;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)fcntl(in, F_SETFL, O_NONBLOCK);
	(void)fcntl(out, F_SETFL, O_NONBLOCK);
	for (;;) {
		short wanted = (short)((output.used || output.ended ? 0 : POLLIN) | (input.used ? POLLOUT : 0));
		struct pollfd polled[] = {
			{ .fd = control, .events = POLLIN },
			{ .fd = master < 0 || input.used || input.ended ? -1 : in, .events = POLLIN },
			{ .fd = wanted ? master : -1, .events = wanted },
			/* Without an event it still says that the reader is gone. */
			{ .fd = out, .events = output.used ? POLLOUT : 0 },
		};

		(void)poll(polled, 4, -1);
		if (polled[0].revents && !take_order(control, &master, &size))
			drain(&output);
		input.to = output.from = master;
		if (polled[3].revents & POLLERR || (master >= 0 && copy_some(&output) < 0))
			_exit(0);
		if (master >= 0 && copy_some(&input) < 0) {
			input.ended = true;
			input.used = 0;
		}
	}
}
