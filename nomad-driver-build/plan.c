/* SPDX-License-Identifier: MPL-2.0
 *
 * The plan as a file: "name=value" and a NUL each.  Lists repeat their name;
 * "action" begins a new action, which what follows belongs to. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plan.h"

enum { PLAN_MAX = 16 << 20 };

struct field {
	const char *name;
	size_t offset;
};
#define FIELD(T, field)                                                                                                \
	{                                                                                                              \
#field, offsetof(T, field)                                                                             \
	}
#define OF_PLAN(field) FIELD(struct build_plan, field)
#define OF_ACTION(field) FIELD(struct build_action, field)

static const struct field strings[] = {
	OF_PLAN(containerfile),
	OF_PLAN(cache),
	OF_PLAN(driver),
	OF_PLAN(merge),
	OF_PLAN(work),
	OF_PLAN(root),
	OF_PLAN(mounts),
	OF_PLAN(base),
	OF_PLAN(cache_max),
	OF_PLAN(cache_age),
	OF_PLAN(measure),
	OF_PLAN(storage_max),
	OF_PLAN(timeout),
	OF_PLAN(patience),
	OF_PLAN(slots),
	OF_PLAN(slot_count),
	OF_PLAN(task),
	OF_PLAN(local),
	OF_PLAN(alloc),
	OF_PLAN(secrets),
	OF_PLAN(engine),
	OF_PLAN(software),
	OF_PLAN(isolation),
	OF_PLAN(network),
	OF_PLAN(policy),
	OF_PLAN(registries),
	OF_PLAN(resolv_conf),
	OF_PLAN(metadata),
	OF_PLAN(registries_conf),
	OF_PLAN(slirp),
	OF_PLAN(sbom),
	OF_PLAN(provenance),
	OF_PLAN(timestamp),
	OF_PLAN(parameters),
	OF_PLAN(builder),
	OF_PLAN(invocation),
	OF_PLAN(containerfile_digest),
};
static const struct field lists[] = { OF_PLAN(platforms),    OF_PLAN(tags), OF_PLAN(names),   OF_PLAN(secret_ids),
				      OF_PLAN(secret_files), OF_PLAN(env),  OF_PLAN(features) };
static const struct field action_strings[] = {
	OF_ACTION(path), OF_ACTION(partial),	 OF_ACTION(reference),
	OF_ACTION(type), OF_ACTION(digest_file), OF_ACTION(retry),
};

static char **string_at(const void *base, const struct field *field)
{
	return (char **)((char *)base + field->offset);
}

static char ***list_at(const void *base, const struct field *field)
{
	return (char ***)((char *)base + field->offset);
}

struct build_action *build_plan_add(struct build_plan *plan, int kind)
{
	struct build_action *grown = reallocarray(plan->actions, plan->n_actions + 1, sizeof(*grown));

	if (!grown)
		return NULL;
	plan->actions = grown;
	grown[plan->n_actions] = (struct build_action){ .kind = kind };
	return &grown[plan->n_actions++];
}

/* ---- Write ---- */

static void put(FILE *out, const char *name, const char *value)
{
	if (value)
		fprintf(out, "%s=%s%c", name, value, 0);
}

static void put_all(FILE *out, const char *name, char *const *values)
{
	size_t i;

	for (i = 0; values && values[i]; i++)
		put(out, name, values[i]);
}

int build_plan_write(const struct build_plan *plan, const char *path, struct nomad_error **err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	size_t i, j;
	bool failed;

	if (!out) {
		int saved = errno;

		if (fd >= 0)
			close(fd);
		return nomad_error_errno(err, saved, "write '%s'", path);
	}
	for (i = 0; i < NOMAD_ARRAY_LEN(strings); i++)
		put(out, strings[i].name, *string_at(plan, &strings[i]));
	for (i = 0; i < NOMAD_ARRAY_LEN(lists); i++)
		put_all(out, lists[i].name, *list_at(plan, &lists[i]));
	for (i = 0; i < plan->n_actions; i++) {
		fprintf(out, "action=%d%c", plan->actions[i].kind, 0);
		for (j = 0; j < NOMAD_ARRAY_LEN(action_strings); j++)
			put(out, action_strings[j].name, *string_at(&plan->actions[i], &action_strings[j]));
		put_all(out, "argv", plan->actions[i].argv);
	}
	failed = ferror(out);
	if (fclose(out) || failed)
		return nomad_error_errno(err, errno, "write '%s'", path);
	return 0;
}

/* ---- Read ---- */

/* 1 if the name is in the table. */
static int take_string(const struct field *fields, size_t n, void *base, const char *name, size_t size,
		       const char *value)
{
	size_t i;

	for (i = 0; i < n; i++) {
		char **to = string_at(base, &fields[i]);

		if (strlen(fields[i].name) != size || memcmp(fields[i].name, name, size) != 0)
			continue;
		free(*to);
		*to = strdup(value);
		return *to ? 1 : -ENOMEM;
	}
	return 0;
}

static int add_action(struct build_plan *plan, int kind)
{
	if (kind < 0 || kind >= BUILD_ACTION_MAX)
		return -EINVAL;
	return build_plan_add(plan, kind) ? 0 : -ENOMEM;
}

static int take_line(struct build_plan *plan, const char *line)
{
	const char *value = strchr(line, '=');
	struct build_action *action = plan->n_actions ? &plan->actions[plan->n_actions - 1] : NULL;
	size_t size, i;
	int r;

	if (!value)
		return -EINVAL;
	size = (size_t)(value++ - line);
	if (strncmp(line, "action=", 7) == 0)
		return add_action(plan, atoi(value));
	if (action) {
		r = take_string(action_strings, NOMAD_ARRAY_LEN(action_strings), action, line, size, value);
		if (r)
			return r;
		return strncmp(line, "argv=", 5) == 0 ? nomad_strv_add(&action->argv, value) : -EINVAL;
	}
	r = take_string(strings, NOMAD_ARRAY_LEN(strings), plan, line, size, value);
	for (i = 0; i < NOMAD_ARRAY_LEN(lists) && !r; i++)
		if (strlen(lists[i].name) == size && memcmp(lists[i].name, line, size) == 0)
			return nomad_strv_add(list_at(plan, &lists[i]), value);
	return r ? r : -EINVAL;
}

static int read_all(int fd, char **ret_text, size_t *ret_size)
{
	size_t done = 0;
	struct stat st;
	char *text;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > PLAN_MAX)
		return -EFBIG;
	text = malloc((size_t)st.st_size + 1);
	while (text && done < (size_t)st.st_size) {
		ssize_t n = read(fd, text + done, (size_t)st.st_size - done);

		if (n <= 0 && (!n || errno != EINTR)) {
			free(text);
			return -EIO;
		}
		done += n > 0 ? (size_t)n : 0;
	}
	if (!text)
		return -ENOMEM;
	text[done] = 0;
	*ret_text = text;
	*ret_size = done;
	return 0;
}

int build_plan_read(const char *path, struct build_plan *ret, struct nomad_error **err)
{
	NOMAD_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct build_plan plan = { 0 };
	NOMAD_AUTO_FREE char *text = NULL;
	size_t size = 0, at;
	int r = fd < 0 ? -errno : read_all(fd, &text, &size);

	for (at = 0; r >= 0 && at < size; at += strlen(text + at) + 1)
		r = take_line(&plan, text + at);
	if (r >= 0 && (!plan.work || !plan.root || !plan.task || !plan.local || !plan.alloc || !plan.secrets ||
		       !plan.engine || !plan.isolation || !plan.network || !plan.policy || !plan.registries ||
		       !plan.registries_conf || !plan.n_actions))
		r = -EINVAL;
	for (at = 0; r >= 0 && at < plan.n_actions; at++)
		if (!plan.actions[at].argv)
			r = -EINVAL;
	if (r < 0) {
		build_plan_done(&plan);
		return nomad_error_errno(err, -r, "read '%s'", path);
	}
	*ret = plan;
	return 0;
}

void build_plan_done(struct build_plan *plan)
{
	size_t i, j;

	for (i = 0; i < NOMAD_ARRAY_LEN(strings); i++)
		free(*string_at(plan, &strings[i]));
	for (i = 0; i < NOMAD_ARRAY_LEN(lists); i++)
		nomad_strv_free(*list_at(plan, &lists[i]));
	for (i = 0; i < plan->n_actions; i++) {
		for (j = 0; j < NOMAD_ARRAY_LEN(action_strings); j++)
			free(*string_at(&plan->actions[i], &action_strings[j]));
		nomad_strv_free(plan->actions[i].argv);
	}
	free(plan->actions);
	*plan = (struct build_plan){ 0 };
}
