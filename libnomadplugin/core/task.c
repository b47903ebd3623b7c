/* SPDX-License-Identifier: MPL-2.0
 *
 * A task: its identity, its directories, what a driver may ask of it, and
 * the one moment in its life that everybody waits for: its end. */
#include "core/plugin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "schema/schema.h"

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
	pthread_condattr_t attr;

	if (!task) {
		nomad__task_info_done(take_info);
		return nomad_error_errno(err, ENOMEM, "take the task in");
	}
	task->refs = 1;
	task->plugin = plugin;
	task->info = *take_info;
	*take_info = (struct nomad_task_info){ 0 };
	task->record = (struct nomad__journal)NOMAD__JOURNAL_INIT;
	pthread_mutex_init(&task->busy, NULL);
	pthread_mutex_init(&task->journal, NULL);
	pthread_mutex_init(&task->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&task->changed, &attr);
	pthread_condattr_destroy(&attr);

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
			task->state_dir = nomad_strdupf("%s/tasks/%s", plugin->state_dir, task->slug);
	}
	if (!task->slug || !task->dir || !task->local_dir || !task->secrets_dir || !task->shared_dir ||
	    !task->state_dir || !info->alloc_id || !info->task_group_name || !info->job_id || !info->job_name ||
	    !info->namespace_name || !info->node_id || !info->node_name) {
		nomad__task_unref(task);
		return nomad_error_errno(err, ENOMEM, "take the task in");
	}
	if (!*info->id || strlen(info->id) > 1024) {
		nomad__task_unref(task);
		return nomad_error_set(err, EINVAL, "the task's id is empty or longer than 1024 bytes");
	}
	*ret = task;
	return 0;
}

struct nomad_task *nomad__task_ref(struct nomad_task *task)
{
	__atomic_add_fetch(&task->refs, 1, __ATOMIC_RELAXED);
	return task;
}

void nomad__task_unref(struct nomad_task *task)
{
	if (!task || __atomic_sub_fetch(&task->refs, 1, __ATOMIC_ACQ_REL))
		return;
	nomad__supervisor_free(task->supervisor);
	nomad__journal_close(&task->record);
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
	free(task->result.message);
	free(task->addr);
	nomad_int_map_done(&task->port_map);
	pthread_mutex_destroy(&task->busy);
	pthread_mutex_destroy(&task->journal);
	pthread_mutex_destroy(&task->lock);
	pthread_cond_destroy(&task->changed);
	free(task);
}

/* ---- What drivers ask ---- */

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

/* A driver's keys stand beside the library's own in the journal. */
static int driver_key(char buffer[80], const char *key)
{
	int n = snprintf(buffer, 80, "x.%s", key);

	return n < 0 || n >= 64 ? -EINVAL : 0;
}

int nomad_task_put(struct nomad_task *task, const char *key, const char *value, struct nomad_error **err)
{
	char name[80];
	int r;

	if (driver_key(name, key) < 0)
		return nomad_error_set(err, EINVAL, "record '%s' of the task: the key is too long", key);
	pthread_mutex_lock(&task->journal);
	r = nomad__journal_put(&task->record, name, value, err);
	pthread_mutex_unlock(&task->journal);
	return r;
}

const char *nomad_task_get(const struct nomad_task *task, const char *key)
{
	struct nomad_task *t = (struct nomad_task *)task; /* only for its lock */
	const char *value;
	char name[80];

	if (driver_key(name, key) < 0)
		return NULL;
	pthread_mutex_lock(&t->journal);
	value = nomad_map_get(&t->record.map, name);
	pthread_mutex_unlock(&t->journal);
	return value;
}

void nomad_task_forget(struct nomad_task *task, const char *key)
{
	char name[80];

	if (driver_key(name, key) < 0)
		return;
	pthread_mutex_lock(&task->journal);
	nomad__journal_forget(&task->record, name);
	pthread_mutex_unlock(&task->journal);
}

static int set_network(struct nomad_task *task, const char *addr, bool auto_advertise,
		       const struct nomad_int_map *port_map)
{
	char *copy = addr && *addr ? strdup(addr) : NULL;
	struct nomad_int_map ports = { 0 };
	int r = addr && *addr && !copy ? -ENOMEM : 0;

	for (size_t i = 0; r >= 0 && port_map && i < port_map->count; i++)
		r = nomad_int_map_set(&ports, port_map->pairs[i].key, port_map->pairs[i].value);
	if (r < 0) {
		free(copy);
		nomad_int_map_done(&ports);
		return r;
	}
	pthread_mutex_lock(&task->lock);
	free(task->addr);
	nomad_int_map_done(&task->port_map);
	task->addr = copy;
	task->port_map = ports;
	task->auto_advertise = auto_advertise;
	task->has_network = copy || ports.count || auto_advertise;
	pthread_mutex_unlock(&task->lock);
	return 0;
}

/* Recorded as lines: the address, 0 or 1, then label=port each.  A start that
 * is adopted by another process has to answer with the same network. */
int nomad_task_set_network(struct nomad_task *task, const char *addr, bool auto_advertise,
			   const struct nomad_int_map *port_map)
{
	NOMAD_AUTO_FREE char *text = nomad_strdupf("%s\n%d\n", addr ? addr : "", auto_advertise);
	int r = text ? set_network(task, addr, auto_advertise, port_map) : -ENOMEM;

	for (size_t i = 0; r >= 0 && port_map && i < port_map->count; i++) {
		char *longer =
			nomad_strdupf("%s%s=%lld\n", text, port_map->pairs[i].key, (long long)port_map->pairs[i].value);

		r = longer ? 0 : -ENOMEM;
		free(text);
		text = longer;
	}
	if (r < 0)
		return r;
	pthread_mutex_lock(&task->journal);
	if (task->record.fd >= 0)
		r = nomad__journal_put(&task->record, "network", text, NULL);
	pthread_mutex_unlock(&task->journal);
	return r;
}

void nomad__task_restore_network(struct nomad_task *task)
{
	NOMAD_AUTO_FREE char *text = NULL;
	struct nomad_int_map ports = { 0 };
	const char *recorded;
	char *rest, *addr, *line;
	bool advertise;
	int r = 0;

	pthread_mutex_lock(&task->journal);
	recorded = nomad_map_get(&task->record.map, "network");
	text = recorded ? strdup(recorded) : NULL;
	pthread_mutex_unlock(&task->journal);
	rest = text;
	addr = strsep(&rest, "\n");
	line = strsep(&rest, "\n");
	if (!line)
		return;
	advertise = strcmp(line, "1") == 0;
	while (r >= 0 && (line = strsep(&rest, "\n"))) {
		char *equals = strrchr(line, '=');

		if (!equals)
			continue;
		*equals = 0;
		r = nomad_int_map_set(&ports, line, strtoll(equals + 1, NULL, 10));
	}
	if (r >= 0)
		(void)set_network(task, addr, advertise, &ports);
	nomad_int_map_done(&ports);
}

int nomad_task_leader(const struct nomad_task *task)
{
	struct nomad_task *t = (struct nomad_task *)task;
	int pid;

	pthread_mutex_lock(&t->lock);
	pid = t->supervisor && t->phase != NOMAD__EXITED ? nomad__supervisor_leader(t->supervisor) : 0;
	pthread_mutex_unlock(&t->lock);
	return pid;
}

/* ---- Events ---- */

static void task_event(struct nomad_task *task, const char *message, const struct nomad_map *annotations)
{
	struct nomad_map none = { 0 };
	struct nomad__event event = {
		.task_id = task->info.id,
		.alloc_id = task->info.alloc_id,
		.task_name = task->info.name,
		.message = message,
		.time_ns = nomad_wall_ns(),
		.annotations = annotations ? annotations : &none,
	};

	nomad__event_emit(task->plugin, &event);
}

void nomad_task_event(struct nomad_task *task, const char *fmt, ...)
{
	char message[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	task_event(task, message, NULL);
}

void nomad_task_event_kv(struct nomad_task *task, const char *message, ...)
{
	struct nomad_map annotations = { 0 };
	const char *key, *value;
	va_list pairs;

	va_start(pairs, message);
	while ((key = va_arg(pairs, const char *)) && (value = va_arg(pairs, const char *)))
		if (nomad_map_set(&annotations, key, value) < 0)
			break;
	va_end(pairs);
	task_event(task, message, &annotations);
	nomad_map_done(&annotations);
}

int nomad_task_event_by_id(struct nomad_plugin *plugin, const char *id, const char *message)
{
	struct nomad_task *task = nomad__task_find(plugin, id);

	if (!task)
		return -ENOENT;
	task_event(task, message, NULL);
	nomad__task_unref(task);
	return 0;
}

/* ---- The end ---- */

static bool is_of_task(const struct nomad__sub *sub, const void *task)
{
	return sub->extra == task;
}

static void call_waiter(struct nomad__sub *sub, void *arg)
{
	struct nomad_task *task = arg;
	void (*done)(void *, int, const struct nomad_exit *, const struct nomad_error *) =
		(void (*)(void *, int, const struct nomad_exit *, const struct nomad_error *))sub->fn;

	done(sub->ud, 0, &task->result, NULL);
}

static void call_stopper(struct nomad__sub *sub, void *arg)
{
	void (*done)(void *, int, const struct nomad_error *) =
		(void (*)(void *, int, const struct nomad_error *))sub->fn;

	(void)arg;
	done(sub->ud, 0, NULL);
}

static bool end(struct nomad_task *task, const struct nomad_exit *result, int64_t ended_ns)
{
	struct nomad__sub *sub;
	char *message = result->message ? strdup(result->message) : NULL;
	bool first;

	pthread_mutex_lock(&task->lock);
	first = task->phase == NOMAD__RUNNING || task->phase == NOMAD__STARTING;
	if (first) {
		task->result = *result;
		task->result.message = result->message && !message ? strdup("") : NOMAD_TAKE_PTR(message);
		task->ended_ns = ended_ns;
		task->phase = NOMAD__EXITED;
		pthread_cond_broadcast(&task->changed);
	}
	pthread_mutex_unlock(&task->lock);
	free(message);
	if (!first)
		return false;
	nomad__task_stops_over(task);
	/* The result does not change from here on. */
	while ((sub = nomad__sub_take(&task->plugin->waiters, is_of_task, task))) {
		nomad__sub_call(sub, call_waiter, task);
		nomad__sub_unref(sub);
	}
	while ((sub = nomad__sub_take(&task->plugin->stoppers, is_of_task, task))) {
		nomad__sub_call(sub, call_stopper, task);
		nomad__sub_unref(sub);
	}
	nomad__stats_task_ended(task);
	return true;
}

void nomad__task_ended(struct nomad_task *task, const struct nomad_exit *result, int64_t ended_ns)
{
	if (end(task, result, ended_ns))
		nomad__metric_end(task->plugin->metrics, result);
}

enum nomad__phase nomad__task_phase(struct nomad_task *task)
{
	enum nomad__phase phase;

	pthread_mutex_lock(&task->lock);
	phase = task->phase;
	pthread_mutex_unlock(&task->lock);
	return phase;
}

void nomad__task_gone(struct nomad_task *task)
{
	const struct nomad_exit never = { .exit_code = -1, .message = (char *)"the task was not started" };

	(void)end(task, &never, nomad_wall_ns());
	pthread_mutex_lock(&task->lock);
	task->phase = NOMAD__GONE;
	pthread_cond_broadcast(&task->changed);
	pthread_mutex_unlock(&task->lock);
	nomad__task_remove(task->plugin, task);
}

bool nomad__task_await_end(struct nomad_task *task, int64_t timeout_ns)
{
	struct timespec until;
	bool ended;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ns / 1000000000;
	until.tv_nsec += timeout_ns % 1000000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&task->lock);
	while (task->phase < NOMAD__EXITED && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&task->changed, &task->lock, &until);
	ended = task->phase >= NOMAD__EXITED;
	pthread_mutex_unlock(&task->lock);
	return ended;
}

static void supervisor_exited(void *ud, const struct nomad__supervisor_exit *end)
{
	struct nomad_task *task = ud;
	struct nomad_exit result = {
		.exit_code = end->exit_code,
		.signal = end->signal,
		.oom_killed = end->oom_killed,
	};
	bool stopping;

	if (end->lost) {
		result = (struct nomad_exit){ .exit_code = -1 };
		result.message = (char *)(end->message[0] ? end->message : "the supervisor of the task was killed");
		pthread_mutex_lock(&task->lock);
		task->lost = true;
		pthread_mutex_unlock(&task->lock);
		nomad__metric_add(task->plugin->metrics, NOMAD__SUPERVISORS_DEAD, 1);
	}
	pthread_mutex_lock(&task->lock);
	stopping = task->stopping;
	pthread_mutex_unlock(&task->lock);
	if (end->oom_killed)
		nomad_task_event(task, "Killed: out of memory");
	else if (end->killed && stopping)
		nomad_task_event(task, "Killed: did not end within the kill timeout");
	if (end->started_ns) {
		pthread_mutex_lock(&task->lock);
		task->started_ns = end->started_ns;
		pthread_mutex_unlock(&task->lock);
	}
	nomad__task_ended(task, &result, end->ended_ns ? end->ended_ns : nomad_wall_ns());
}

static void supervisor_notice(void *ud, const char *message)
{
	const struct nomad_task *task = ud;
	int64_t bytes;

	/* Its only word about a number; an older supervisor has the same. */
	if (sscanf(message, "%" SCNd64 " bytes of ", &bytes) == 1 && strstr(message, " are lost: ") && bytes > 0)
		nomad__metric_add(task->plugin->metrics, NOMAD__LOG_LOST_BYTES, (uint64_t)bytes);
	nomad_task_event(ud, "%s", message);
}

static void supervisor_closed(void *ud, struct nomad__supervisor *supervisor)
{
	struct nomad_task *task = ud;

	nomad__lingering_closed(task->plugin, supervisor);
}

const struct nomad__supervisor_events nomad__task_supervisor_events = {
	.exited = supervisor_exited,
	.closed = supervisor_closed,
	.notice = supervisor_notice,
};

void nomad_task_exited(struct nomad_task *task, const struct nomad_exit *result)
{
	nomad__task_ended(task, result, nomad_wall_ns());
}

int nomad_task_exited_by_id(struct nomad_plugin *plugin, const char *id, const struct nomad_exit *result)
{
	struct nomad_task *task = nomad__task_find(plugin, id);

	if (!task)
		return -ENOENT;
	nomad_task_exited(task, result);
	nomad__task_unref(task);
	return 0;
}
