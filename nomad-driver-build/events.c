/* SPDX-License-Identifier: MPL-2.0
 *
 * Task events.  The process of a task appends lines to a file; one thread
 * looks at the files of all running tasks and tells what is new.  How far it
 * came stands in a second file, so that the plugin's successor goes on there. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

enum { LOOK_EVERY_MS = 100, LINE_SIZE = 4200 };

struct file {
	char *id;
	int fd, mark_fd;
	off_t at;
	struct file *next;
};

struct build_events {
	struct nomad_plugin *plugin;
	pthread_mutex_t lock; /* all below, and the telling itself */
	pthread_cond_t changed;
	pthread_t thread;
	struct file *files;
	bool ending;
};

static void file_free(struct file *file)
{
	free(file->id);
	close(file->fd);
	if (file->mark_fd >= 0)
		close(file->mark_fd);
	free(file);
}

/* Under the lock. */
static void tell(struct build_events *events, struct file *file)
{
	char line[LINE_SIZE], *end;
	off_t before = file->at;
	ssize_t n;

	while ((n = pread(file->fd, line, sizeof(line) - 1, file->at)) > 0) {
		line[n] = 0;
		end = memchr(line, '\n', (size_t)n);
		if (!end && (size_t)n < sizeof(line) - 1)
			break; /* it is still being written */
		if (end)
			*end = 0;
		file->at += end ? end - line + 1 : n;
		(void)nomad_task_event_by_id(events->plugin, file->id, line);
	}
	if (file->at != before && file->mark_fd >= 0)
		(void)!pwrite(file->mark_fd, &file->at, sizeof(file->at), 0);
}

static void *run(void *arg)
{
	struct build_events *events = arg;
	struct timespec until;
	struct file *file;
	int64_t ns;

	pthread_mutex_lock(&events->lock);
	while (!events->ending) {
		for (file = events->files; file; file = file->next)
			tell(events, file);
		ns = nomad_monotonic_ns() + LOOK_EVERY_MS * INT64_C(1000000);
		until = (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
		if (events->files)
			pthread_cond_timedwait(&events->changed, &events->lock, &until);
		else
			pthread_cond_wait(&events->changed, &events->lock);
	}
	pthread_mutex_unlock(&events->lock);
	return NULL;
}

struct build_events *build_events_new(struct nomad_plugin *plugin)
{
	struct build_events *events = calloc(1, sizeof(*events));
	pthread_condattr_t attr;

	if (!events)
		return NULL;
	events->plugin = plugin;
	pthread_mutex_init(&events->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&events->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&events->thread, NULL, run, events)) {
		pthread_cond_destroy(&events->changed);
		pthread_mutex_destroy(&events->lock);
		free(events);
		return NULL;
	}
	return events;
}

void build_events_free(struct build_events *events)
{
	if (!events)
		return;
	pthread_mutex_lock(&events->lock);
	events->ending = true;
	pthread_cond_signal(&events->changed);
	pthread_mutex_unlock(&events->lock);
	pthread_join(events->thread, NULL);
	while (events->files) {
		struct file *file = events->files;

		events->files = file->next;
		file_free(file);
	}
	pthread_cond_destroy(&events->changed);
	pthread_mutex_destroy(&events->lock);
	free(events);
}

int build_events_follow(struct build_events *events, const char *id, const char *path)
{
	NOMAD_AUTO_FREE char *mark = nomad_strdupf("%s.told", path);
	struct file *file = calloc(1, sizeof(*file));

	if (!mark || !file) {
		free(file);
		return -ENOMEM;
	}
	*file = (struct file){ .id = strdup(id), .mark_fd = -1 };
	file->fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (!file->id || file->fd < 0) {
		int r = file->id ? -errno : -ENOMEM;

		free(file->id);
		if (file->fd >= 0)
			close(file->fd);
		free(file);
		return r;
	}
	file->mark_fd = open(mark, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file->mark_fd < 0 || pread(file->mark_fd, &file->at, sizeof(file->at), 0) != (ssize_t)sizeof(file->at) ||
	    file->at < 0)
		file->at = 0;
	pthread_mutex_lock(&events->lock);
	file->next = events->files;
	events->files = file;
	pthread_cond_signal(&events->changed);
	pthread_mutex_unlock(&events->lock);
	return 0;
}

void build_events_finish(struct build_events *events, const char *id)
{
	struct file **at, *file;

	pthread_mutex_lock(&events->lock);
	for (at = &events->files; *at && strcmp((*at)->id, id);)
		at = &(*at)->next;
	file = *at;
	if (file) {
		tell(events, file);
		*at = file->next;
		file_free(file);
	}
	pthread_mutex_unlock(&events->lock);
}
