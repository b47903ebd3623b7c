/* SPDX-License-Identifier: MPL-2.0 */
#include "kmsg.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/tree.h"
#include "log.h"
#include "loop.h"
#include "util.h"

#define NOTICE 5
#define PSTORE "/sys/fs/pstore"
#define PER_TURN 64
#define PAUSE_MS 1000
#define CRASH_MAX (1u << 20)
#define CRASHES_MAX 32

static int kmsg = -1;
static struct loop_timer pause_timer;

/* "6,339,5140900,-;text\n KEY=value\n": priority with facility, number, microseconds. */
const char *kmsg_parse(const char *record, size_t len, size_t *ret_len)
{
	const char *text = memchr(record, ';', len), *end;
	unsigned long priority = strtoul(record, NULL, 10);

	if (!text || priority >> 3 != 0 || priority > NOTICE)
		return NULL;
	text++;
	end = memchr(text, '\n', len - (size_t)(text - record));
	*ret_len = (size_t)((end ? end : record + len) - text);
	return text;
}

static void on_message(void *data);

/* A storm of messages, perhaps about the very disk that they are written to, must not keep us busy. */
static void on_pause_end(void *data)
{
	(void)data;
	if (loop_watch(kmsg, on_message, NULL) < 0)
		loop_timer_set(&pause_timer, PAUSE_MS);
}

static void on_message(void *data)
{
	char record[2048];
	const char *text;
	size_t len = 0;
	ssize_t n;
	int turn;

	(void)data;
	for (turn = 0; turn < PER_TURN; turn++) {
		n = read(kmsg, record, sizeof(record) - 1);
		/* EPIPE: some were overwritten before we came. */
		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0)
			return;
		record[n] = '\0';
		text = kmsg_parse(record, (size_t)n, &len);
		if (text)
			log_to_ring("kernel", text, len);
	}
	loop_unwatch(kmsg);
	loop_timer_set(&pause_timer, PAUSE_MS);
}

void kmsg_follow(void)
{
	pause_timer.fn = on_pause_end;
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kmsg < 0 || loop_watch(kmsg, on_message, NULL) < 0)
		log_warn("cannot keep the kernel's messages: %s", strerror(errno));
}

void kmsg_keep_crashes(const char *folder)
{
	char from[300], to[400], *text;
	struct dirent *d;
	DIR *dir;
	size_t len;
	int n = 0;

	mount("pstore", PSTORE, "pstore", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	dir = opendir(PSTORE);
	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(from, sizeof(from), PSTORE "/%s", d->d_name);
		if (util_read_alloc(from, CRASH_MAX, &text, &len) < 0)
			continue;
		/* The firmware's room is small, so the latest crash's are kept whatever was there before. */
		if (n == 0)
			nomad__remove_tree(folder);
		snprintf(to, sizeof(to), "%s/%s", folder, d->d_name);
		if (nomad__make_dirs(folder, 0755) == 0 && util_replace_file(to, text, len, 0640) == 0 &&
		    n < CRASHES_MAX) {
			unlink(from);
			n++;
		}
		free(text);
	}
	if (dir)
		closedir(dir);
	if (n > 0)
		log_warn("the kernel crashed before this boot: %d records of it are in '%s'", n, folder);
}
