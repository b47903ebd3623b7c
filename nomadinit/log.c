/* SPDX-License-Identifier: MPL-2.0 */
/* Messages of PID 1 and of the agent.
 *
 * A line goes to every console that the kernel uses (a serial console and a screen
 * are both common) and into a ring on the state partition.  Neither may stop PID 1:
 * consoles are opened non-blocking and a line that does not fit within a moment is
 * dropped and counted; a full or broken disk is reported once and tried again at
 * the next turn of the ring.
 *
 * The ring is two files: `log` grows to half the limit, is then renamed to
 * `log.old`, and a new one begun.  Ordinary tools read it. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/tree.h"

static int consoles[4] = { 2, -1, -1, -1 };
static bool consoles_own;
static unsigned int dropped;

static struct {
	int fd;
	size_t size, max;
	char path[256], old[264];
	bool failed;
	size_t n_early;
	char early[8192]; /* what was said before there was a disk */
} ring = { .fd = -1 };

void log_open_consoles(void)
{
	char names[256], path[280], *name, *save = NULL;
	int fds[4] = { -1, -1, -1, -1 };
	size_t n = 0;

	if (util_read_line("/sys/class/tty/console/active", names, sizeof(names)) > 0) {
		for (name = strtok_r(names, " ", &save); name && n < NOMAD_ARRAY_LEN(fds);
		     name = strtok_r(NULL, " ", &save)) {
			snprintf(path, sizeof(path), "/dev/%s", name);
			fds[n] = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
			if (fds[n] >= 0)
				n++;
		}
	}
	if (n == 0) {
		fds[0] = open("/dev/console", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fds[0] < 0)
			return;
	}
	if (consoles_own)
		for (n = 0; n < NOMAD_ARRAY_LEN(consoles); n++)
			if (consoles[n] >= 0)
				close(consoles[n]);
	memcpy(consoles, fds, sizeof(consoles));
	consoles_own = true;
}

static void ring_begin(void)
{
	struct stat st;

	ring.fd = open(ring.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	ring.size = ring.fd >= 0 && fstat(ring.fd, &st) == 0 ? (size_t)st.st_size : 0;
}

static void ring_write(const char *text, size_t len);

int log_ring_open(const char *dir, size_t max_bytes, const char *mark)
{
	int r;

	log_ring_close();
	r = nomad__make_dirs(dir, 0755);
	if (r < 0)
		return r;
	if ((size_t)snprintf(ring.path, sizeof(ring.path), "%s/log", dir) >= sizeof(ring.path))
		return -ENAMETOOLONG;
	snprintf(ring.old, sizeof(ring.old), "%s.old", ring.path);
	ring.max = max_bytes;
	ring.failed = false;
	ring_begin();
	if (ring.fd < 0)
		return -errno;
	log_to_ring("nomadinit", mark, strlen(mark));
	ring_write(ring.early, ring.n_early);
	ring.n_early = 0;
	return 0;
}

void log_ring_close(void)
{
	if (ring.fd >= 0)
		close(ring.fd);
	ring.fd = -1;
}

static void console_write(const char *text, size_t len)
{
	struct pollfd p = { .events = POLLOUT };
	size_t i, done;
	ssize_t n;

	for (i = 0; i < NOMAD_ARRAY_LEN(consoles); i++) {
		p.fd = consoles[i];
		for (done = 0; p.fd >= 0 && done < len;) {
			n = write(p.fd, text + done, len - done);
			if (n > 0)
				done += (size_t)n;
			else if (!(n < 0 && errno == EINTR) &&
				 !(n < 0 && errno == EAGAIN && poll(&p, 1, 50) == 1 && (p.revents & POLLOUT)))
				break;
		}
		if (p.fd >= 0 && done < len)
			dropped++;
	}
}

static void ring_write(const char *text, size_t len)
{
	int r;

	if (ring.fd < 0) {
		if (len <= sizeof(ring.early) - ring.n_early) {
			memcpy(ring.early + ring.n_early, text, len);
			ring.n_early += len;
		}
		return;
	}
	if (ring.size + len > ring.max / 2) {
		close(ring.fd);
		if (rename(ring.path, ring.old) < 0)
			unlink(ring.path);
		ring_begin();
		ring.failed = false;
		if (ring.fd < 0)
			return;
	}
	r = nomad_write_all(ring.fd, text, len);
	/* Counted even when it failed, so that a full disk leads to a turn, which frees the old half. */
	ring.size += len;
	if (r < 0 && !ring.failed) {
		ring.failed = true;
		log_error("cannot write '%s': %s; lines are lost there until there is room", ring.path, strerror(-r));
	}
}

/* What is not text could drive the terminal. */
static size_t add_text(char *line, size_t at, size_t size, const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len && at < size - 3; i++)
		line[at++] = ((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 127 ? '?' : text[i];
	return at;
}

void log_to_ring(const char *who, const char *text, size_t len)
{
	int64_t now = nomad_wall_ns();
	time_t seconds = (time_t)(now / 1000000000);
	char line[1400];
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(line + n, sizeof(line) - n, ".%03dZ %s: ", (int)(now / 1000000 % 1000), who);
	n = add_text(line, n, sizeof(line), text, len);
	line[n++] = '\n';
	ring_write(line, n);
}

void log_line(const char *who, const char *text, size_t len)
{
	int64_t now = nomad_monotonic_ns() / 1000;
	char line[1400];
	size_t n;

	n = (size_t)snprintf(line, sizeof(line), "[%5lld.%06lld] %s: ", (long long)now / 1000000,
			     (long long)now % 1000000, who);
	n = add_text(line, n, sizeof(line), text, len);
	line[n++] = '\r';
	line[n++] = '\n';
	console_write(line, n);
	log_to_ring(who, text, len);
	if (dropped > 0) {
		n = (size_t)snprintf(line, sizeof(line), "%u lines did not fit on a console", dropped);
		dropped = 0;
		log_to_ring("nomadinit", line, n);
	}
}

static void vlog(const char *mark, const char *fmt, va_list ap) NOMAD_PRINTF(2, 0);
static void vlog(const char *mark, const char *fmt, va_list ap)
{
	char text[1024];
	int n, saved = errno;

	n = snprintf(text, sizeof(text), "%s", mark);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	log_line("nomadinit", text, strlen(text));
	errno = saved;
}

#define LOG_BODY(mark)                                                                                                 \
	va_list ap;                                                                                                    \
	va_start(ap, fmt);                                                                                             \
	vlog(mark, fmt, ap);                                                                                           \
	va_end(ap)

void log_info(const char *fmt, ...)
{
	LOG_BODY("");
}

void log_warn(const char *fmt, ...)
{
	LOG_BODY("warning: ");
}

void log_error(const char *fmt, ...)
{
	LOG_BODY("error: ");
}

void log_split(struct log_splitter *s, const char *who, const char *data, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (data[i] == '\n' || s->len == sizeof(s->buf)) {
			while (s->len > 0 && s->buf[s->len - 1] == '\r')
				s->len--;
			if (s->len > 0)
				log_line(who, s->buf, s->len);
			s->len = 0;
		}
		if (data[i] != '\n')
			s->buf[s->len++] = data[i];
	}
}

void log_split_end(struct log_splitter *s, const char *who)
{
	log_split(s, who, "\n", 1);
}
