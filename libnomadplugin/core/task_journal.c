/* SPDX-License-Identifier: MPL-2.0
 *
 * A driver's keys are next to the library's own, with the prefix "x.". */
#include "core/task_journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/tree.h"
#include "core/options.h"
#include "core/plugin.h"

enum {
	/* Another plugin may just be ending, or collecting garbage. */
	START_PATIENCE_MS = 2000,
	RECOVER_PATIENCE_MS = 300,
	OPEN_ATTEMPTS = 20,
};

struct nomad__task_journal {
	pthread_mutex_t lock;
	struct nomad__journal journal;
};

struct nomad__task_journal *nomad__task_journal_new(void)
{
	struct nomad__task_journal *own = malloc(sizeof(*own));

	if (!own)
		return NULL;
	*own = (struct nomad__task_journal){ .journal = NOMAD__JOURNAL_INIT };
	pthread_mutex_init(&own->lock, NULL);
	return own;
}

void nomad__task_journal_free(struct nomad__task_journal *own)
{
	if (!own)
		return;
	nomad__journal_close(&own->journal);
	pthread_mutex_destroy(&own->lock);
	free(own);
}

static int make_state_dir(const struct nomad_task *task, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *tasks = nomad_strdupf("%s/tasks", nomad_plugin_state_dir(task->plugin));
	int r = tasks ? nomad__make_dirs(nomad_plugin_state_dir(task->plugin), 0700) : -ENOMEM;

	if (r >= 0)
		r = nomad__make_dirs(tasks, 0700);
	if (r >= 0)
		r = nomad__make_dirs(task->state_dir, 0700);
	return r < 0 ? nomad_error_errno(err, -r, "create the task's state directory '%s'", task->state_dir) : 0;
}

/* For `ps`: whose the claim is. */
static void claim_text(struct nomad_task *task, char *text, size_t size)
{
	struct nomad__node node;

	snprintf(text, size, "%d %lld %s", (int)getpid(), (long long)nomad_wall_ns(),
		 nomad__options_node(task->plugin, &node) ? "agent" : "run");
}

int nomad__task_journal_open(struct nomad_task *task, bool create, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/task", task->state_dir);
	struct nomad__journal journal;
	int r;

	if (!path)
		return nomad_error_errno(err, ENOMEM, "open the task's record");
	for (int i = 0;; i++) {
		r = create ? make_state_dir(task, err) : 0;
		if (r >= 0)
			r = nomad__journal_open(&journal, path, create, err);
		if (r < 0)
			return r;
		r = nomad__journal_claim(&journal, create ? START_PATIENCE_MS : RECOVER_PATIENCE_MS);
		if (r == -EWOULDBLOCK && !create) {
			nomad_log_kv(NOMAD_LOG_WARN, "another instance of this driver also holds the task", "task_id",
				     task->info.id, NULL);
			r = 0;
		} else if (r == 0 && nomad_map_get(&journal.map, "id")) { /* else it is new: the identity comes first */
			char claim[64];

			claim_text(task, claim, sizeof(claim));
			(void)nomad__journal_note(&journal, "claim", claim, NULL);
		}
		if (r == 0) {
			nomad__task_journal_adopt(task, &journal);
			return 0;
		}
		nomad__journal_close(&journal);
		if (r != -ESTALE || i >= OPEN_ATTEMPTS)
			break;
	}
	if (r == -EWOULDBLOCK)
		return nomad_error_set(err, EBUSY, "another running instance of this driver holds the task");
	return nomad_error_errno(err, -r, "claim the task's record '%s'", path);
}

void nomad__task_journal_adopt(struct nomad_task *task, struct nomad__journal *take_journal)
{
	struct nomad__task_journal *own = task->journal;

	pthread_mutex_lock(&own->lock);
	nomad__journal_close(&own->journal);
	own->journal = *take_journal;
	pthread_mutex_unlock(&own->lock);
	*take_journal = (struct nomad__journal)NOMAD__JOURNAL_INIT;
}

void nomad__task_journal_close(struct nomad_task *task)
{
	struct nomad__journal none = NOMAD__JOURNAL_INIT;

	nomad__task_journal_adopt(task, &none);
}

const char *nomad__task_fact(struct nomad_task *task, const char *key)
{
	const char *value;

	pthread_mutex_lock(&task->journal->lock);
	value = nomad_map_get(&task->journal->journal.map, key);
	pthread_mutex_unlock(&task->journal->lock);
	return value;
}

bool nomad__task_is_remote(struct nomad_task *task)
{
	bool remote;

	pthread_mutex_lock(&task->journal->lock);
	remote = nomad__journal_is_remote(&task->journal->journal.map);
	pthread_mutex_unlock(&task->journal->lock);
	return remote;
}

static int record(struct nomad_task *task, const char *key, const char *value, bool durable, struct nomad_error **err)
{
	int r;

	pthread_mutex_lock(&task->journal->lock);
	r = durable ? nomad__journal_put(&task->journal->journal, key, value, err)
		    : nomad__journal_note(&task->journal->journal, key, value, err);
	pthread_mutex_unlock(&task->journal->lock);
	return r;
}

int nomad__task_record_identity(struct nomad_task *task, struct nomad_error **err)
{
	const struct nomad_task_info *info = &task->info;
	struct nomad__task_journal *own = task->journal;
	char cpu[24], memory[24], now[24], claim[64];
	const struct {
		const char *key, *value;
	} facts[] = {
		{ "driver", task->plugin->driver->name },
		{ "time", now },
		{ "cpu", cpu },
		{ "memory", memory },
		{ "id", info->id },
		{ "alloc", info->alloc_id },
		{ "name", info->name },
		{ "node", info->node_id },
		{ "job", info->job_id },
		{ "namespace", info->namespace_name },
		{ "dir", info->alloc_dir },
		{ "boot", task->plugin->boot_id },
		{ "claim", claim },
	};
	int r = 0;

	claim_text(task, claim, sizeof(claim));
	snprintf(now, sizeof(now), "%lld", (long long)nomad_wall_ns());
	snprintf(cpu, sizeof(cpu), "%lld", (long long)info->resources.cpu_shares);
	snprintf(memory, sizeof(memory), "%lld", (long long)info->resources.memory_limit_bytes);
	pthread_mutex_lock(&own->lock);
	for (size_t i = 0; r >= 0 && i < NOMAD_ARRAY_LEN(facts); i++)
		r = nomad_map_set(&own->journal.map, facts[i].key, facts[i].value);
	r = r < 0 ? nomad_error_errno(err, ENOMEM, "write the task's record")
		  : nomad__journal_put_all(&own->journal, err);
	pthread_mutex_unlock(&own->lock);
	return r;
}

int nomad__task_record_supervised(struct nomad_task *task, struct nomad_error **err)
{
	return record(task, "supervised", "1", false, err);
}

/* What runs elsewhere does not end with a boot of this host: its word is
 * waited for.  A supervisor and its task do, and so may what we say of them. */
int nomad__task_record_started(struct nomad_task *task, struct nomad_error **err)
{
	bool supervised = nomad__task_fact(task, "supervised");

	return record(task, "started", supervised ? "1" : NOMAD__STARTED_REMOTE, !supervised, err);
}

void nomad__task_record_destroying(struct nomad_task *task)
{
	if (!nomad__task_fact(task, "destroying"))
		(void)record(task, "destroying", "1", !nomad__task_fact(task, "supervised"), NULL);
}

int nomad__task_record_network(struct nomad_task *task, const char *text)
{
	struct nomad__task_journal *own = task->journal;
	int r = 0;

	pthread_mutex_lock(&own->lock);
	if (own->journal.fd >= 0)
		r = nomad__journal_put(&own->journal, "network", text, NULL);
	pthread_mutex_unlock(&own->lock);
	return r;
}

/* ---- A driver's records ---- */

static int driver_key(char buffer[80], const char *key)
{
	int n = snprintf(buffer, 80, "x.%s", key);

	return n < 0 || n >= 64 ? -EINVAL : 0;
}

int nomad_task_put(struct nomad_task *task, const char *key, const char *value, struct nomad_error **err)
{
	char name[80];

	if (driver_key(name, key) < 0)
		return nomad_error_set(err, EINVAL, "write the task's record: key '%s': too long", key);
	return record(task, name, value, true, err);
}

const char *nomad_task_get(const struct nomad_task *task, const char *key)
{
	char name[80];

	return driver_key(name, key) < 0 ? NULL : nomad__task_fact((struct nomad_task *)task, name);
}

void nomad_task_forget(struct nomad_task *task, const char *key)
{
	char name[80];

	if (driver_key(name, key) < 0)
		return;
	pthread_mutex_lock(&task->journal->lock);
	nomad__journal_forget(&task->journal->journal, name);
	pthread_mutex_unlock(&task->journal->lock);
}
