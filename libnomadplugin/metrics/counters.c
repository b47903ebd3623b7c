/* SPDX-License-Identifier: MPL-2.0
 *
 * Counts calls, tasks, and what a driver counts itself. */
#include "metrics/counters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nomad/error.h"
#include "nomad/metrics.h"

enum { OWN_MAX = 64 };

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

uint64_t nomad__counted(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void nomad__metric_add(struct nomad__metrics *metrics, enum nomad__metric metric, uint64_t n)
{
	count(&metrics->counts[metric], n);
}

void nomad__metric_end(struct nomad__metrics *metrics, const struct nomad_exit *result)
{
	nomad__metric_add(metrics,
			  result->message      ? NOMAD__ENDS_LOST
			  : result->oom_killed ? NOMAD__ENDS_OOM
			  : result->signal     ? NOMAD__ENDS_SIGNAL
					       : NOMAD__ENDS_EXIT,
			  1);
}

/* ---- Calls ---- */

/* "/package.Service/Method" */
static int split_path(const char *path, struct nomad__rpc_counts *rpc)
{
	const char *slash = strrchr(path, '/');

	rpc->method = slash + 1;
	rpc->service = strndup(path + 1, (size_t)(slash - path - 1));
	return rpc->service ? 0 : -ENOMEM;
}

int nomad__metrics_calls(struct nomad__metrics *metrics, const struct nomad__rpc *rpcs, size_t n,
			 const char *(*code_name)(unsigned code))
{
	int r = 0;

	metrics->rpcs = calloc(n + 1, sizeof(*metrics->rpcs));
	if (!metrics->rpcs)
		return -ENOMEM;
	metrics->n_rpcs = n;
	metrics->code_name = code_name;
	for (size_t i = 0; r >= 0 && i < n; i++) {
		metrics->rpcs[i].timed = rpcs[i].timed;
		r = split_path(rpcs[i].path, &metrics->rpcs[i]);
	}
	return r < 0 ? r : split_path("/unknown/unknown", &metrics->rpcs[n]);
}

void nomad__metrics_call_begins(struct nomad__metrics *metrics, size_t i)
{
	count(&metrics->rpcs[i].begun, 1);
}

void nomad__metrics_call_ends(struct nomad__metrics *metrics, size_t i, unsigned code, int64_t duration_ns)
{
	struct nomad__rpc_counts *rpc = &metrics->rpcs[i];

	if (rpc->timed)
		nomad__latency_add(&rpc->latency, duration_ns);
	/* A reader that sees the end also sees the beginning. */
	__atomic_add_fetch(&rpc->ended[code < NOMAD__RPC_CODES ? code : 2 /* UNKNOWN */], 1, __ATOMIC_RELEASE);
}

/* ---- Counters of a driver's own ---- */

static void counter_free(struct nomad_counter *counter)
{
	free(counter->name);
	free(counter->help);
	free(counter->label);
	free(counter->value);
	free(counter);
}

/* With the lock held. */
static struct nomad_counter *find_or_add(struct nomad__metrics *metrics, const char *name, const char *help,
					 const char *label, const char *value, struct nomad_error **err)
{
	struct nomad_counter **last = NULL, **p = &metrics->own, *counter;

	for (; *p; p = &(*p)->next) {
		if (strcmp((*p)->name, name) != 0)
			continue;
		if (!label != !(*p)->label || (label && strcmp(label, (*p)->label) != 0)) {
			nomad_error_set(err, EINVAL, "add counter '%s': already has another label", name);
			return NULL;
		}
		if (!label || strcmp(value, (*p)->value) == 0)
			return *p;
		last = &(*p)->next;
	}
	if (metrics->n_own >= OWN_MAX) {
		nomad_error_set(err, ENOSPC, "add counter '%s': a driver may have at most %d counters", name, OWN_MAX);
		return NULL;
	}
	counter = calloc(1, sizeof(*counter));
	if (counter) {
		counter->name = strdup(name);
		counter->help = strdup(help);
		counter->label = label ? strdup(label) : NULL;
		counter->value = label ? strdup(value) : NULL;
	}
	if (!counter || !counter->name || !counter->help || (label && (!counter->label || !counter->value))) {
		if (counter)
			counter_free(counter);
		nomad_error_errno(err, ENOMEM, "add counter '%s'", name);
		return NULL;
	}
	last = last ? last : p;
	counter->next = *last;
	*last = counter;
	metrics->n_own++;
	return counter;
}

struct nomad_counter *nomad__counter_get(struct nomad__metrics *metrics, const char *name, const char *help,
					 const char *label, const char *value, struct nomad_error **err)
{
	struct nomad_counter *counter;

	pthread_mutex_lock(&metrics->lock);
	counter = find_or_add(metrics, name, help, label, value, err);
	pthread_mutex_unlock(&metrics->lock);
	return counter;
}

void nomad_counter_add(struct nomad_counter *counter, uint64_t n)
{
	if (counter)
		count(&counter->count, n);
}

/* ---- Life ---- */

struct nomad__metrics *nomad__metrics_new(const char *driver, const char *version,
					  void (*count_tasks)(void *ud, struct nomad__task_counts *ret), void *ud)
{
	struct nomad__metrics *metrics = calloc(1, sizeof(*metrics));

	if (!metrics)
		return NULL;
	metrics->driver = driver;
	metrics->version = version;
	metrics->count_tasks = count_tasks;
	metrics->ud = ud;
	metrics->since_ns = nomad_wall_ns();
	pthread_mutex_init(&metrics->lock, NULL);
	return metrics;
}

void nomad__metrics_free(struct nomad__metrics *metrics)
{
	if (!metrics)
		return;
	for (size_t i = 0; metrics->rpcs && i <= metrics->n_rpcs; i++)
		free(metrics->rpcs[i].service);
	free(metrics->rpcs);
	for (struct nomad_counter *next; metrics->own; metrics->own = next) {
		next = metrics->own->next;
		counter_free(metrics->own);
	}
	pthread_mutex_destroy(&metrics->lock);
	free(metrics);
}
