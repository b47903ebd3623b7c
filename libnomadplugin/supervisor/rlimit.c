/* SPDX-License-Identifier: MPL-2.0
 *
 * Resource limits by name, as people write them. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "nomad/error.h"
#include "nomad/task.h"

static const struct {
	const char *name;
	int resource;
} names[] = {
	{ "core", RLIMIT_CORE },
	{ "cpu", RLIMIT_CPU },
	{ "data", RLIMIT_DATA },
	{ "fsize", RLIMIT_FSIZE },
	{ "memlock", RLIMIT_MEMLOCK },
	{ "nofile", RLIMIT_NOFILE },
	{ "nproc", RLIMIT_NPROC },
	{ "stack", RLIMIT_STACK },
	{ "as", RLIMIT_AS },
	{ "rss", RLIMIT_RSS },
#ifdef RLIMIT_LOCKS
	{ "locks", RLIMIT_LOCKS },
#endif
#ifdef RLIMIT_MSGQUEUE
	{ "msgqueue", RLIMIT_MSGQUEUE },
#endif
#ifdef RLIMIT_NICE
	{ "nice", RLIMIT_NICE },
#endif
#ifdef RLIMIT_RTPRIO
	{ "rtprio", RLIMIT_RTPRIO },
#endif
#ifdef RLIMIT_RTTIME
	{ "rttime", RLIMIT_RTTIME },
#endif
#ifdef RLIMIT_SIGPENDING
	{ "sigpending", RLIMIT_SIGPENDING },
#endif
};

static bool parse(const char *s, size_t n, uint64_t *ret)
{
	char text[24], *end;

	if (n == 0 || n >= sizeof(text))
		return false;
	memcpy(text, s, n);
	text[n] = 0;
	if (strcmp(text, "unlimited") == 0 || strcmp(text, "-1") == 0) {
		*ret = NOMAD_RLIMIT_NONE;
		return true;
	}
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return isdigit((unsigned char)*text) && !*end && !errno && *ret <= INT64_MAX;
}

int nomad_rlimit_parse(const char *name, const char *value, struct nomad_rlimit *ret, struct nomad_error **err)
{
	const char *colon = strchr(value, ':');
	struct nomad_rlimit limit = { .resource = -1 };

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(names); i++)
		if (strcmp(names[i].name, name) == 0)
			limit.resource = names[i].resource;
	if (limit.resource < 0)
		return nomad_error_set(err, EINVAL,
				       "resource limit '%s': unknown; use nofile, nproc, core, memlock, stack or "
				       "another of setrlimit(2), in lower case",
				       name);
	if (!parse(value, colon ? (size_t)(colon - value) : strlen(value), &limit.soft) ||
	    (colon && !parse(colon + 1, strlen(colon + 1), &limit.hard)))
		return nomad_error_set(
			err, EINVAL,
			"resource limit '%s': invalid value '%s'; write SOFT:HARD, one number for both, or unlimited",
			name, value);
	if (!colon)
		limit.hard = limit.soft;
	if (limit.soft > limit.hard)
		return nomad_error_set(err, EINVAL,
				       "resource limit '%s': invalid value '%s': the soft limit is above the hard one",
				       name, value);
	*ret = limit;
	return 0;
}
