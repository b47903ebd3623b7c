/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/testing.h: what the tests of this folder share: a task in a
 * temporary directory, waiting for its end, and a census of leftovers. */
#ifndef NOMAD_SUPERVISOR_TESTING_H
#define NOMAD_SUPERVISOR_TESTING_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/client.h"

struct task {
	struct nomad__loop *loop;
	struct nomad__supervisor *s;
	char dir[256], base[128];
	char title[128];
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int exits;
	struct nomad__supervisor_exit result;
	char notices[1024];
	int64_t lost_bytes;
	uint64_t oom_kills;
	struct nomad_command command;
	struct nomad__supervise what;
	struct nomad_map env;
	const char *argv[8];
	int descriptors;
};

static inline void on_exited(void *ud, const struct nomad__supervisor_exit *result)
{
	struct task *t = ud;

	pthread_mutex_lock(&t->lock);
	t->exits++;
	t->result = *result;
	pthread_cond_broadcast(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

static inline void on_notice(void *ud, const char *message, int64_t lost_bytes)
{
	struct task *t = ud;

	pthread_mutex_lock(&t->lock);
	t->lost_bytes += lost_bytes;
	snprintf(t->notices + strlen(t->notices), sizeof(t->notices) - strlen(t->notices), "%s\n", message);
	pthread_cond_broadcast(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

static inline void on_oom(void *ud, uint64_t kills)
{
	struct task *t = ud;

	pthread_mutex_lock(&t->lock);
	t->oom_kills += kills;
	pthread_mutex_unlock(&t->lock);
}

static int test_number; /* of the process that runs the test, not of one it forks */

static const struct nomad__supervisor_events test_events = { .exited = on_exited, .notice = on_notice, .oom = on_oom };

static inline int count_entries(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n - 2;
}

/* Without a loop: ThreadSanitizer takes no new thread after a fork of several. */
static inline void task_place(struct task *t)
{
	static const char template[] = "/tmp/nomad-supervisor-test-XXXXXX";

	if (!test_number)
		test_number = 100000 + getpid();
	memset(t, 0, sizeof(*t));
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->cond, NULL);
	t->descriptors = count_entries("/proc/self/fd");
	strcpy(t->base, template);
	assert_non_null(mkdtemp(t->base));
	snprintf(t->dir, sizeof(t->dir), "%s/t-%s", t->base, t->base + strlen(t->base) - 6);
	for (char *p = t->dir + strlen(t->base); *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p += 'a' - 'A';
	assert_int_equal(mkdir(t->dir, 0700), 0);
	snprintf(t->title, sizeof(t->title), "nomad-supervisor: test %s", t->base + strlen(t->base) - 6);
	assert_int_equal(nomad_map_set(&t->env, "PATH", "/usr/bin:/bin"), 0);
	t->command = (struct nomad_command){ .argv = t->argv };
	t->what = (struct nomad__supervise){
		.dir = t->dir,
		.title = t->title,
		.command = &t->command,
		.env = &t->env,
		.alloc_id = "00000000-0000-0000-0000-000000000000",
		.task_name = "test",
	};
}

static inline void task_init(struct task *t)
{
	task_place(t);
	assert_int_equal(nomad__loop_new(&t->loop), 0);
}

static inline int task_start_argv(struct task *t, const char *a0, const char *a1, const char *a2,
				  struct nomad_error **err)
{
	t->argv[0] = a0;
	t->argv[1] = a1;
	t->argv[2] = a1 ? a2 : NULL;
	t->argv[3] = NULL;
	return nomad__supervisor_start(t->loop, &t->what, &test_events, t, &t->s, err);
}

/* Others run this test at the same time: "sleep #17" becomes a number of our
 * own.  Valid until the next call. */
static inline const char *own_numbers(const char *script)
{
	static char buf[4096];
	size_t n = 0;

	for (; *script && n < sizeof(buf) - 32; script++) {
		if (*script != '#' || script[1] < '0' || script[1] > '9')
			buf[n++] = *script;
		else
			n += (size_t)snprintf(buf + n, 32, "%d", test_number);
	}
	buf[n] = 0;
	return buf;
}

static inline void task_sh(struct task *t, const char *script)
{
	struct nomad_error *err = NULL;

	if (task_start_argv(t, "/bin/sh", "-c", own_numbers(script), &err) < 0)
		fail_msg("start: %s", nomad_error_message(err));
}

static inline void task_wait(struct task *t)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	pthread_mutex_lock(&t->lock);
	while (!t->exits)
		if (pthread_cond_timedwait(&t->cond, &t->lock, &until))
			break;
	pthread_mutex_unlock(&t->lock);
	assert_int_equal(t->exits, 1);
}

/* Wait until `ok` holds, 30 s at most. */
#define wait_until(ok)                                                                                                 \
	do {                                                                                                           \
		bool held_ = false;                                                                                    \
		for (int i_ = 0; i_ < 3000 && !(held_ = (ok)); i_++)                                                   \
			usleep(10000);                                                                                 \
		if (!held_)                                                                                            \
			fail_msg("waited 30 s for: %s", #ok);                                                          \
	} while (0)

/* Is the name of the task's directory anywhere among the processes or cgroups? */
static inline bool process_with(const char *text)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d))) {
		char path[PATH_MAX], buf[4096];
		int fd;
		ssize_t n;

		if (e->d_name[0] < '0' || e->d_name[0] > '9' || atoi(e->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));
		if (fd >= 0)
			close(fd);
		found = n > 0 && memmem(buf, (size_t)n, text, strlen(text));
	}
	if (d)
		closedir(d);
	return found;
}

/* One that sleeps for our number. */
static inline bool sleeps(const char *number)
{
	return process_with(own_numbers(number));
}

static inline bool cgroup_with(const char *name)
{
	static const char *const hierarchies[] = {
		"", "/unified", "/systemd", "/freezer", "/memory", "/cpu", "/cpuacct", "/pids", "/cpu,cpuacct",
	};
	char path[PATH_MAX];

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(hierarchies); i++) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/nomad-drivers/%s", hierarchies[i], name);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

static inline const char *task_tag(const struct task *t)
{
	return strrchr(t->dir, '/') + 1;
}

/* Clean, and prove that nothing is left. */
static inline void task_done(struct task *t)
{
	struct nomad_error *err = NULL;
	char command[PATH_MAX + 16];

	nomad__supervisor_free(t->s);
	t->s = NULL;
	if (nomad__supervisor_clean(t->dir, &err) < 0)
		fail_msg("clean: %s", nomad_error_message(err));
	assert_int_equal(nomad__supervisor_clean(t->dir, NULL), 0);
	assert_int_equal(count_entries(t->dir), 0);
	wait_until(!process_with(t->title));
	assert_false(process_with(t->base));
	assert_false(cgroup_with(task_tag(t)));
	nomad__loop_free(t->loop);
	nomad_map_done(&t->env);
	snprintf(command, sizeof(command), "rm -rf '%s'", t->base);
	assert_int_equal(system(command), 0);
	/* The program in memory stays. */
	assert_true(count_entries("/proc/self/fd") <= t->descriptors + 1);
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->cond);
}

#endif
