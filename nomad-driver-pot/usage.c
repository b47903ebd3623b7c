/* SPDX-License-Identifier: MPL-2.0
 *
 * usage.c: from what racct says about a jail to the numbers that Nomad shows.
 *
 * racct has two measures of CPU.  `pcpu` is a decaying mean, good at once but
 * sluggish; `cputime` is exact but counts whole seconds, which says nothing
 * over one second.  So: pcpu until there are two samples WINDOW_MS apart,
 * from then on the difference of cputime over the last such window. */
#include "usage.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "nomad/error.h"

#define WINDOW_MS 10000

struct entry {
	struct entry *next;
	char *slug;
	int64_t time_ms;
	uint64_t cputime_s;
	double percent;
	bool known;
};

struct pot_usage {
	pthread_mutex_t lock;
	struct entry *entries;
};

struct pot_usage *pot_usage_new(void)
{
	struct pot_usage *usage = calloc(1, sizeof(*usage));

	if (usage)
		pthread_mutex_init(&usage->lock, NULL);
	return usage;
}

void pot_usage_free(struct pot_usage *usage)
{
	if (!usage)
		return;
	while (usage->entries) {
		struct entry *next = usage->entries->next;

		free(usage->entries->slug);
		free(usage->entries);
		usage->entries = next;
	}
	pthread_mutex_destroy(&usage->lock);
	free(usage);
}

/* The value of "key=" in a comma list. */
static bool value_of(const char *list, const char *key, uint64_t *ret)
{
	size_t n = strlen(key);

	for (const char *p = list; p && *p; p = strchr(p, ','), p = p ? p + 1 : NULL) {
		if (strncmp(p, key, n) == 0 && p[n] == '=') {
			char *end;
			uint64_t value = strtoumax(p + n + 1, &end, 10);

			if (end == p + n + 1)
				return false;
			*ret = value;
			return true;
		}
	}
	return false;
}

static double cpu_percent(struct pot_usage *usage, const char *slug, uint64_t cputime_s, double pcpu, int64_t now_ms)
{
	struct entry *e;
	double percent;

	pthread_mutex_lock(&usage->lock);
	for (e = usage->entries; e && strcmp(e->slug, slug) != 0; e = e->next)
		;
	if (!e && (e = calloc(1, sizeof(*e)))) {
		e->slug = strdup(slug);
		e->time_ms = now_ms;
		e->cputime_s = cputime_s;
		if (e->slug) {
			e->next = usage->entries;
			usage->entries = e;
		} else {
			free(e);
			e = NULL;
		}
	}
	if (e && now_ms - e->time_ms >= WINDOW_MS) {
		if (cputime_s >= e->cputime_s) {
			e->percent = (double)(cputime_s - e->cputime_s) * 100000.0 / (double)(now_ms - e->time_ms);
			e->known = true;
		}
		e->time_ms = now_ms;
		e->cputime_s = cputime_s;
	}
	percent = e && e->known ? e->percent : pcpu;
	pthread_mutex_unlock(&usage->lock);
	return percent;
}

int pot_usage_sample(struct pot_usage *usage, const char *slug, const char *racct, int64_t now_ms,
		     struct nomad_stats *ret, struct nomad_error **err)
{
	uint64_t value, pcpu = 0;

	memset(ret, 0, sizeof(*ret));
	if (value_of(racct, "pcpu", &pcpu)) {
		ret->cpu_percent = (double)pcpu;
		ret->measured |= NOMAD_STAT_CPU;
	}
	if (value_of(racct, "cputime", &value)) {
		ret->cpu_percent = cpu_percent(usage, slug, value, (double)pcpu, now_ms);
		ret->measured |= NOMAD_STAT_CPU;
	}
	if (value_of(racct, "memoryuse", &ret->rss_bytes)) {
		ret->usage_bytes = ret->rss_bytes;
		ret->measured |= NOMAD_STAT_RSS | NOMAD_STAT_USAGE;
	}
	if (value_of(racct, "swapuse", &ret->swap_bytes))
		ret->measured |= NOMAD_STAT_SWAP;
	if (!ret->measured)
		return nomad_error_set(err, EINVAL, "the kernel's account of the jail has no CPU or memory usage");
	return 0;
}

void pot_usage_forget(struct pot_usage *usage, const char *slug)
{
	pthread_mutex_lock(&usage->lock);
	for (struct entry **p = &usage->entries; *p; p = &(*p)->next) {
		if (strcmp((*p)->slug, slug) == 0) {
			struct entry *e = *p;

			*p = e->next;
			free(e->slug);
			free(e);
			break;
		}
	}
	pthread_mutex_unlock(&usage->lock);
}
