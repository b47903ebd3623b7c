/* SPDX-License-Identifier: MPL-2.0
 *
 * Fingerprint, TaskEvents and TaskStats: each is a subscription in core/ that
 * lives as long as the call.  None ends early, because the host would open it
 * again at once, without a pause.  A host that reads slowly gets the latest
 * fingerprint or sample, not a backlog. */
#include "wire/handlers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/convert.h"

/* ---- Fingerprint ---- */

struct attribute {
	Pb__FingerprintResponse__AttributesEntry entry;
	Pb__Attribute value;
};

static void attribute_of(const struct nomad__attribute *from, struct attribute *to)
{
	pb__fingerprint_response__attributes_entry__init(&to->entry);
	pb__attribute__init(&to->value);
	to->entry.key = from->key;
	to->entry.value = &to->value;
	switch (from->type) {
	case NOMAD__ATTR_STRING:
		to->value.value_case = PB__ATTRIBUTE__VALUE_STRING_VAL;
		to->value.string_val = from->string ? from->string : (char *)"";
		break;
	case NOMAD__ATTR_BOOL:
		to->value.value_case = PB__ATTRIBUTE__VALUE_BOOL_VAL;
		to->value.bool_val = from->boolean;
		break;
	case NOMAD__ATTR_INT:
		to->value.value_case = PB__ATTRIBUTE__VALUE_INT_VAL;
		to->value.int_val = from->integer;
		break;
	}
	if (from->unit)
		to->value.unit = from->unit;
}

static void send_fingerprint(void *ud, const struct nomad__fingerprint_view *fp)
{
	struct nomad__call *call = ud;
	Pb__FingerprintResponse answer = PB__FINGERPRINT_RESPONSE__INIT;
	struct attribute *attributes = calloc(fp->n_attributes + 1, sizeof(*attributes));

	answer.attributes = calloc(fp->n_attributes + 1, sizeof(*answer.attributes));
	if (!attributes || !answer.attributes) {
		free(attributes);
		free(answer.attributes);
		return; /* the next one may fit */
	}
	for (size_t i = 0; i < fp->n_attributes; i++) {
		attribute_of(&fp->attributes[i], &attributes[i]);
		answer.attributes[i] = &attributes[i].entry;
	}
	answer.n_attributes = fp->n_attributes;
	answer.health = fp->health == NOMAD_HEALTHY	? PB__FINGERPRINT_RESPONSE__HEALTH_STATE__HEALTHY
			: fp->health == NOMAD_UNHEALTHY ? PB__FINGERPRINT_RESPONSE__HEALTH_STATE__UNHEALTHY
							: PB__FINGERPRINT_RESPONSE__HEALTH_STATE__UNDETECTED;
	if (fp->description)
		answer.health_description = (char *)fp->description;
	nomad__call_send(call, &answer.base, NOMAD__SEND_LATEST);
	free(answer.attributes);
	free(attributes);
}

static void keep(struct nomad__call *call, struct nomad__sub *sub)
{
	if (sub)
		nomad__call_keep(call, sub);
	else
		nomad__call_fail_memory(call);
}

void nomad__serve_fingerprint(struct nomad__call *call, const ProtobufCMessage *request)
{
	(void)request;
	keep(call, nomad__fingerprint_subscribe(nomad__call_plugin(call), send_fingerprint, call));
}

/* ---- TaskEvents ---- */

static void send_event(void *ud, const struct nomad__event *event)
{
	struct nomad__call *call = ud;
	Pb__DriverTaskEvent answer = PB__DRIVER_TASK_EVENT__INIT;
	Pb__Timestamp timestamp;

	nomad__timestamp_of(event->time_ns, &timestamp);
	answer.task_id = (char *)event->task_id;
	answer.alloc_id = (char *)event->alloc_id;
	answer.task_name = (char *)event->task_name;
	answer.timestamp = &timestamp;
	answer.message = (char *)event->message;
	if (nomad__map_entries(event->annotations, &pb__driver_task_event__annotations_entry__descriptor,
			       &answer.annotations, &answer.n_annotations) < 0)
		return;
	nomad__call_send(call, &answer.base, NOMAD__SEND_BOUNDED);
	free(answer.annotations);
}

void nomad__serve_task_events(struct nomad__call *call, const ProtobufCMessage *request)
{
	(void)request;
	keep(call, nomad__events_subscribe(nomad__call_plugin(call), send_event, call));
}

/* ---- TaskStats ---- */

struct usage {
	Pb__TaskResourceUsage message;
	Pb__CPUUsage cpu;
	Pb__MemoryUsage memory;
	Pb__CPUUsage__Fields cpu_fields[6];
	Pb__MemoryUsage__Fields memory_fields[7];
};

#define MEASURED(flag, part, field)                                                                                    \
	do {                                                                                                           \
		if (measured & NOMAD_STAT_##flag)                                                                      \
			ret->part##_fields[ret->part.n_measured_fields++] = field;                                     \
	} while (0)

static void set_measured(struct usage *ret, unsigned measured)
{
	MEASURED(CPU_SYSTEM, cpu, PB__CPUUSAGE__FIELDS__SYSTEM_MODE);
	MEASURED(CPU_USER, cpu, PB__CPUUSAGE__FIELDS__USER_MODE);
	MEASURED(CPU, cpu, PB__CPUUSAGE__FIELDS__TOTAL_TICKS);
	MEASURED(THROTTLED, cpu, PB__CPUUSAGE__FIELDS__THROTTLED_PERIODS);
	MEASURED(THROTTLED, cpu, PB__CPUUSAGE__FIELDS__THROTTLED_TIME);
	MEASURED(CPU, cpu, PB__CPUUSAGE__FIELDS__PERCENT);
	MEASURED(RSS, memory, PB__MEMORY_USAGE__FIELDS__RSS);
	MEASURED(CACHE, memory, PB__MEMORY_USAGE__FIELDS__CACHE);
	MEASURED(MAX_USAGE, memory, PB__MEMORY_USAGE__FIELDS__MAX_USAGE);
	MEASURED(KERNEL, memory, PB__MEMORY_USAGE__FIELDS__KERNEL_USAGE);
	MEASURED(KERNEL_MAX, memory, PB__MEMORY_USAGE__FIELDS__KERNEL_MAX_USAGE);
	MEASURED(USAGE, memory, PB__MEMORY_USAGE__FIELDS__USAGE);
	MEASURED(SWAP, memory, PB__MEMORY_USAGE__FIELDS__SWAP);
}

/* *ret must stay where it is: its parts point to each other. */
static void usage_of(const struct nomad_stats *stats, double ticks_per_percent, struct usage *ret)
{
	pb__task_resource_usage__init(&ret->message);
	pb__cpuusage__init(&ret->cpu);
	pb__memory_usage__init(&ret->memory);
	ret->message.cpu = &ret->cpu;
	ret->message.memory = &ret->memory;
	ret->cpu.measured_fields = ret->cpu_fields;
	ret->memory.measured_fields = ret->memory_fields;
	set_measured(ret, stats->measured);
	ret->cpu.system_mode = stats->cpu_system_percent;
	ret->cpu.user_mode = stats->cpu_user_percent;
	ret->cpu.percent = stats->cpu_percent;
	ret->cpu.total_ticks = stats->cpu_percent * ticks_per_percent;
	ret->cpu.throttled_periods = stats->throttled_periods;
	ret->cpu.throttled_time = stats->throttled_ns;
	ret->memory.rss = stats->rss_bytes;
	ret->memory.cache = stats->cache_bytes;
	ret->memory.swap = stats->swap_bytes;
	ret->memory.usage = stats->usage_bytes;
	ret->memory.max_usage = stats->max_usage_bytes;
	ret->memory.kernel_usage = stats->kernel_usage_bytes;
	ret->memory.kernel_max_usage = stats->kernel_max_usage_bytes;
}

struct pid_entry {
	Pb__TaskStats__ResourceUsageByPidEntry message;
	struct usage usage;
	char key[12];
};

/* The memory that the entries are in: an array of pointers, then the entries.  NULL: none, or out of memory. */
static Pb__TaskStats__ResourceUsageByPidEntry **pid_entries(const struct nomad__stats_view *view)
{
	size_t n = view->stats->n_pids;
	Pb__TaskStats__ResourceUsageByPidEntry **pointers =
		n ? calloc(n, sizeof(*pointers) + sizeof(struct pid_entry)) : NULL;
	struct pid_entry *entries = (struct pid_entry *)(pointers + n);

	for (size_t i = 0; pointers && i < n; i++) {
		const struct nomad_pid_stats *pid = &view->stats->pids[i];
		const struct nomad_stats stats = {
			.cpu_percent = pid->cpu_percent,
			.cpu_system_percent = pid->cpu_system_percent,
			.cpu_user_percent = pid->cpu_user_percent,
			.rss_bytes = pid->rss_bytes,
			.swap_bytes = pid->swap_bytes,
			.measured = pid->measured,
		};

		pb__task_stats__resource_usage_by_pid_entry__init(&entries[i].message);
		usage_of(&stats, view->ticks_per_percent, &entries[i].usage);
		snprintf(entries[i].key, sizeof(entries[i].key), "%d", pid->pid);
		entries[i].message.key = entries[i].key;
		entries[i].message.value = &entries[i].usage.message;
		pointers[i] = &entries[i].message;
	}
	return pointers;
}

static void send_stats(void *ud, const struct nomad__stats_view *view)
{
	struct nomad__call *call = ud;
	Pb__TaskStatsResponse answer = PB__TASK_STATS_RESPONSE__INIT;
	Pb__TaskStats sample = PB__TASK_STATS__INIT;
	struct usage usage = { 0 };
	Pb__Timestamp timestamp;

	if (!view) {
		nomad__call_finish(call); /* the task is gone */
		return;
	}
	usage_of(view->stats, view->ticks_per_percent, &usage);
	nomad__timestamp_of(view->time_ns, &timestamp);
	sample.id = (char *)view->task_id;
	sample.timestamp = &timestamp;
	sample.agg_resource_usage = &usage.message;
	sample.resource_usage_by_pid = pid_entries(view);
	sample.n_resource_usage_by_pid = sample.resource_usage_by_pid ? view->stats->n_pids : 0;
	answer.stats = &sample;
	nomad__call_send(call, &answer.base, NOMAD__SEND_SOON);
	free(sample.resource_usage_by_pid);
}

void nomad__serve_task_stats(struct nomad__call *call, const ProtobufCMessage *request)
{
	const Pb__TaskStatsRequest *wanted = (const Pb__TaskStatsRequest *)request;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct nomad__sub *sub = NULL;
	int64_t interval_ns = nomad__duration_ns(wanted->collection_interval);

	nomad__call_set_task(call, wanted->task_id);
	if (nomad__stats_subscribe(nomad__call_plugin(call), wanted->task_id,
				   interval_ns > 0 ? interval_ns : 1000000000, send_stats, call, &sub, &err) < 0)
		nomad__call_fail(call, err);
	else
		nomad__call_keep(call, sub);
}
