/* SPDX-License-Identifier: MPL-2.0
 *
 * Statistics of containers.
 *
 * Nomad may ask each second for each task, and a sample is a request: so all
 * tasks together take one sample a second at most, each task one in five
 * seconds at most, and what was measured last is answered in between.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "triton.h"

enum { ALL_MS = 1000, EACH_MS = 5000, FORGET_MS = 3600000 };

struct sample {
	struct sample *next;
	char *task_id;
	int64_t taken_ms;
	struct nomad_stats stats;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sample *samples;
static int64_t last_ms;

static uint64_t number(const json_t *json, const char *a, const char *b, const char *c)
{
	const json_t *at = json_object_get(json_object_get(json, a), b);
	json_int_t n = json_integer_value(c ? json_object_get(at, c) : at);

	return n > 0 ? (uint64_t)n : 0;
}

int triton_stats_parse(const json_t *sample, struct nomad_stats *ret)
{
	uint64_t cpu = number(sample, "cpu_stats", "cpu_usage", "total_usage");
	uint64_t cpu_before = number(sample, "precpu_stats", "cpu_usage", "total_usage");
	uint64_t system = number(sample, "cpu_stats", "system_cpu_usage", NULL);
	uint64_t system_before = number(sample, "precpu_stats", "system_cpu_usage", NULL);
	uint64_t cores = number(sample, "cpu_stats", "online_cpus", NULL);
	const json_t *memory;

	if (!json_is_object(sample))
		return -EINVAL;
	if (!cores)
		cores = json_array_size(json_object_get(
			json_object_get(json_object_get(sample, "cpu_stats"), "cpu_usage"), "percpu_usage"));
	if (cores && cpu >= cpu_before && cpu_before && system > system_before) {
		ret->cpu_percent = (double)(cpu - cpu_before) / (double)(system - system_before) * (double)cores * 100;
		ret->measured |= NOMAD_STAT_CPU;
	}
	if (json_is_integer(json_object_get(json_object_get(sample, "memory_stats"), "usage"))) {
		ret->usage_bytes = number(sample, "memory_stats", "usage", NULL);
		ret->measured |= NOMAD_STAT_USAGE;
	}
	if (json_is_integer(json_object_get(json_object_get(sample, "memory_stats"), "max_usage"))) {
		ret->max_usage_bytes = number(sample, "memory_stats", "max_usage", NULL);
		ret->measured |= NOMAD_STAT_MAX_USAGE;
	}
	memory = json_object_get(json_object_get(sample, "memory_stats"), "stats");
	/* Of cgroup v1, and v2. */
	if (json_is_integer(json_object_get(memory, "rss"))) {
		ret->rss_bytes = number(sample, "memory_stats", "stats", "rss");
		ret->cache_bytes = number(sample, "memory_stats", "stats", "cache");
		ret->measured |= NOMAD_STAT_RSS | NOMAD_STAT_CACHE;
	} else if (json_is_integer(json_object_get(memory, "anon"))) {
		ret->rss_bytes = number(sample, "memory_stats", "stats", "anon");
		ret->cache_bytes = number(sample, "memory_stats", "stats", "file");
		ret->measured |= NOMAD_STAT_RSS | NOMAD_STAT_CACHE;
	}
	return 0;
}

/* The sample of a task, made if need be; those long out of use go.  Under the lock. */
static struct sample *sample_of(const char *task_id, int64_t now)
{
	struct sample **at = &samples, *it;

	while ((it = *at)) {
		if (strcmp(it->task_id, task_id) == 0)
			return it;
		if (now - it->taken_ms > FORGET_MS) {
			*at = it->next;
			free(it->task_id);
			free(it);
		} else {
			at = &it->next;
		}
	}
	it = calloc(1, sizeof(*it));
	if (!it || !(it->task_id = strdup(task_id))) {
		free(it);
		return NULL;
	}
	it->taken_ms = now - EACH_MS;
	it->next = samples;
	samples = it;
	return it;
}

void triton_stats_forget(void)
{
	pthread_mutex_lock(&lock);
	while (samples) {
		struct sample *it = samples;

		samples = it->next;
		free(it->task_id);
		free(it);
	}
	pthread_mutex_unlock(&lock);
}

int triton_container_stats(struct triton_site *site, struct nomad_task *task, struct nomad_stats *ret,
			   struct nomad_error **err)
{
	const char *id = nomad_task_get(task, TRITON_RECORD_CONTAINER);
	int64_t now = triton_now_ms();
	struct triton_docker docker;
	struct nomad_stats fresh = { 0 };
	json_t *json = NULL;
	struct sample *it;
	bool due = false;
	int r;

	if (!id)
		return nomad_error_set(err, ENOENT, "the task has no container");
	pthread_mutex_lock(&lock);
	it = sample_of(nomad_task_id(task), now);
	if (it) {
		due = now - last_ms >= ALL_MS && now - it->taken_ms >= EACH_MS;
		*ret = it->stats;
		if (due)
			last_ms = it->taken_ms = now;
	}
	pthread_mutex_unlock(&lock);
	if (!due)
		return 0;
	r = triton_site_docker(site, &docker, err);
	if (r < 0)
		return r;
	docker.retry_ms = 0;
	r = triton_docker_stats(&docker, id, &json, err);
	if (r >= 0 && triton_stats_parse(json, &fresh) < 0)
		r = nomad_error_set(err, EPROTO, "read the statistics of a container: they are no object");
	json_decref(json);
	if (r < 0)
		return r;
	pthread_mutex_lock(&lock);
	it = sample_of(nomad_task_id(task), now);
	if (it)
		it->stats = fresh;
	pthread_mutex_unlock(&lock);
	*ret = fresh;
	return 0;
}
