/* SPDX-License-Identifier: MPL-2.0
 *
 * What a job asks for against the entries of a rule: paths, globs, ranges. */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "schema/inner.h"

bool nomad__power_is_path(enum nomad_power_kind kind)
{
	return kind == NOMAD_POWER_READ || kind == NOMAD_POWER_WRITE || kind == NOMAD_POWER_DEVICE;
}

bool nomad__path_is_below(const char *path, const char *above)
{
	size_t n = strlen(above), size = strlen(path);

	/* The way back is not followed by anybody who compares text. */
	if (strstr(path, "/../") || (size >= 3 && strcmp(path + size - 3, "/..") == 0))
		return false;
	while (n > 0 && above[n - 1] == '/')
		n--;
	return *path == '/' && *above == '/' && strncmp(path, above, n) == 0 && (!path[n] || path[n] == '/');
}

/* An operator may name a path through links; the compared path has no links. */
static bool path_matches(const char *entry, const char *value)
{
	NOMAD_AUTO_FREE char *real = realpath(entry, NULL);

	/* A driver may accept other forms; those are compared unchanged. */
	return nomad__path_is_below(value, real ? real : entry) || (*value != '/' && strcmp(entry, value) == 0);
}

static const char *without_cap(const char *name)
{
	return strncasecmp(name, "CAP_", 4) == 0 ? name + 4 : name;
}

/* FIRST and LAST of "FIRST", "FIRST-LAST" (separator '-') or "FIRST:COUNT" (':'). */
static bool parse_range(const char *text, char separator, uint64_t *ret_first, uint64_t *ret_second)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	*ret_first = strtoull(text, &end, 10);
	*ret_second = separator == '-' ? *ret_first : 65536;
	if (*end == separator && end[1] >= '0' && end[1] <= '9')
		*ret_second = strtoull(end + 1, &end, 10);
	return !*end && *ret_first <= UINT32_MAX && *ret_second <= UINT32_MAX;
}

static bool user_matches(const char *entry, const char *value)
{
	uint64_t first, count, low, high;

	if (!parse_range(value, ':', &first, &count) || !parse_range(entry, '-', &low, &high))
		return strcmp(entry, value) == 0;
	return count > 0 && first >= low && first + count - 1 <= high;
}

/* Bytes of the scheme and the host in a URL, of the first part in another name. */
static size_t origin_length(const char *value)
{
	const char *scheme = strstr(value, "://"), *host = scheme ? scheme + 3 : value;

	return (size_t)(host - value) + strcspn(host, "/");
}

/* '*' matches slashes, too, so that the host is compared by itself.  Servers and their clients know other ends of a
 * host's name and other ways to write "..". */
static bool image_matches(const char *entry, const char *value)
{
	size_t entry_length = origin_length(entry), value_length = origin_length(value);
	NOMAD_AUTO_FREE char *entry_origin = strndup(entry, entry_length);
	NOMAD_AUTO_FREE char *origin = strndup(value, value_length);

	if (!entry_origin || !origin || fnmatch(entry, value, 0) != 0)
		return false;
	if (!entry[entry_length])
		return true;
	return !strpbrk(origin, "?#@\\") && fnmatch(entry_origin, origin, 0) == 0 && !strstr(value, "/..") &&
	       !strcasestr(value, "%2e") && !strchr(value + value_length, '\\');
}

static bool matches(enum nomad_power_kind kind, const char *entry, const char *value)
{
	if (nomad__power_is_path(kind))
		return path_matches(entry, value);
	if (kind == NOMAD_POWER_CAPABILITY)
		return fnmatch(without_cap(entry), without_cap(value), FNM_CASEFOLD) == 0;
	if (kind == NOMAD_POWER_USER)
		return user_matches(entry, value);
	if (kind == NOMAD_POWER_IMAGE)
		return image_matches(entry, value);
	return fnmatch(entry, value, 0) == 0;
}

bool nomad__power_matches(enum nomad_power_kind kind, const char *const *entries, const char *value)
{
	for (; entries && *entries; entries++)
		if (matches(kind, *entries, value))
			return true;
	return false;
}

/* ---- The values of a row ---- */

static int add_parts(char ***values, const struct nomad_power *power, const char *value)
{
	NOMAD_AUTO_STRV char **parts = NULL;
	int r = 0;

	if (!power->parts)
		return nomad_strv_add(values, value);
	parts = power->parts(value);
	if (!parts)
		return -1;
	for (char **part = parts; *part && r == 0; part++)
		r = nomad_strv_add(values, *part);
	return r;
}

static int add_map(char ***values, const struct nomad_power *power, const struct nomad_map *map)
{
	int r = 0;

	for (size_t i = 0; i < map->count && r == 0; i++)
		r = add_parts(values, power, power->keys ? map->pairs[i].key : map->pairs[i].value);
	return r;
}

char **nomad__power_values(const struct nomad_option *option, const void *config)
{
	const void *field = (const char *)config + option->offset;
	char **values = calloc(1, sizeof(*values));
	int r = values ? 0 : -1;

	switch (option->type) {
	case NOMAD_STRING:
		if (r == 0 && *(char *const *)field)
			r = add_parts(&values, option->power, *(char *const *)field);
		break;
	case NOMAD_STRING_LIST:
		for (char *const *s = *(char **const *)field; r == 0 && s && *s; s++)
			r = add_parts(&values, option->power, *s);
		break;
	case NOMAD_STRING_MAP:
		if (r == 0)
			r = add_map(&values, option->power, field);
		break;
	case NOMAD_BOOL:
		if (r == 0)
			r = nomad_strv_add(&values, *(const bool *)field ? "true" : "false");
		break;
	case NOMAD_TRISTATE:
		if (r == 0 && *(const int *)field >= 0)
			r = nomad_strv_add(&values, *(const int *)field ? "true" : "false");
		break;
	case NOMAD_INT:
		if (r == 0 && *(const int64_t *)field != NOMAD_INT_UNSET)
			r = nomad_strv_addf(&values, "%" PRId64, *(const int64_t *)field);
		break;
	default:
		break;
	}
	if (r == 0)
		return values;
	nomad_strv_free(values);
	return NULL;
}
