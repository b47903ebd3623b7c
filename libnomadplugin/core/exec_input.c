/* SPDX-License-Identifier: MPL-2.0
 *
 * The input of a command in a task. */
#include "core/exec_stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void nomad__exec_input_end(struct nomad__exec_stream *s)
{
	nomad__watch_free(s->in_watch);
	s->in_watch = NULL;
	if (s->in_fd >= 0)
		close(s->in_fd);
	s->in_fd = -1;
}

void nomad__exec_input_ready(void *ud, unsigned events)
{
	struct nomad__exec_stream *s = ud;
	bool end = events & NOMAD__HANGUP;

	pthread_mutex_lock(&s->lock);
	while (s->input_size && !end) {
		ssize_t n = write(s->in_fd, s->input, s->input_size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0) {
			end = true;
			break;
		}
		s->line_open = s->input[n - 1] != '\n';
		memmove(s->input, s->input + n, s->input_size - (size_t)n);
		s->input_size -= (size_t)n;
	}
	if (end)
		s->input_size = 0;
	if (!s->input_size && s->input_close && !end) {
		/* A terminal has no end of file but the character for it; behind a
		 * line that is begun, the first one only ends the line. */
		if (s->tty && write(s->in_fd, "\4\4", s->line_open ? 2 : 1) < 0 &&
		    (errno == EAGAIN || errno == EWOULDBLOCK))
			goto out;
		end = true;
	}
out:
	if (s->in_watch && !end)
		nomad__watch_set(s->in_watch, s->input_size || s->input_close ? NOMAD__WRITE : 0);
	pthread_mutex_unlock(&s->lock);
	if (end)
		nomad__exec_input_end(s);
}
