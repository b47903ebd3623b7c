/* SPDX-License-Identifier: MPL-2.0 */
#include "core/tasks_on_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/journal.h"
#include "core/plugin.h"
#include "supervisor/records.h"

const char *nomad__disk_state_name(enum nomad__disk_state state)
{
	static const char *const names[] = { "starting", "half-made", "running",   "remote",
					     "exited",	 "lost",      "destroying" };

	return names[state];
}

void nomad__disk_task_done(struct nomad__disk_task *task)
{
	free(task->slug);
	nomad_map_done(&task->record);
	*task = (struct nomad__disk_task){ 0 };
}

void nomad__tasks_on_disk_free(struct nomad__disk_task *tasks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		nomad__disk_task_done(&tasks[i]);
	free(tasks);
}

/* ---- One task ---- */

static void look_at_claim(struct nomad__disk_task *task)
{
	const char *text = task->claimed ? nomad_map_get(&task->record, "claim") : NULL;

	if (!text || sscanf(text, "%d %" SCNd64 " %7s", &task->claim_pid, &task->claim_since_ns, task->claim_by) != 3)
		*task->claim_by = 0;
}

static void look_at_supervisor(int dirfd, struct nomad__disk_task *task, bool this_boot)
{
	struct nomad__supervisor_exit end;
	struct nomad__identity who;
	bool locked = false;

	if (nomad__identity_read(dirfd, &who) == 0 && who.this_boot &&
	    nomad__process_lives(&who.of[NOMAD__SUPERVISOR])) {
		task->alive = true;
		task->supervisor_pid = who.of[NOMAD__SUPERVISOR].pid;
		if (nomad__process_lives(&who.of[NOMAD__LEADER]))
			task->leader_pid = who.of[NOMAD__LEADER].pid;
		else if (nomad__process_lives(&who.of[NOMAD__MAIN]))
			task->leader_pid = who.of[NOMAD__MAIN].pid;
	}
	/* One that is about to be born, or somebody who cleans.  Not for what is
	 * claimed: a supervisor that finds the lock taken gives up. */
	if (!task->claimed)
		locked = flock(dirfd, LOCK_EX | LOCK_NB) == 0;
	if (!task->claimed && !locked)
		task->alive = true;
	if (nomad__exit_read(dirfd, &end) == 0) {
		if (locked) /* it only waits for readers of the logs, and that ends with the record */
			task->alive = false;
		task->state = NOMAD__DISK_EXITED;
		task->exit_code = end.exit_code;
		task->signal = end.signal;
		task->leader_pid = 0;
	} else if (!this_boot && !nomad__journal_is_remote(&task->record)) {
		task->state = NOMAD__DISK_LOST;
	} else if (!nomad_map_get(&task->record, "started")) {
		task->state = task->claimed ? NOMAD__DISK_STARTING : NOMAD__DISK_HALF_MADE;
	} else if (!nomad_map_get(&task->record, "supervised")) {
		task->state = NOMAD__DISK_REMOTE;
	} else {
		task->state = task->alive ? NOMAD__DISK_RUNNING : NOMAD__DISK_LOST;
	}
	if (nomad_map_get(&task->record, "destroying"))
		task->state = NOMAD__DISK_DESTROYING;
}

int nomad__task_on_disk(struct nomad_plugin *plugin, const char *slug, struct nomad__disk_task *ret,
			struct nomad__journal *ret_record)
{
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s/tasks/%s", nomad_plugin_state_dir(plugin), slug);
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/tasks/%s/task", nomad_plugin_state_dir(plugin), slug);
	struct nomad__disk_task task = { .slug = strdup(slug) };
	struct nomad__journal record = NOMAD__JOURNAL_INIT;
	NOMAD_AUTO_FD int dirfd = dir ? nomad__task_dir_open(dir) : -ENOMEM;
	const char *boot, *driver, *time;
	struct stat st;
	int r;

	if (!dir || !path || !task.slug || dirfd < 0 || fstat(dirfd, &st) < 0) {
		free(task.slug);
		return dirfd == -ENOTDIR ? -ENOENT : dirfd < 0 ? dirfd : -ENOMEM;
	}
	task.since_ns = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
	r = nomad__journal_open(&record, path, false, NULL);
	/* What cannot be read now may say anything.  What never can be, or is not there, says nothing. */
	if (r < 0 && r != -ENOENT && r != -EFBIG && r != -ELOOP) {
		free(task.slug);
		return r;
	}
	if (r >= 0) {
		r = nomad__journal_claim(&record, 0);
		if (r == -ESTALE) {
			nomad__journal_close(&record);
			free(task.slug);
			return -ENOENT;
		}
		task.claimed = r < 0;
		if (nomad_map_copy(&task.record, &record.map) < 0) {
			nomad__journal_close(&record);
			free(task.slug);
			return -ENOMEM;
		}
	}
	boot = nomad_map_get(&task.record, "boot");
	driver = nomad_map_get(&task.record, "driver");
	time = nomad_map_get(&task.record, "time");
	task.foreign = driver && strcmp(driver, plugin->driver->name) != 0;
	if (time)
		task.since_ns = strtoll(time, NULL, 10);
	look_at_claim(&task);
	look_at_supervisor(dirfd, &task, !boot || strcmp(boot, plugin->boot_id) == 0);
	if (ret_record)
		*ret_record = record;
	else
		nomad__journal_close(&record);
	*ret = task;
	return 0;
}

/* ---- All ---- */

static int by_age(const void *a, const void *b)
{
	const struct nomad__disk_task *x = a, *y = b;

	return x->since_ns < y->since_ns ? -1 : x->since_ns > y->since_ns ? 1 : strcmp(x->slug, y->slug);
}

int nomad__tasks_on_disk(struct nomad_plugin *plugin, struct nomad__disk_task **ret, size_t *ret_count,
			 struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/tasks", nomad_plugin_state_dir(plugin));
	struct nomad__disk_task *tasks = NULL, *grown;
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;
	size_t count = 0;
	int r = path ? 0 : -ENOMEM;

	if (path && !dir && errno != ENOENT)
		return nomad_error_errno(err, errno, "list the tasks in '%s'", path);
	while (r >= 0 && dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		grown = reallocarray(tasks, count + 1, sizeof(*tasks));
		if (!grown) {
			r = -ENOMEM;
			break;
		}
		tasks = grown;
		r = nomad__task_on_disk(plugin, entry->d_name, &tasks[count], NULL);
		if (r >= 0)
			count++;
		else if (r != -ENOMEM) /* it went, or is not ours to read */
			r = 0;
	}
	if (dir)
		closedir(dir);
	if (r < 0) {
		nomad__tasks_on_disk_free(tasks, count);
		return nomad_error_errno(err, -r, "list the tasks in '%s'",
					 path ? path : nomad_plugin_state_dir(plugin));
	}
	if (count)
		qsort(tasks, count, sizeof(*tasks), by_age);
	*ret = tasks;
	*ret_count = count;
	return 0;
}
