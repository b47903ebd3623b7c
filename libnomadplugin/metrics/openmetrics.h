/* SPDX-License-Identifier: MPL-2.0
 *
 * metrics/openmetrics.h: OpenMetrics 1.0 text, family by family. */
#ifndef NOMAD_OPENMETRICS_H
#define NOMAD_OPENMETRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nomad/base.h"

/* What is in `text` is malloc()ed.  After a failed allocation all calls do nothing. */
struct nomad__openmetrics {
	char *text;
	size_t size, room;
	bool failed;
	const char *driver; /* the label that every sample has */
	char family[128];   /* the one that samples belong to now */
};

/* Types that the older Prometheus format knows as well, so that readers of that one understand all. */
enum nomad__openmetrics_type { NOMAD__COUNTER, NOMAD__GAUGE, NOMAD__HISTOGRAM };

/* A family: "nomad_driver_" is put before `name`; its samples follow, and
 * those of no other.  `unit` NULL: none; else the name ends with it. */
void nomad__openmetrics_family(struct nomad__openmetrics *om, enum nomad__openmetrics_type type, const char *name,
			       const char *unit, const char *help);
/* A sample; `suffix` is "_total" of a counter, "_bucket", "_count" or "_sum" of
 * a histogram, "" of a gauge.  Then labels and values in pairs, closed by NULL. */
void nomad__openmetrics_int(struct nomad__openmetrics *om, const char *suffix, uint64_t value, ...)
	__attribute__((sentinel));
void nomad__openmetrics_seconds(struct nomad__openmetrics *om, const char *suffix, int64_t value_ns, ...)
	__attribute__((sentinel));
/* The last line.  0 or -ENOMEM. */
int nomad__openmetrics_end(struct nomad__openmetrics *om) NOMAD_MUST_CHECK;
void nomad__openmetrics_done(struct nomad__openmetrics *om);

/* ---- Histograms of durations ---- */

enum { NOMAD__LATENCIES = 14 }; /* bounds; beyond the last there is +Inf */

/* Zeroed is empty.  Counted into from any thread. */
struct nomad__latency {
	uint64_t buckets[NOMAD__LATENCIES + 1]; /* not added up */
	uint64_t sum_ns;
};

void nomad__latency_add(struct nomad__latency *latency, int64_t ns);
void nomad__openmetrics_latency(struct nomad__openmetrics *om, const struct nomad__latency *latency, const char *label1,
				const char *value1, const char *label2, const char *value2);

#endif
