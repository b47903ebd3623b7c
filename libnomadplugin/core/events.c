/* SPDX-License-Identifier: MPL-2.0
 *
 * Task events.  While nobody subscribes (between two agents, or before the
 * first one), the newest ones are kept for the next subscriber.
 *
 * An agent that restores its state drops the events of an allocation for which
 * RecoverTask has not been answered (client/client.go:restoreState).  What is
 * found out in that call, and is not said again, is sent with the next WaitTask
 * (which comes when all are restored), or a little later. */
#include "core/parts.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/agent.h"
#include "core/plugin.h"
#include "core/sub.h"
#include "core/table.h"
#include "core/task.h"
#include "core/task_progress.h"

enum { KEEP = 64 };
#define LATE_NS INT64_C(3000000000)

struct kept {
	struct nomad__event event; /* its strings are owned */
	struct nomad_map annotations;
};

struct nomad__events {
	pthread_mutex_t lock;
	struct nomad__sub_list subscribers;
	struct kept *kept[KEEP]; /* oldest first */
	size_t count;
	struct kept *late[KEEP];
	size_t late_count;
	struct nomad__timer *timer; /* loop thread */
};

static void kept_free(struct kept *kept)
{
	if (!kept)
		return;
	free((void *)kept->event.task_id);
	free((void *)kept->event.alloc_id);
	free((void *)kept->event.task_name);
	free((void *)kept->event.message);
	nomad_map_done(&kept->annotations);
	free(kept);
}

static struct kept *kept_new(const struct nomad__event *event)
{
	struct kept *kept = calloc(1, sizeof(*kept));

	if (!kept)
		return NULL;
	kept->event = (struct nomad__event){
		.task_id = strdup(event->task_id),
		.alloc_id = strdup(event->alloc_id),
		.task_name = strdup(event->task_name),
		.message = strdup(event->message),
		.time_ns = event->time_ns,
		.annotations = &kept->annotations,
	};
	if (kept->event.task_id && kept->event.alloc_id && kept->event.task_name && kept->event.message &&
	    nomad_map_copy(&kept->annotations, event->annotations) == 0)
		return kept;
	kept_free(kept);
	return NULL;
}

static void emit_one(struct nomad__sub *sub, void *arg)
{
	void (*emit)(void *, const struct nomad__event *) = (void (*)(void *, const struct nomad__event *))sub->fn;

	emit(sub->ud, arg);
}

static void publish(struct nomad_plugin *plugin, const struct nomad__event *event)
{
	struct nomad__events *keeper = plugin->events;
	bool anybody;

	nomad_log_kv(NOMAD_LOG_DEBUG, event->message, "task_id", event->task_id, NULL);
	nomad__metric_add(plugin->metrics, NOMAD__EVENTS_EMITTED, 1);
	pthread_mutex_lock(&keeper->lock);
	pthread_mutex_lock(&keeper->subscribers.lock);
	anybody = keeper->subscribers.first;
	pthread_mutex_unlock(&keeper->subscribers.lock);
	if (!anybody) {
		struct kept *kept = kept_new(event);

		if (kept && keeper->count == KEEP) {
			kept_free(keeper->kept[0]);
			memmove(keeper->kept, keeper->kept + 1, (KEEP - 1) * sizeof(keeper->kept[0]));
			keeper->count--;
			nomad__metric_add(plugin->metrics, NOMAD__EVENTS_DROPPED, 1);
		}
		if (kept)
			keeper->kept[keeper->count++] = kept;
	}
	pthread_mutex_unlock(&keeper->lock);
	if (anybody)
		nomad__sub_call_all(&keeper->subscribers, emit_one, (void *)event);
}

/* Loop thread. */
static void greet(void *ud)
{
	struct nomad__sub *sub = ud;
	struct nomad_plugin *plugin = sub->extra;
	struct nomad__events *keeper = plugin->events;
	struct kept *kept[KEEP];
	size_t count = 0;
	bool left;

	pthread_mutex_lock(&sub->lock);
	left = sub->dead;
	pthread_mutex_unlock(&sub->lock);
	pthread_mutex_lock(&keeper->lock);
	if (!left) { /* or they are kept for the next one */
		count = keeper->count;
		memcpy(kept, keeper->kept, count * sizeof(kept[0]));
		keeper->count = 0;
	}
	pthread_mutex_unlock(&keeper->lock);
	for (size_t i = 0; i < count; i++) {
		nomad__sub_call(sub, emit_one, &kept[i]->event);
		kept_free(kept[i]);
	}
	nomad__sub_unref(sub);
}

struct nomad__sub *nomad__events_subscribe(struct nomad_plugin *plugin,
					   void (*emit)(void *ud, const struct nomad__event *event), void *ud)
{
	nomad__agent_comes(plugin);
	return nomad__sub_new_greeted(&plugin->events->subscribers, (void (*)(void))emit, ud, plugin, nomad__agent_goes,
				      plugin->loop, greet);
}

/* ---- Late ones ---- */

void nomad__events_flush(struct nomad_plugin *plugin)
{
	struct nomad__events *keeper = plugin->events;
	struct kept *late[KEEP];
	size_t count;

	pthread_mutex_lock(&keeper->lock);
	count = keeper->late_count;
	memcpy(late, keeper->late, count * sizeof(late[0]));
	keeper->late_count = 0;
	pthread_mutex_unlock(&keeper->lock);
	for (size_t i = 0; i < count; i++) {
		publish(plugin, &late[i]->event);
		kept_free(late[i]);
	}
}

static void fire(void *plugin)
{
	nomad__events_flush(plugin);
}

static void arm(void *ud)
{
	struct nomad_plugin *plugin = ud;
	struct nomad__events *keeper = plugin->events;

	if (!keeper->timer && nomad__timer_new(plugin->loop, fire, plugin, &keeper->timer) < 0)
		fire(plugin);
	else
		nomad__timer_set(keeper->timer, LATE_NS);
}

static void publish_late(struct nomad_plugin *plugin, const struct nomad__event *event)
{
	struct nomad__events *keeper = plugin->events;
	struct kept *kept = kept_new(event);
	bool full;

	pthread_mutex_lock(&keeper->lock);
	full = !kept || keeper->late_count == KEEP;
	if (!full)
		keeper->late[keeper->late_count++] = kept;
	pthread_mutex_unlock(&keeper->lock);
	if (full || nomad__loop_post(plugin->loop, arm, plugin) < 0) {
		publish(plugin, event);
		if (full)
			kept_free(kept);
	}
}

/* ---- What drivers call ---- */

static void task_event(struct nomad_task *task, const char *message, const struct nomad_map *annotations, bool late)
{
	const struct nomad_map none = { 0 };
	struct nomad__event event = {
		.task_id = task->info.id,
		.alloc_id = task->info.alloc_id,
		.task_name = task->info.name,
		.message = message,
		.time_ns = nomad_wall_ns(),
		.annotations = annotations ? annotations : &none,
	};

	if (late)
		publish_late(task->plugin, &event);
	else
		publish(task->plugin, &event);
}

void nomad_task_event(struct nomad_task *task, const char *fmt, ...)
{
	char message[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	task_event(task, message, NULL, false);
}

void nomad__task_event_loss(struct nomad_task *task, const char *message, int64_t lost_bytes)
{
	NOMAD_AUTO_FREE char *number = lost_bytes > 0 ? nomad_strdupf("%lld", (long long)lost_bytes) : NULL;
	int64_t recovered = __atomic_load_n(&task->progress->recovered_ns, __ATOMIC_SEQ_CST);
	struct nomad_map annotations = { 0 };

	if (number)
		(void)!nomad_map_set(&annotations, "lost_bytes", number);
	task_event(task, message, &annotations, recovered && nomad_monotonic_ns() - recovered < LATE_NS);
	nomad_map_done(&annotations);
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
	task_event(task, message, &annotations, false);
	nomad_map_done(&annotations);
}

int nomad_task_event_by_id(struct nomad_plugin *plugin, const char *id, const char *message)
{
	struct nomad_task *task = nomad__task_find(plugin, id);

	if (!task)
		return -ENOENT;
	task_event(task, message, NULL, false);
	nomad__task_unref(task);
	return 0;
}

static void set_up(void *part)
{
	nomad__sub_list_init(&((struct nomad__events *)part)->subscribers);
}

static void tear_down(void *part)
{
	struct nomad__events *events = part;

	for (size_t i = 0; i < events->count; i++)
		kept_free(events->kept[i]);
	for (size_t i = 0; i < events->late_count; i++)
		kept_free(events->late[i]);
	free(events->timer);
	nomad__sub_list_done(&events->subscribers);
}

const struct nomad__part nomad__events_part =
	NOMAD__PART(struct nomad__events, events, .set_up = set_up, .tear_down = tear_down);
