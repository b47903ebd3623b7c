/* SPDX-License-Identifier: MPL-2.0
 *
 * What PID 1 of a container is told, see init/task.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "argv.h"

struct buffer {
	char *data;
	size_t size, room;
	int r;
};

static void put(struct buffer *b, const char *key, const char *value)
{
	size_t n = strlen(key) + (value ? 1 + strlen(value) : 0) + 1;

	if (b->r < 0)
		return;
	if (b->size + n > b->room) {
		size_t room = 2 * (b->room + n);
		char *data = realloc(b->data, room);

		if (!data) {
			b->r = -ENOMEM;
			return;
		}
		b->data = data;
		b->room = room;
	}
	snprintf(b->data + b->size, n, "%s%s%s", key, value ? "=" : "", value ? value : "");
	b->size += n;
}

static void put_health(struct buffer *b, const struct nspawn_config *config, const struct nspawn_oci *oci)
{
	const bool off = config->boot || (config->healthchecks && config->healthchecks->disable);
	const size_t n = oci->health && !off ? nomad_strv_count((const char *const *)oci->health) : 0;
	char text[128];

	snprintf(text, sizeof(text), "%lld %lld %lld %lld %d %zu", (long long)oci->health_ms[0],
		 (long long)oci->health_ms[1], (long long)oci->health_ms[2], (long long)oci->health_ms[3],
		 oci->health_retries, n);
	put(b, text, NULL);
	for (size_t i = 0; i < n; i++)
		put(b, oci->health[i], NULL);
}

/* "name=value\n..."; NULL: no memory. */
static char *lines(const struct nomad_map *map)
{
	char *text = strdup(""), *longer;

	for (size_t i = 0; text && i < map->count; i++) {
		longer = nomad_strdupf("%s%s=%s\n", text, map->pairs[i].key, map->pairs[i].value);
		free(text);
		text = longer;
	}
	return text;
}

/* "a,b,c" of the list and one more; never NULL but for lack of memory. */
static char *joined(char **list, const char *more)
{
	char *text = strdup(more ? more : ""), *longer;

	for (; text && list && *list; list++) {
		longer = nomad_strdupf("%s%s%s", text, *text ? "," : "", *list);
		free(text);
		text = longer;
	}
	return text;
}

int nspawn_spec(const struct nspawn_config *config, const struct nspawn_machine *m, const struct nomad_map *task_env,
		char **ret_data, size_t *ret_size, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *sysctls = lines(&config->sysctl);
	NOMAD_AUTO_FREE char *groups = joined(config->group_add, m->oci->groups);
	struct buffer b = { 0 };
	const char *user, *cwd;
	size_t i;

	if (!groups || !sysctls)
		return nomad_error_errno(err, ENOMEM, "write the environment of the task");
	user = config->user ? config->user : m->user ? m->user : m->oci->user;
	cwd = config->working_directory ? config->working_directory : m->oci->cwd;
	put(&b, config->boot || !user ? "" : user, NULL);
	put(&b, config->boot || !cwd ? "" : cwd, NULL);
	put(&b, config->boot ? "" : groups, NULL);
	put(&b, sysctls, NULL);
	put_health(&b, config, m->oci);
	for (i = 0; i < m->oci->env.count; i++)
		if (!nomad_map_get(task_env, m->oci->env.pairs[i].key) &&
		    !nomad_map_get(&config->environment, m->oci->env.pairs[i].key))
			put(&b, m->oci->env.pairs[i].key, m->oci->env.pairs[i].value);
	for (i = 0; i < config->environment.count; i++)
		if (!nomad_map_get(task_env, config->environment.pairs[i].key))
			put(&b, config->environment.pairs[i].key, config->environment.pairs[i].value);
	for (i = 0; i < task_env->count; i++)
		put(&b, task_env->pairs[i].key, task_env->pairs[i].value);
	if (b.r < 0) {
		free(b.data);
		return nomad_error_errno(err, ENOMEM, "write the environment of the task");
	}
	if (b.size > 1 << 20) { /* systemd's limit for a credential */
		free(b.data);
		return nomad_error_set(err, E2BIG, "the environment of the task takes %zu bytes, more than 1 MiB",
				       b.size);
	}
	*ret_data = b.data;
	*ret_size = b.size;
	return 0;
}
