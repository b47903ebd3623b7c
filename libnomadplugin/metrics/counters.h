/* SPDX-License-Identifier: MPL-2.0
 *
 * metrics/counters.h: the numbers themselves, for text.c.
 *
 * The number of series is bounded by the tables in text.c and
 * wire/methods.c, the codes of gRPC, and 64 of a driver's own: no task, job
 * or allocation has one. */
#ifndef NOMAD_METRICS_COUNTERS_H
#define NOMAD_METRICS_COUNTERS_H

#include <pthread.h>

#include "metrics/metrics.h"

enum { NOMAD__RPC_CODES = 17 };

struct nomad__rpc_counts {
	const char *method; /* behind the slash of path */
	char *service;
	bool timed;
	uint64_t begun, ended[NOMAD__RPC_CODES];
	struct nomad__latency latency;
};

struct nomad_counter {
	struct nomad_counter *next;
	char *name, *help, *label, *value;
	uint64_t count;
};

struct nomad__metrics {
	const char *driver, *version;
	void (*count_tasks)(void *ud, struct nomad__task_counts *ret);
	void *ud;
	int64_t since_ns; /* wall clock */
	uint64_t counts[NOMAD__METRIC_MAX];
	struct nomad__rpc_counts *rpcs; /* n_rpcs, and one for unknown methods; NULL: no agent is served */
	size_t n_rpcs;
	const char *(*code_name)(unsigned code);

	pthread_mutex_t lock;	   /* the next two; of an entry only the count changes */
	struct nomad_counter *own; /* sorted: counters of one name follow each other */
	unsigned n_own;
};

uint64_t nomad__counted(const uint64_t *counter);
/* Finds or makes a counter of the driver's own; the caller has checked the names. */
struct nomad_counter *nomad__counter_get(struct nomad__metrics *metrics, const char *name, const char *help,
					 const char *label, const char *value, struct nomad_error **err);

#endif
