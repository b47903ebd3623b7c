/* SPDX-License-Identifier: MPL-2.0
 *
 * hclog JSON on stderr, as go-plugin's client reads it (its log_entry.go):
 * @level, @message and @timestamp have to be strings or the reading agent
 * panics; a line of more than 64 KiB is cut into raw pieces.  A line here is
 * at most PIPE_BUF long, so that it is written whole or not at all. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = PIPE_BUF < 4096 ? PIPE_BUF : 4096, TAIL = 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *module = "plugin";
static enum nomad__log_form form = NOMAD__LOG_TEXT;
static enum nomad_log_level threshold = NOMAD_LOG_INFO;
static unsigned long dropped; /* since the last line that reported them */
static uint64_t lines[NOMAD_LOG_LEVEL_MAX], bytes_written, lost_lines;

static const char *const level_names[NOMAD_LOG_LEVEL_MAX] = {
	[NOMAD_LOG_TRACE] = "trace", [NOMAD_LOG_DEBUG] = "debug", [NOMAD_LOG_INFO] = "info",
	[NOMAD_LOG_WARN] = "warn",   [NOMAD_LOG_ERROR] = "error",
};

struct line {
	size_t size;
	bool full;
	char text[LINE_MAX_BYTES];
};

void nomad__log_setup(enum nomad__log_form new_form, const char *new_module, enum nomad_log_level level)
{
	int flags;

	form = new_form;
	module = new_module;
	threshold = level;
	if (form != NOMAD__LOG_JSON)
		return;
	/* The pipe to the agent: no other process writes to it. */
	flags = fcntl(STDERR_FILENO, F_GETFL);
	if (flags >= 0)
		(void)fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
}

void nomad__log_counts(uint64_t ret_lines[NOMAD_LOG_LEVEL_MAX], uint64_t *ret_bytes, uint64_t *ret_lost)
{
	pthread_mutex_lock(&lock);
	memcpy(ret_lines, lines, sizeof(lines));
	*ret_bytes = bytes_written;
	*ret_lost = lost_lines;
	pthread_mutex_unlock(&lock);
}

static void put(struct line *line, const char *text, size_t size)
{
	size_t room = sizeof(line->text) - TAIL - line->size;

	if (line->full)
		return;
	if (size > room) {
		line->full = true;
		return;
	}
	memcpy(line->text + line->size, text, size);
	line->size += size;
}

static void put_text(struct line *line, const char *text)
{
	put(line, text, strlen(text));
}

/* Length of the valid UTF-8 sequence at s; 0 if there is none. */
static size_t utf8_length(const unsigned char *s)
{
	size_t n = *s < 0x80		     ? 1
		   : *s >= 0xc2 && *s < 0xe0 ? 2
		   : *s >= 0xe0 && *s < 0xf0 ? 3
		   : *s >= 0xf0 && *s < 0xf5 ? 4
					     : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) || (*s == 0xf0 && s[1] < 0x90) ||
	    (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static void put_string(struct line *line, const char *value)
{
	const unsigned char *s = (const unsigned char *)(value ? value : "");

	line->text[line->size++] = '"';
	while (*s && !line->full) {
		size_t n = utf8_length(s);
		char escape[8];

		if (!n) {
			put_text(line, "\\ufffd");
			s++;
		} else if (*s == '"' || *s == '\\') {
			escape[0] = '\\';
			escape[1] = (char)*s++;
			put(line, escape, 2);
		} else if (*s < 0x20 || *s == 0x7f) {
			snprintf(escape, sizeof(escape), "\\u%04x", *s++);
			put(line, escape, 6);
		} else {
			put(line, (const char *)s, n);
			s += n;
		}
	}
	/* Room for it is kept in TAIL: a value that is cut leaves a valid line. */
	line->text[line->size++] = '"';
}

static void put_key(struct line *line, const char *key)
{
	size_t before = line->size;

	put_text(line, ",");
	put_string(line, key);
	put_text(line, ":");
	if (line->full)
		line->size = before;
}

static void write_line(struct line *line)
{
	ssize_t n;

	do
		n = write(STDERR_FILENO, line->text, line->size);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		dropped++;
		lost_lines++;
	} else {
		bytes_written += (uint64_t)n;
	}
}

static void json_begin(struct line *line, enum nomad_log_level level, const char *message)
{
	struct timespec now;
	struct tm utc;
	char stamp[64];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	snprintf(stamp, sizeof(stamp), "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ", utc.tm_year + 1900, utc.tm_mon + 1,
		 utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1000);
	put_text(line, "{\"@level\":\"");
	put_text(line, level_names[level]);
	put_text(line, "\",\"@timestamp\":\"");
	put_text(line, stamp);
	put_text(line, "\",\"@module\":");
	put_string(line, module);
	put_text(line, ",\"@message\":");
	put_string(line, message);
}

static void json_end(struct line *line)
{
	memcpy(line->text + line->size, "}\n", 2);
	line->size += 2;
	write_line(line);
}

static void emit(enum nomad_log_level level, const char *message, va_list *pairs)
{
	struct line line = { 0 };
	const char *key;

	if (level < threshold)
		return;
	pthread_mutex_lock(&lock);
	lines[level]++;
	if (form == NOMAD__LOG_JSON) {
		if (dropped) {
			struct line note = { 0 };
			char text[80];
			unsigned long lost = dropped;

			snprintf(text, sizeof(text), "%lu log lines were lost: the agent did not read them in time",
				 lost);
			json_begin(&note, NOMAD_LOG_WARN, text);
			json_end(&note);
			if (dropped == lost)
				dropped = 0;
			else
				goto out;
		}
		json_begin(&line, level, message);
		while (pairs && (key = va_arg(*pairs, const char *))) {
			const char *value = va_arg(*pairs, const char *);

			if (line.full)
				continue;
			put_key(&line, key);
			if (!line.full)
				put_string(&line, value);
		}
		json_end(&line);
	} else {
		put_text(&line, level_names[level]);
		put_text(&line, ": ");
		put_text(&line, message);
		while (pairs && (key = va_arg(*pairs, const char *))) {
			const char *value = va_arg(*pairs, const char *);

			put_text(&line, " ");
			put_text(&line, key);
			put_text(&line, "=");
			put_string(&line, value);
		}
		line.text[line.size++] = '\n';
		write_line(&line);
	}
out:
	pthread_mutex_unlock(&lock);
}

void nomad_log(enum nomad_log_level level, const char *fmt, ...)
{
	char message[LINE_MAX_BYTES];
	va_list args;

	if (level < threshold)
		return;
	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	emit(level, message, NULL);
}

void nomad_log_kv(enum nomad_log_level level, const char *message, ...)
{
	va_list pairs;

	va_start(pairs, message);
	emit(level, message, &pairs);
	va_end(pairs);
}
