/* SPDX-License-Identifier: MPL-2.0
 *
 * A task's options against the `policy` block, before its start.
 *
 * For each value of a row that gives power: one that is safe by itself is
 * fine; else an entry of the rule has to allow it.  The rule is that of the
 * first namespace block for the job, else of the policy block, else the
 * row's own default.  A task that runs is never judged again. */
#include "core/policy.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/options.h"
#include "core/plugin.h"
#include "core/task.h"
#include "schema/schema.h"

/* What holds for one namespace. */
struct view {
	const struct nomad__policy_table *table; /* NULL: this driver has no policy */
	const struct nomad__policy *all, *own;	 /* or NULL */
	bool open;
};

struct entries {
	const char *const *list;
	int64_t number; /* NOMAD_INT_UNSET: none */
	int allowed;	/* -1: nothing said */
};

static void view_of(const struct nomad_plugin *plugin, const char *namespace_name, struct view *ret)
{
	const struct nomad__policy *all = nomad__library_config(plugin)->policy;
	const char *mode;

	*ret = (struct view){ .table = nomad__options_policy(plugin), .all = all };
	for (size_t i = 0; ret->table && all && i < all->namespaces.count && !ret->own; i++) {
		const char *at = (const char *)all->namespaces.items + i * ret->table->in_namespace.size;
		const struct nomad__policy *own = (const void *)at;

		if (fnmatch(own->name, namespace_name, 0) == 0)
			ret->own = own;
	}
	mode = ret->own && ret->own->mode ? ret->own->mode : all ? all->mode : NULL;
	ret->open = mode && strcmp(mode, "open") == 0;
}

static struct entries said_in(const struct nomad__policy *policy, const struct nomad__rule *rule)
{
	const void *field = policy ? (const char *)policy + rule->offset : NULL;
	struct entries entries = { .number = NOMAD_INT_UNSET, .allowed = -1 };

	if (field && rule->type == NOMAD_STRING_LIST)
		entries.list = *(const char *const *const *)field;
	else if (field && rule->type == NOMAD_INT)
		entries.number = *(const int64_t *)field;
	else if (field)
		entries.allowed = *(const int *)field;
	return entries;
}

static struct entries entries_of(const struct view *view, const struct nomad__rule *rule)
{
	struct entries own = said_in(view->own, rule), all = said_in(view->all, rule);

	if (!own.list)
		own.list = all.list ? all.list : rule->power->otherwise;
	if (own.number == NOMAD_INT_UNSET)
		own.number = all.number != NOMAD_INT_UNSET ? all.number : rule->power->maximum;
	if (own.allowed < 0)
		own.allowed = all.allowed >= 0 ? all.allowed : rule->power->allowed;
	return own;
}

/* ---- One value ---- */

static bool is_below_real(const char *path, const char *dir)
{
	NOMAD_AUTO_FREE char *real = dir && *dir ? realpath(dir, NULL) : NULL;

	return real && nomad__path_is_below(path, real);
}

/* In the directories that no other task has. */
static bool is_private(const struct nomad_task *task, const char *path)
{
	return is_below_real(path, task->local_dir) || is_below_real(path, task->secrets_dir);
}

/* In the directories that the task has anyway.  Who could write to that of the logs, or rename it, would make the agent
 * open any file. */
static bool is_own(const struct nomad_task *task, enum nomad_power_kind kind, const char *path)
{
	NOMAD_AUTO_FREE char *shared = task->shared_dir ? realpath(task->shared_dir, NULL) : NULL;
	NOMAD_AUTO_FREE char *logs = shared ? nomad_strdupf("%s/logs", shared) : NULL;

	if (logs && nomad__path_is_below(path, shared))
		return kind == NOMAD_POWER_READ ||
		       (!nomad__path_is_below(path, logs) && !nomad__path_is_below(logs, path));
	return is_private(task, path);
}

/* Nomad has given it to the task already.  Not so a device node: another task of the group may have made it. */
static bool is_given(const struct nomad_task *task, const struct nomad_power *power, const char *path)
{
	const enum nomad_power_kind kind = power->kind;
	const struct nomad_task_info *info = &task->info;
	struct stat st;

	if (kind == NOMAD_POWER_DEVICE || lstat(path, &st) < 0 || S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		return false;
	if (power->strict)
		return power->own_dirs && is_private(task, path);
	if (is_own(task, kind, path))
		return true;
	for (size_t i = 0; i < info->n_mounts; i++)
		if ((kind == NOMAD_POWER_READ || !info->mounts[i].readonly) &&
		    is_below_real(path, info->mounts[i].host_path))
			return true;
	return false;
}

static bool is_allowed(const struct view *view, const struct nomad_task *task, const struct nomad__rule *rule,
		       const struct nomad_power *power, const char *value)
{
	const struct nomad__rule *also = nomad__policy_rule(view->table, power->also);
	struct entries entries = entries_of(view, rule);

	if (power->kind == NOMAD_POWER_AMOUNT) {
		int64_t amount = strtoll(value, NULL, 10);

		return !entries.number || amount <= entries.number;
	}
	if (nomad__power_matches(power->kind, power->safe, value))
		return true;
	if (power->kind == NOMAD_POWER_PRIVILEGE)
		return entries.allowed > 0;
	return nomad__power_matches(power->kind, entries.list, value) ||
	       (also && nomad__power_matches(power->kind, entries_of(view, also).list, value)) ||
	       (nomad__power_is_path(power->kind) && is_given(task, power, value));
}

/* ---- A refusal ---- */

enum {
	REFUSALS_MAX = 8, /* that an error names */
	VALUE_MAX = 512,  /* bytes of a value that it shows */
};

static void put_quoted(FILE *out, const char *text)
{
	const char *end = text + strnlen(text, VALUE_MAX);

	putc('"', out);
	for (; text < end; text++) {
		if (*text == '"' || *text == '\\' || (*text == '$' && text[1] == '{'))
			putc(*text == '$' ? '$' : '\\', out);
		if ((unsigned char)*text < ' ')
			fprintf(out, "\\x%02x", (unsigned char)*text);
		else
			putc(*text, out);
	}
	fputs(*text ? "...\"" : "\"", out);
}

/* "655360:2000" is the range 655360-657359 in a rule. */
static void put_entry(FILE *out, enum nomad_power_kind kind, const char *value)
{
	uint64_t first, count = 65536;

	if (kind == NOMAD_POWER_USER && sscanf(value, "%" SCNu64 ":%" SCNu64, &first, &count) >= 1 && count > 0)
		fprintf(out, "\"%" PRIu64 "-%" PRIu64 "\"", first, first + count - 1);
	else
		put_quoted(out, value);
}

static void put_list(FILE *out, const char *const *list)
{
	for (const char *const *e = list; e && *e; e++) {
		fputs(e > list ? ", " : "", out);
		put_quoted(out, *e);
	}
}

struct refusal {
	const struct nomad__rule *rule;
	char *option, *value;
};

struct judge {
	const struct nomad_task *task;
	bool offline; /* not on the task's node */
	struct view view;
	struct refusal refusals[REFUSALS_MAX];
	size_t n_refusals;
	bool failed; /* out of memory */
};

/* The line that would allow all that was refused, with what the rule says already. */
static void put_line(FILE *out, const struct judge *j, const struct nomad__rule *rule)
{
	struct entries entries = entries_of(&j->view, rule);
	const char *separator = entries.list && *entries.list ? ", " : "";
	int64_t number = 0;

	fprintf(out, "%s = %s", rule->power->rule, rule->type == NOMAD_STRING_LIST ? "[" : "");
	if (rule->type == NOMAD_STRING_LIST)
		put_list(out, entries.list);
	for (size_t i = 0; i < j->n_refusals; i++) {
		const char *value = j->refusals[i].value;

		if (j->refusals[i].rule != rule)
			continue;
		if (rule->type == NOMAD_STRING_LIST) {
			fputs(separator, out);
			put_entry(out, rule->power->kind, value);
			separator = ", ";
		} else if (rule->type == NOMAD_INT && strtoll(value, NULL, 10) > number) {
			number = strtoll(value, NULL, 10);
		}
	}
	if (rule->type == NOMAD_INT)
		fprintf(out, "%" PRId64, number);
	else
		fputs(rule->type == NOMAD_TRISTATE ? "true" : "]", out);
}

/* All refusals by one rule.  `alone`: no other rule refuses anything. */
static void put_refusals(FILE *out, const struct judge *j, const struct nomad__rule *rule, bool alone)
{
	const struct view *view = &j->view;
	bool whole = alone && !view->all;
	const char *before = "";

	for (size_t i = 0; i < j->n_refusals; i++) {
		if (j->refusals[i].rule != rule)
			continue;
		fprintf(out, "%soption '%s': ", before, j->refusals[i].option);
		put_quoted(out, j->refusals[i].value);
		before = ", ";
	}
	fprintf(out, " is not allowed by the rule %s; to allow it, write into ", rule->power->rule);
	if (view->own)
		fprintf(out, "the block namespace \"%s\" of policy in the plugin block: ", view->own->name);
	else
		fprintf(out, "the plugin block%s: ", whole ? "" : ", in policy");
	fputs(whole ? "policy { " : "", out);
	put_line(out, j, rule);
	fputs(whole ? " }" : "", out);
}

static bool is_first(const struct judge *j, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (j->refusals[i].rule == j->refusals[at].rule)
			return false;
	return true;
}

static char *verdict(const struct judge *j)
{
	char *text = NULL;
	size_t size, n_rules = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < j->n_refusals; i++)
		n_rules += is_first(j, i);
	for (size_t i = 0; i < j->n_refusals; i++) {
		if (!is_first(j, i))
			continue;
		fputs(i ? "; " : "", out);
		put_refusals(out, j, j->refusals[i].rule, n_rules == 1);
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* ---- All values ---- */

static void judge_value(struct judge *j, const struct nomad_power *power, const char *option, const char *value)
{
	const struct nomad__rule *rule = nomad__policy_rule(j->view.table, power->rule);
	struct refusal *refusal = &j->refusals[j->n_refusals];

	/* Only the node knows what these are. */
	if (j->offline && (strstr(value, "${") || (nomad__power_is_path(power->kind) && *value != '/')))
		return;
	if (is_allowed(&j->view, j->task, rule, power, value) || j->n_refusals >= REFUSALS_MAX)
		return;
	*refusal = (struct refusal){ .rule = rule, .option = strdup(option), .value = strdup(value) };
	j->n_refusals++;
	j->failed |= !refusal->option || !refusal->value;
}

/* A path that does not exist gives a job nothing; its name is checked unresolved. */
static int judge_option(struct judge *j, const struct nomad_option *option, const char *path, const void *config)
{
	NOMAD_AUTO_STRV char **values = nomad__power_values(option, config);

	if (!values)
		return -ENOMEM;
	for (char **value = values; *value; value++) {
		NOMAD_AUTO_FREE char *real = nomad__power_is_path(option->power->kind) ? realpath(*value, NULL) : NULL;

		judge_value(j, option->power, path, real ? real : *value);
	}
	return 0;
}

static int judge_block(struct judge *j, const struct nomad_schema *schema, const char *up, const void *config)
{
	int r = 0;

	for (size_t i = 0; config && i < schema->count && r == 0; i++) {
		const struct nomad_option *option = &schema->options[i];
		NOMAD_AUTO_FREE char *path = nomad_strdupf("%s%s%s", up, *up ? "." : "", option->name);
		const void *field = (const char *)config + option->offset;
		const struct nomad_block_list *list = field;

		if (!path)
			return -ENOMEM;
		if (option->type == NOMAD_BLOCK)
			r = judge_block(j, option->block, path, *(void *const *)field);
		else if (option->type == NOMAD_BLOCK_LIST)
			for (size_t n = 0; n < list->count && r == 0; n++)
				r = judge_block(j, option->block, path,
						(const char *)list->items + n * option->block->size);
		else if (option->power && (j->offline || !option->power->by_driver))
			r = judge_option(j, option, path, config);
	}
	return r;
}

/* Begins a judgment.  False: there are no rules. */
static bool begin(struct judge *j, const struct nomad_task *task)
{
	*j = (struct judge){ .task = task };
	view_of(task->plugin, task->info.namespace_name, &j->view);
	return j->view.table && !j->view.open;
}

/* `r` is what the judgment came to. */
static int end(struct judge *j, int r, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *text = r < 0 || j->failed ? NULL : verdict(j);

	for (size_t i = 0; i < j->n_refusals; i++) {
		free(j->refusals[i].option);
		free(j->refusals[i].value);
	}
	if (!text)
		return nomad_error_errno(err, ENOMEM, "check the options of the task");
	return j->n_refusals ? nomad_error_set(err, EACCES, "policy of this node: %s", text) : 0;
}

int nomad__policy_check(const struct nomad_task *task, struct nomad_error **err)
{
	struct judge j;

	return begin(&j, task) ? end(&j, judge_block(&j, task->plugin->driver->task_schema, "", task->config), err) : 0;
}

int nomad__policy_check_config(struct nomad_plugin *plugin, const char *namespace_name, void *config,
			       struct nomad_error **err)
{
	const struct nomad_task task = { .plugin = plugin, .info.namespace_name = (char *)namespace_name };
	struct judge j;

	if (!begin(&j, &task))
		return 0;
	j.offline = true;
	return end(&j, judge_block(&j, plugin->driver->task_schema, "", config), err);
}

int nomad_task_may(const struct nomad_task *task, const char *option, const char *value, struct nomad_error **err)
{
	const struct nomad_option *row = nomad__policy_option(task->plugin->driver->task_schema, option);
	struct judge j;

	if (!begin(&j, task))
		return 0;
	if (!row || !row->power)
		return nomad_error_set(err, EINVAL, "policy: option '%s' has no rule", option);
	judge_value(&j, row->power, option, value);
	return end(&j, 0, err);
}

int64_t nomad_task_limit(const struct nomad_task *task, const char *option, int64_t value)
{
	const struct nomad_option *row = nomad__policy_option(task->plugin->driver->task_schema, option);
	const struct nomad__rule *rule;
	struct view view;

	view_of(task->plugin, task->info.namespace_name, &view);
	rule = row && row->power && view.table ? nomad__policy_rule(view.table, row->power->rule) : NULL;
	if (value > 0 || !rule || view.open)
		return value > 0 ? value : 0;
	return entries_of(&view, rule).number;
}

/* ---- What is in force ---- */

const char *nomad__policy_mode(const struct nomad_plugin *plugin)
{
	const struct nomad__policy *all = nomad__library_config(plugin)->policy;

	if (!nomad__options_policy(plugin))
		return NULL;
	return all && all->mode ? all->mode : "default";
}

static bool says(const struct nomad__policy *policy, const struct nomad__rule *rule)
{
	struct entries entries = said_in(policy, rule);

	return entries.list || entries.number != NOMAD_INT_UNSET || entries.allowed >= 0;
}

static void print_rule(const struct view *view, const struct nomad__rule *rule, FILE *out)
{
	struct entries entries = entries_of(view, rule);

	fprintf(out, "  %s = ", rule->power->rule);
	if (rule->type == NOMAD_TRISTATE) {
		fputs(entries.allowed ? "true" : "false", out);
	} else if (rule->type == NOMAD_INT) {
		fprintf(out, "%" PRId64, entries.number);
	} else {
		putc('[', out);
		put_list(out, entries.list);
		putc(']', out);
	}
	fprintf(out, " # %s; for %s",
		says(view->own, rule)	? "namespace"
		: says(view->all, rule) ? "policy"
					: "default",
		rule->options);
	if (rule->power->safe) {
		fputs("; always allowed: ", out);
		put_list(out, rule->power->safe);
	}
	putc('\n', out);
}

bool nomad__policy_print(const struct nomad_plugin *plugin, const char *namespace_name, FILE *out)
{
	struct view view;

	view_of(plugin, namespace_name, &view);
	if (!view.table)
		return false;
	fprintf(out, "policy {\n  mode = \"%s\" # %s\n", view.open ? "open" : "default",
		view.own && view.own->mode   ? "namespace"
		: view.all && view.all->mode ? "policy"
					     : "default");
	for (size_t i = 0; !view.open && i < view.table->n_rules; i++)
		print_rule(&view, &view.table->rules[i], out);
	fputs("}\n", out);
	return true;
}
