/* SPDX-License-Identifier: MPL-2.0 */
#include "core/task.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "core/plugin.h"
#include "core/task_journal.h"
#include "core/task_network.h"
#include "core/task_progress.h"
#include "schema/schema.h"

enum { TRIM_EACH = 64 }; /* tasks */

/* name-alloc-hash: readable, and unique by a hash of the whole id. */
char *nomad__slug(const char *id)
{
	const char *slash = strchr(id, '/'), *name = slash ? slash + 1 : id, *name_end = strrchr(name, '/');
	uint64_t hash = nomad_hash64(id, strlen(id));
	char text[24];
	size_t n = 0;

	for (const char *p = name; *p && p != name_end && n < 20; p++) {
		char c = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;

		if ((c >= 'a' && c <= 'z') || (n && c >= '0' && c <= '9'))
			text[n++] = c;
		else if (n && text[n - 1] != '-')
			text[n++] = '-';
	}
	while (n && text[n - 1] == '-')
		n--;
	if (!n)
		text[n++] = 't';
	text[n] = 0;
	/* The alloc id's first part, for people, as far as it is one. */
	n = slash ? strspn(id, "0123456789abcdef") : 0;
	if (n < 8)
		return nomad_strdupf("%s-%016llx", text, (unsigned long long)hash);
	return nomad_strdupf("%s-%.8s-%016llx", text, id, (unsigned long long)hash);
}

static char *or_empty(char *s)
{
	return s ? s : strdup("");
}

int nomad__task_new(struct nomad_plugin *plugin, struct nomad_task_info *take_info, struct nomad_task **ret,
		    struct nomad_error **err)
{
	struct nomad_task *task = calloc(1, sizeof(*task));
	struct nomad_task_info *info;

	if (!task) {
		nomad__task_info_done(take_info);
		return nomad_error_errno(err, ENOMEM, "add the task");
	}
	task->refs = 1;
	task->plugin = plugin;
	task->info = *take_info;
	*take_info = (struct nomad_task_info){ 0 };
	pthread_mutex_init(&task->busy, NULL);
	task->journal = nomad__task_journal_new();
	task->network = nomad__task_network_new();
	task->progress = nomad__task_progress_new();

	info = &task->info;
	info->id = or_empty(info->id);
	info->name = or_empty(info->name);
	info->alloc_id = or_empty(info->alloc_id);
	info->task_group_name = or_empty(info->task_group_name);
	info->job_id = or_empty(info->job_id);
	info->job_name = or_empty(info->job_name);
	info->namespace_name = or_empty(info->namespace_name);
	info->node_id = or_empty(info->node_id);
	info->node_name = or_empty(info->node_name);
	info->alloc_dir = or_empty(info->alloc_dir);
	if (info->id && info->alloc_dir && info->name) {
		task->slug = nomad__slug(info->id);
		task->dir = nomad_strdupf("%s/%s", info->alloc_dir, info->name);
		task->local_dir = nomad_strdupf("%s/%s/local", info->alloc_dir, info->name);
		task->secrets_dir = nomad_strdupf("%s/%s/secrets", info->alloc_dir, info->name);
		task->shared_dir = nomad_strdupf("%s/alloc", info->alloc_dir);
		if (task->slug)
			task->state_dir = nomad_strdupf("%s/tasks/%s", nomad_plugin_state_dir(plugin), task->slug);
	}
	if (!task->journal || !task->network || !task->progress || !task->slug || !task->dir || !task->local_dir ||
	    !task->secrets_dir || !task->shared_dir || !task->state_dir || !info->alloc_id || !info->task_group_name ||
	    !info->job_id || !info->job_name || !info->namespace_name || !info->node_id || !info->node_name) {
		nomad__task_unref(task);
		return nomad_error_errno(err, ENOMEM, "add the task");
	}
	if (!*info->id || strlen(info->id) > 1024) {
		nomad__task_unref(task);
		return nomad_error_set(err, EINVAL, "add the task: its id is empty or longer than 1024 bytes");
	}
	*ret = task;
	return 0;
}

struct nomad_task *nomad__task_ref(struct nomad_task *task)
{
	__atomic_add_fetch(&task->refs, 1, __ATOMIC_RELAXED);
	return task;
}

bool nomad__task_ref_if_alive(struct nomad_task *task)
{
	int refs = __atomic_load_n(&task->refs, __ATOMIC_RELAXED);

	while (refs > 0)
		if (__atomic_compare_exchange_n(&task->refs, &refs, refs + 1, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return true;
	return false;
}

void nomad__task_unref(struct nomad_task *task)
{
	if (!task || __atomic_sub_fetch(&task->refs, 1, __ATOMIC_ACQ_REL))
		return;
	nomad__task_progress_free(task->progress);
	nomad__task_journal_free(task->journal);
	nomad__task_network_free(task->network);
	if (task->config)
		nomad__config_free(task->plugin->driver->task_schema, task->config);
	free(task->stored_config);
	nomad__task_info_done(&task->info);
	free(task->slug);
	free(task->dir);
	free(task->local_dir);
	free(task->secrets_dir);
	free(task->shared_dir);
	free(task->state_dir);
	pthread_mutex_destroy(&task->busy);
	free(task);
}

void nomad__task_settled(struct nomad_task *task)
{
	static unsigned count;

	if (task->plugin->driver->capabilities & NOMAD_ALL_REMOTE)
		nomad_map_done(&task->info.env);
	if (__atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) % TRIM_EACH == 0)
		nomad__memory_trim();
}

const struct nomad_task_info *nomad_task_info(const struct nomad_task *task)
{
	return &task->info;
}

const char *nomad_task_id(const struct nomad_task *task)
{
	return task->info.id;
}

const void *nomad_task_config(const struct nomad_task *task)
{
	return task->config;
}

const char *nomad_task_slug(const struct nomad_task *task)
{
	return task->slug;
}

const char *nomad_task_dir(const struct nomad_task *task)
{
	return task->dir;
}

const char *nomad_task_local_dir(const struct nomad_task *task)
{
	return task->local_dir;
}

const char *nomad_task_secrets_dir(const struct nomad_task *task)
{
	return task->secrets_dir;
}

const char *nomad_task_shared_dir(const struct nomad_task *task)
{
	return task->shared_dir;
}

const char *nomad_task_state_dir(const struct nomad_task *task)
{
	return task->state_dir;
}

struct nomad_plugin *nomad_task_plugin(const struct nomad_task *task)
{
	return task->plugin;
}
