/* SPDX-License-Identifier: MPL-2.0
 *
 * OpenMetrics 1.0 text.  A sample is a line `name{label="value",...} number`;
 * a counter's name ends with _total, which its family's does not; "# EOF"
 * tells that nothing was cut off.
 *
 * A histogram is kept as a count for each bucket and added up when it is
 * shown, so that the sum of what is shown agrees with itself whatever is
 * counted meanwhile. */
#include "metrics/openmetrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Text ---- */

static void put(struct nomad__openmetrics *om, const char *s, size_t size)
{
	if (om->failed)
		return;
	if (size >= om->room - om->size) {
		size_t room = om->room ? om->room : 4096;
		char *text;

		while (size >= room - om->size)
			room *= 2;
		text = realloc(om->text, room);
		if (!text) {
			om->failed = true;
			return;
		}
		om->text = text;
		om->room = room;
	}
	memcpy(om->text + om->size, s, size);
	om->size += size;
	om->text[om->size] = '\0';
}

static void put_text(struct nomad__openmetrics *om, const char *s)
{
	put(om, s, strlen(s));
}

/* The three that have to be escaped. */
static void put_escaped(struct nomad__openmetrics *om, const char *s)
{
	for (size_t n; *s; s += n) {
		n = strcspn(s, "\\\"\n");
		put(om, s, n);
		if (!s[n])
			break;
		put_text(om, s[n] == '\n' ? "\\n" : s[n] == '"' ? "\\\"" : "\\\\");
		n++;
	}
}

void nomad__openmetrics_family(struct nomad__openmetrics *om, enum nomad__openmetrics_type type, const char *name,
			       const char *unit, const char *help)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };

	snprintf(om->family, sizeof(om->family), "nomad_driver_%s", name);
	put_text(om, "# TYPE ");
	put_text(om, om->family);
	put_text(om, " ");
	put_text(om, types[type]);
	if (unit) {
		put_text(om, "\n# UNIT ");
		put_text(om, om->family);
		put_text(om, " ");
		put_text(om, unit);
	}
	put_text(om, "\n# HELP ");
	put_text(om, om->family);
	put_text(om, " ");
	put_escaped(om, help);
	put_text(om, "\n");
}

static void put_label(struct nomad__openmetrics *om, const char *label, const char *value)
{
	put_text(om, ",");
	put_text(om, label);
	put_text(om, "=\"");
	put_escaped(om, value);
	put_text(om, "\"");
}

static void sample(struct nomad__openmetrics *om, const char *suffix, const char *number, va_list labels)
{
	const char *label, *value;

	put_text(om, om->family);
	put_text(om, suffix);
	put_text(om, "{driver=\"");
	put_escaped(om, om->driver);
	put_text(om, "\"");
	while ((label = va_arg(labels, const char *)) && (value = va_arg(labels, const char *)))
		put_label(om, label, value);
	put_text(om, "} ");
	put_text(om, number);
	put_text(om, "\n");
}

void nomad__openmetrics_int(struct nomad__openmetrics *om, const char *suffix, uint64_t value, ...)
{
	char number[24];
	va_list labels;

	snprintf(number, sizeof(number), "%" PRIu64, value);
	va_start(labels, value);
	sample(om, suffix, number, labels);
	va_end(labels);
}

void nomad__openmetrics_seconds(struct nomad__openmetrics *om, const char *suffix, int64_t value_ns, ...)
{
	char number[40];
	va_list labels;

	/* In whole numbers: no locale, no rounding. */
	snprintf(number, sizeof(number), "%" PRId64 ".%09" PRId64, value_ns / 1000000000, value_ns % 1000000000);
	va_start(labels, value_ns);
	sample(om, suffix, number, labels);
	va_end(labels);
}

int nomad__openmetrics_end(struct nomad__openmetrics *om)
{
	put_text(om, "# EOF\n");
	return om->failed ? -ENOMEM : 0;
}

void nomad__openmetrics_done(struct nomad__openmetrics *om)
{
	free(om->text);
	om->text = NULL;
	om->size = om->room = 0;
}

/* ---- Histograms ---- */

/* From what an answer out of memory takes to what a stop with a long kill
 * timeout does; `text` is the canonical form of the number. */
static const struct {
	int64_t ns;
	const char *text;
} bounds[NOMAD__LATENCIES] = {
	{ INT64_C(1000000), "0.001" },	  { INT64_C(2500000), "0.0025" },   { INT64_C(5000000), "0.005" },
	{ INT64_C(10000000), "0.01" },	  { INT64_C(25000000), "0.025" },   { INT64_C(50000000), "0.05" },
	{ INT64_C(100000000), "0.1" },	  { INT64_C(250000000), "0.25" },   { INT64_C(500000000), "0.5" },
	{ INT64_C(1000000000), "1.0" },	  { INT64_C(2500000000), "2.5" },   { INT64_C(5000000000), "5.0" },
	{ INT64_C(10000000000), "10.0" }, { INT64_C(30000000000), "30.0" },
};

void nomad__latency_add(struct nomad__latency *latency, int64_t ns)
{
	size_t i = 0;

	if (ns < 0)
		ns = 0;
	while (i < NOMAD__LATENCIES && ns > bounds[i].ns)
		i++;
	__atomic_add_fetch(&latency->buckets[i], 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&latency->sum_ns, (uint64_t)ns, __ATOMIC_RELAXED);
}

void nomad__openmetrics_latency(struct nomad__openmetrics *om, const struct nomad__latency *latency, const char *label1,
				const char *value1, const char *label2, const char *value2)
{
	uint64_t count = 0;

	for (size_t i = 0; i <= NOMAD__LATENCIES; i++) {
		count += __atomic_load_n(&latency->buckets[i], __ATOMIC_RELAXED);
		nomad__openmetrics_int(om, "_bucket", count, label1, value1, label2, value2, "le",
				       i < NOMAD__LATENCIES ? bounds[i].text : "+Inf", NULL);
	}
	nomad__openmetrics_int(om, "_count", count, label1, value1, label2, value2, NULL);
	nomad__openmetrics_seconds(om, "_sum", (int64_t)__atomic_load_n(&latency->sum_ns, __ATOMIC_RELAXED), label1,
				   value1, label2, value2, NULL);
}
