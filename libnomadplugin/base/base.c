/* SPDX-License-Identifier: MPL-2.0
 *
 * Containers and scope clean-up of nomad/base.h. */
#include "nomad/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct nomad_pair *map_find(const struct nomad_map *map, const char *key)
{
	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->pairs[i].key, key) == 0)
			return &map->pairs[i];
	return NULL;
}

int nomad_map_set(struct nomad_map *map, const char *key, const char *value)
{
	struct nomad_pair *pair = map_find(map, key), *pairs;
	char *copy = strdup(value), *name;

	if (!copy)
		return -ENOMEM;
	if (pair) {
		free(pair->value);
		pair->value = copy;
		return 0;
	}
	name = strdup(key);
	pairs = name ? reallocarray(map->pairs, map->count + 1, sizeof(*pairs)) : NULL;
	if (!pairs) {
		free(name);
		free(copy);
		return -ENOMEM;
	}
	map->pairs = pairs;
	pairs[map->count++] = (struct nomad_pair){ .key = name, .value = copy };
	return 0;
}

const char *nomad_map_get(const struct nomad_map *map, const char *key)
{
	const struct nomad_pair *pair = map_find(map, key);

	return pair ? pair->value : NULL;
}

void nomad_map_remove(struct nomad_map *map, const char *key)
{
	struct nomad_pair *pair = map_find(map, key);

	if (!pair)
		return;
	free(pair->key);
	free(pair->value);
	memmove(pair, pair + 1, (char *)(map->pairs + map->count) - (char *)(pair + 1));
	map->count--;
}

int nomad_map_copy(struct nomad_map *dst, const struct nomad_map *src)
{
	*dst = (struct nomad_map){ 0 };
	if (!src->count)
		return 0;
	dst->pairs = calloc(src->count, sizeof(*dst->pairs));
	if (!dst->pairs)
		return -ENOMEM;
	for (size_t i = 0; i < src->count; i++) {
		dst->count = i + 1;
		dst->pairs[i].key = strdup(src->pairs[i].key);
		dst->pairs[i].value = strdup(src->pairs[i].value);
		if (!dst->pairs[i].key || !dst->pairs[i].value) {
			nomad_map_done(dst);
			return -ENOMEM;
		}
	}
	return 0;
}

void nomad_map_done(struct nomad_map *map)
{
	if (!map)
		return;
	for (size_t i = 0; i < map->count; i++) {
		free(map->pairs[i].key);
		free(map->pairs[i].value);
	}
	free(map->pairs);
	*map = (struct nomad_map){ 0 };
}

int nomad_int_map_set(struct nomad_int_map *map, const char *key, int64_t value)
{
	struct nomad_int_pair *pairs;
	char *name;

	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->pairs[i].key, key) == 0) {
			map->pairs[i].value = value;
			return 0;
		}
	name = strdup(key);
	pairs = name ? reallocarray(map->pairs, map->count + 1, sizeof(*pairs)) : NULL;
	if (!pairs) {
		free(name);
		return -ENOMEM;
	}
	map->pairs = pairs;
	pairs[map->count++] = (struct nomad_int_pair){ .key = name, .value = value };
	return 0;
}

bool nomad_int_map_get(const struct nomad_int_map *map, const char *key, int64_t *ret_value)
{
	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->pairs[i].key, key) == 0) {
			*ret_value = map->pairs[i].value;
			return true;
		}
	return false;
}

void nomad_int_map_done(struct nomad_int_map *map)
{
	if (!map)
		return;
	for (size_t i = 0; i < map->count; i++)
		free(map->pairs[i].key);
	free(map->pairs);
	*map = (struct nomad_int_map){ 0 };
}

size_t nomad_strv_count(const char *const *strv)
{
	size_t n = 0;

	while (strv && strv[n])
		n++;
	return n;
}

static int strv_add_taken(char ***strv, char *take_s)
{
	size_t n = nomad_strv_count((const char *const *)*strv);
	char **grown = take_s ? reallocarray(*strv, n + 2, sizeof(*grown)) : NULL;

	if (!grown) {
		free(take_s);
		return -ENOMEM;
	}
	grown[n] = take_s;
	grown[n + 1] = NULL;
	*strv = grown;
	return 0;
}

int nomad_strv_add(char ***strv, const char *s)
{
	return strv_add_taken(strv, strdup(s));
}

int nomad_strv_addf(char ***strv, const char *fmt, ...)
{
	va_list args;
	char *s;

	va_start(args, fmt);
	if (vasprintf(&s, fmt, args) < 0)
		s = NULL;
	va_end(args);
	return strv_add_taken(strv, s);
}

char **nomad_strv_copy(const char *const *strv)
{
	size_t n = nomad_strv_count(strv);
	char **copy = calloc(n + 1, sizeof(*copy));

	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = strdup(strv[i]);
		if (!copy[i]) {
			nomad_strv_free(copy);
			return NULL;
		}
	}
	return copy;
}

void nomad_strv_free(char **strv)
{
	for (size_t i = 0; strv && strv[i]; i++)
		free(strv[i]);
	free(strv);
}

char *nomad_strdupf(const char *fmt, ...)
{
	va_list args;
	char *s;

	va_start(args, fmt);
	if (vasprintf(&s, fmt, args) < 0)
		s = NULL;
	va_end(args);
	return s;
}

void nomad_autofree_(void *p)
{
	free(*(void **)p);
}

void nomad_autoclose_(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

void nomad_autostrv_(char ***strv)
{
	nomad_strv_free(*strv);
}
