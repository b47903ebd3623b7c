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

#include "core/plugin.h"
#include "supervisor/records.h"

/* A directory without a journal may be a start that just makes it. */
#define BIRTH_NS INT64_C(60000000000)
/* From one collection to the next, at least. */
#define GC_INTERVAL_S INT64_C(900)

static const struct {
	const char *name;
	enum nomad__metric leaks;
} states[] = {
	[NOMAD__DISK_STARTING] = { "starting", NOMAD__LEAKS_STARTING },
	[NOMAD__DISK_HALF_MADE] = { "half-made", NOMAD__LEAKS_HALF_MADE },
	[NOMAD__DISK_RUNNING] = { "running", NOMAD__LEAKS_RUNNING },
	[NOMAD__DISK_REMOTE] = { "remote", NOMAD__LEAKS_REMOTE },
	[NOMAD__DISK_EXITED] = { "exited", NOMAD__LEAKS_EXITED },
	[NOMAD__DISK_LOST] = { "lost", NOMAD__LEAKS_LOST },
	[NOMAD__DISK_DESTROYING] = { "destroying", NOMAD__LEAKS_DESTROYING },
};

const char *nomad__disk_state_name(enum nomad__disk_state state)
{
	return states[state].name;
}

static void done(struct nomad__disk_task *task)
{
	free(task->slug);
	nomad_map_done(&task->record);
	*task = (struct nomad__disk_task){ 0 };
}

void nomad__tasks_on_disk_free(struct nomad__disk_task *tasks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		done(&tasks[i]);
	free(tasks);
}

/* ---- One task ---- */

static void look_at_supervisor(int dirfd, struct nomad__disk_task *task, bool this_boot)
{
	struct nomad__supervisor_exit end;
	struct nomad__identity who;

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
	if (!task->claimed && flock(dirfd, LOCK_EX | LOCK_NB) < 0)
		task->alive = true;
	if (nomad__exit_read(dirfd, &end) == 0) {
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

/* 0; -ENOENT: it is not there (any more).  With `ret_record` the journal stays open, and claimed unless ret->claimed.
 */
static int look(struct nomad_plugin *plugin, const char *slug, struct nomad__disk_task *ret,
		struct nomad__journal *ret_record)
{
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s/tasks/%s", plugin->state_dir, slug);
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/tasks/%s/task", plugin->state_dir, slug);
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
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/tasks", plugin->state_dir);
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
		r = look(plugin, entry->d_name, &tasks[count], NULL);
		if (r >= 0)
			count++;
		else if (r != -ENOMEM) /* it went, or is not ours to read */
			r = 0;
	}
	if (dir)
		closedir(dir);
	if (r < 0) {
		nomad__tasks_on_disk_free(tasks, count);
		return nomad_error_errno(err, -r, "list the tasks in '%s'", path ? path : plugin->state_dir);
	}
	if (count)
		qsort(tasks, count, sizeof(*tasks), by_age);
	*ret = tasks;
	*ret_count = count;
	return 0;
}

/* ---- What nobody claims ---- */

static bool is_node_of_ours(struct nomad_plugin *plugin, const char *node)
{
	bool found = false;

	pthread_mutex_lock(&plugin->lock);
	for (size_t i = 0; node && *node && !found && i < NOMAD__BUCKETS; i++)
		for (const struct nomad_task *task = plugin->tasks[i]; task && !found; task = task->next)
			found = strcmp(task->info.node_id, node) == 0;
	pthread_mutex_unlock(&plugin->lock);
	return found;
}

/* What lived unclaimed at an earlier look, a grace time ago or more, and does
 * so again.  `seen` becomes what the next look compares with. */
static bool is_orphan(struct nomad_plugin *plugin, const struct nomad__disk_task *task, struct nomad_map *seen)
{
	const char *before = nomad_map_get(&plugin->orphans, task->slug);
	int64_t now = nomad_monotonic_ns(), since = now, made = 0;
	char text[64];

	if (!is_node_of_ours(plugin, nomad_map_get(&task->record, "node")))
		return false;
	/* Another run of the same id is another task. */
	if (before && sscanf(before, "%" SCNd64 " %" SCNd64, &since, &made) == 2 && made != task->since_ns)
		since = now;
	snprintf(text, sizeof(text), "%" PRId64 " %" PRId64, since, task->since_ns);
	if (nomad_map_set(seen, task->slug, text) < 0)
		return false;
	return before && made == task->since_ns &&
	       now - since >= nomad__library_config(plugin)->gc_grace_s * 1000000000;
}

static bool is_garbage(struct nomad_plugin *plugin, const struct nomad__disk_task *task, unsigned flags,
		       struct nomad_map *seen)
{
	const char *id = nomad_map_get(&task->record, "id"), *boot = nomad_map_get(&task->record, "boot");
	struct nomad_task *known = id ? nomad__task_find(plugin, id) : NULL;

	nomad__task_unref(known);
	if (known || task->claimed || task->foreign)
		return false;
	if (task->state == NOMAD__DISK_DESTROYING)
		return true;
	if ((flags & NOMAD__GC_RUNNING) && task->state == NOMAD__DISK_RUNNING)
		return true;
	if (task->state == NOMAD__DISK_RUNNING || task->state == NOMAD__DISK_REMOTE)
		return !(flags & NOMAD__GC_BY_HAND) && is_orphan(plugin, task, seen);
	if (task->alive)
		return false;
	if (!id)
		return nomad_wall_ns() - task->since_ns > BIRTH_NS;
	if (boot && strcmp(boot, plugin->boot_id) != 0)
		return true;
	if (task->state == NOMAD__DISK_EXITED)
		return (flags & NOMAD__GC_BY_HAND) || is_node_of_ours(plugin, nomad_map_get(&task->record, "node"));
	return task->state == NOMAD__DISK_LOST || task->state == NOMAD__DISK_HALF_MADE;
}

static int remove_one(struct nomad_plugin *plugin, const struct nomad__disk_task *task,
		      struct nomad__journal *take_record, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s/tasks/%s", plugin->state_dir, task->slug);
	const char *id = nomad_map_get(&task->record, "id");
	NOMAD_AUTO_FREE char *slug = id ? nomad__slug(id) : NULL;
	int r;

	if (slug && strcmp(slug, task->slug) == 0)
		return nomad__task_destroy_recorded(plugin, id, take_record, err);
	/* No driver could find anything by it. */
	r = dir ? nomad__supervisor_clean(dir, err) : nomad_error_errno(err, ENOMEM, "remove '%s'", task->slug);
	if (r >= 0) {
		r = nomad__remove_tree(dir);
		if (r < 0)
			nomad_error_errno(err, -r, "remove '%s'", dir);
	}
	nomad__journal_close(take_record);
	return r;
}

static pthread_mutex_t gc_lock = PTHREAD_MUTEX_INITIALIZER; /* before all others: one gc at a time */

int nomad__gc(struct nomad_plugin *plugin, unsigned flags,
	      void (*removed)(void *ud, const struct nomad__disk_task *task, const struct nomad_error *err), void *ud,
	      struct nomad_error **err)
{
	struct nomad__disk_task *tasks = NULL;
	struct nomad_map seen = { 0 };
	size_t count = 0;
	int r;

	pthread_mutex_lock(&gc_lock);
	r = nomad__tasks_on_disk(plugin, &tasks, &count, err);

	for (size_t i = 0; r >= 0 && i < count; i++) {
		NOMAD_AUTO_ERROR struct nomad_error *why = NULL;
		struct nomad__journal record = NOMAD__JOURNAL_INIT;
		struct nomad__disk_task task;

		/* Again, and this time with the claim in hand. */
		if (!is_garbage(plugin, &tasks[i], flags, &seen) || look(plugin, tasks[i].slug, &task, &record) < 0)
			continue;
		if (is_garbage(plugin, &task, flags, &seen)) {
			if (!(flags & NOMAD__GC_DRY_RUN))
				(void)remove_one(plugin, &task, &record, &why);
			removed(ud, &task, why);
		}
		nomad__journal_close(&record);
		done(&task);
	}
	nomad__tasks_on_disk_free(tasks, count);
	if (!(flags & NOMAD__GC_BY_HAND)) {
		nomad_map_done(&plugin->orphans);
		plugin->orphans = seen;
	} else {
		nomad_map_done(&seen);
	}
	pthread_mutex_unlock(&gc_lock);
	return r;
}

/* ---- By itself ---- */

static void log_removed(void *ud, const struct nomad__disk_task *task, const struct nomad_error *err)
{
	struct nomad__metrics *metrics = ud;

	nomad__metric_add(metrics, states[task->state].leaks, 1);
	nomad__metric_add(metrics, err ? NOMAD__LEAKS_LEFT : NOMAD__LEAKS_REMOVED, 1);
	nomad_log_kv(err ? NOMAD_LOG_WARN : NOMAD_LOG_INFO,
		     err ? "cannot clear away a task that nobody claims" : "cleared away a task that nobody claims",
		     "task_id", nomad_map_get(&task->record, "id"), "state", nomad__disk_state_name(task->state),
		     "directory", task->slug, err ? "error" : NULL, err ? nomad_error_message(err) : NULL, NULL);
}

static void gc_job(void *ud)
{
	struct nomad_plugin *plugin = ud;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	bool shut_down;

	pthread_mutex_lock(&plugin->lock);
	shut_down = plugin->shut_down;
	pthread_mutex_unlock(&plugin->lock);
	if (shut_down)
		return;
	nomad__metric_add(plugin->metrics, NOMAD__GC_RUNS, 1);
	if (nomad__gc(plugin, 0, log_removed, plugin->metrics, &err) < 0)
		nomad_log_kv(NOMAD_LOG_WARN, "cannot look for what nobody claims", "error", nomad_error_message(err),
			     NULL);
}

static int64_t gc_interval_ns(struct nomad_plugin *plugin)
{
	int64_t grace_s = nomad__library_config(plugin)->gc_grace_s;

	return (grace_s > GC_INTERVAL_S ? grace_s : GC_INTERVAL_S) * 1000000000;
}

static void gc_fire(void *ud)
{
	struct nomad_plugin *plugin = ud;

	(void)!nomad__work(plugin, gc_job, plugin);
	nomad__timer_set(plugin->gc_timer, gc_interval_ns(plugin));
}

static void gc_arm(void *ud)
{
	struct nomad_plugin *plugin = ud;

	if (nomad__timer_new(plugin->loop, gc_fire, plugin, &plugin->gc_timer) == 0)
		nomad__timer_set(plugin->gc_timer, nomad__library_config(plugin)->gc_grace_s * 1000000000);
}

void nomad__gc_schedule(struct nomad_plugin *plugin)
{
	if (plugin->final && nomad__library_config(plugin)->gc_grace_s > 0)
		(void)nomad__loop_post(plugin->loop, gc_arm, plugin);
}
