/* SPDX-License-Identifier: MPL-2.0
 *
 * From the rows of a task's options to the `policy` block of the plugin.
 *
 *	policy {
 *	  mode       = "default"
 *	  allow_bind = ["/srv"]
 *	  namespace {
 *	    name = "prod"
 *	    mode = "open"
 *	  }
 *	}
 *
 * Namespaces are a list of blocks with a name in them and not labelled
 * blocks: Nomad decodes labels into a map, in which all blocks must have one
 * and the same type, and a namespace says only some of the rules. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "schema/inner.h"

enum { FIELD = 8 }; /* room for each rule's field, whatever its type */

static const char *const modes[] = { "default", "open", NULL };

const struct nomad__rule *nomad__policy_rule(const struct nomad__policy_table *table, const char *name)
{
	for (size_t i = 0; name && i < table->n_rules; i++)
		if (strcmp(table->rules[i].power->rule, name) == 0)
			return &table->rules[i];
	return NULL;
}

const struct nomad_option *nomad__policy_option(const struct nomad_schema *task, const char *name)
{
	size_t n = strcspn(name, ".");
	const struct nomad_option *option = nomad__option_find(task, name, n);

	if (!option || !name[n])
		return option;
	return option->block ? nomad__policy_option(option->block, name + n + 1) : NULL;
}

char *nomad__policy_undeclared(const struct nomad_schema *task)
{
	for (size_t i = 0; i < task->count; i++) {
		const struct nomad_option *option = &task->options[i];
		NOMAD_AUTO_FREE char *inner = option->block ? nomad__policy_undeclared(option->block) : NULL;

		if (inner)
			return nomad_strdupf("%s.%s", option->name, inner);
		if (!option->block && !option->power && !option->harmless)
			return strdup(option->name);
	}
	return NULL;
}

/* ---- Rules ---- */

static enum nomad_option_type type_of(const struct nomad_power *power)
{
	return power->kind == NOMAD_POWER_PRIVILEGE ? NOMAD_TRISTATE
	       : power->kind == NOMAD_POWER_AMOUNT  ? NOMAD_INT
						    : NOMAD_STRING_LIST;
}

static int add_rule(struct nomad__policy_table *table, const struct nomad_power *power, const char *option)
{
	struct nomad__rule *rule = (struct nomad__rule *)nomad__policy_rule(table, power->rule);
	char *options;

	if (!rule) {
		rule = reallocarray(table->rules, table->n_rules + 1, sizeof(*rule));
		if (!rule)
			return -ENOMEM;
		table->rules = rule;
		rule += table->n_rules;
		*rule = (struct nomad__rule){
			.power = power,
			.type = type_of(power),
			.offset = sizeof(struct nomad__policy) + FIELD * table->n_rules,
		};
		table->n_rules++;
	}
	if (rule->type != type_of(power))
		return -EINVAL; /* one rule, two kinds */
	options = rule->options ? nomad_strdupf("%s, %s", rule->options, option) : strdup(option);
	free(rule->options);
	rule->options = options;
	return options ? 0 : -ENOMEM;
}

static int add_rules(struct nomad__policy_table *table, const struct nomad_schema *schema, const char *up)
{
	int r = 0;

	for (size_t i = 0; i < schema->count && r == 0; i++) {
		const struct nomad_option *option = &schema->options[i];
		NOMAD_AUTO_FREE char *path = nomad_strdupf("%s%s%s", up, *up ? "." : "", option->name);

		if (!path)
			r = -ENOMEM;
		else if (option->block)
			r = add_rules(table, option->block, path);
		else if (option->power)
			r = add_rule(table, option->power, path);
	}
	return r;
}

/* ---- Their help ---- */

static int add_list(char **text, const char *before, const char *const *words, const char *behind)
{
	char *longer;

	for (size_t i = 0; words && words[i]; i++) {
		longer = nomad_strdupf("%s%s%s%s", *text, i ? ", " : before, words[i], words[i + 1] ? "" : behind);
		if (!longer)
			return -ENOMEM;
		free(*text);
		*text = longer;
	}
	return 0;
}

static char *first_sentence(const struct nomad__rule *rule)
{
	const struct nomad_power *power = rule->power;
	const char *options = rule->options;

	switch (power->kind) {
	case NOMAD_POWER_READ:
	case NOMAD_POWER_WRITE:
		return nomad_strdupf("Lists paths of the host that jobs may give to %s, each with everything below it. "
				     "Symbolic links are resolved first.%s",
				     options,
				     power->strict && power->own_dirs
					     ? " The task's own local and secrets directories need no rule."
				     : power->strict ? ""
						     : " Files that Nomad gives to the task need no rule: volumes "
						       "and the directories alloc, local and secrets.");
	case NOMAD_POWER_DEVICE:
		return nomad_strdupf("Lists device nodes of the host, or directories of them, that jobs may give to "
				     "%s. Symbolic links are resolved first.",
				     options);
	case NOMAD_POWER_USER:
		return nomad_strdupf("Lists user ids of the host (FIRST-LAST) and words that jobs may give to %s.",
				     options);
	case NOMAD_POWER_PRIVILEGE:
		return nomad_strdupf("Allows jobs to give %s another value than the safe one.", options);
	case NOMAD_POWER_AMOUNT:
		return nomad_strdupf("The maximum of %s, which is also the value for jobs that give none. 0: no "
				     "maximum. Default: %" PRId64 ".",
				     options, power->maximum);
	case NOMAD_POWER_IMAGE:
		return nomad_strdupf("Lists values that jobs may give to %s, as globs. A glob that is longer than the "
				     "name of the host allows no other host and no \"..\".",
				     options);
	default:
		return nomad_strdupf("Lists values that jobs may give to %s, as globs.", options);
	}
}

static int make_help(struct nomad__rule *rule)
{
	const struct nomad_power *power = rule->power;
	int r;

	rule->help = first_sentence(rule);
	if (!rule->help)
		return -ENOMEM;
	if (power->kind == NOMAD_POWER_AMOUNT)
		return 0;
	r = add_list(&rule->help, power->kind == NOMAD_POWER_PRIVILEGE ? " Safe: " : " Always allowed: ", power->safe,
		     ".");
	if (r == 0 && power->also)
		r = add_list(&rule->help, " Allowed as well: what the rule ", (const char *[]){ power->also, NULL },
			     " says.");
	if (r == 0 && power->help)
		r = add_list(&rule->help, " ", (const char *[]){ power->help, NULL }, "");
	if (r < 0 || power->otherwise)
		return r < 0 ? r : add_list(&rule->help, " Default: ", power->otherwise, ".");
	return add_list(&rule->help, " Default: ",
			(const char *[]){ power->kind != NOMAD_POWER_PRIVILEGE ? "nothing else"
					  : power->allowed		       ? "true"
									       : "false",
					  NULL },
			".");
}

/* ---- The block ---- */

static void put_rows(struct nomad__policy_table *table, struct nomad_option *rows)
{
	rows[0] = (struct nomad_option)NOMAD_OPTION(
		struct nomad__policy, mode, STRING, .choices = modes,
		.help = "Selects whether the rules apply. With \"default\" jobs may do what the rules allow. With "
			"\"open\" there are no rules, and every job author can become root on this node.");
	for (size_t i = 0; i < table->n_rules; i++)
		rows[i + 1] = (struct nomad_option){
			.name = table->rules[i].power->rule,
			.type = table->rules[i].type,
			.offset = table->rules[i].offset,
			.max = table->rules[i].type == NOMAD_INT ? INT64_MAX : 0,
			.help = table->rules[i].help,
		};
}

static int make_block(struct nomad__policy_table *table)
{
	size_t n = table->n_rules + 2, size = sizeof(struct nomad__policy) + FIELD * table->n_rules;
	struct nomad_option *inner;

	table->rows = calloc(2 * n, sizeof(*table->rows));
	if (!table->rows)
		return -ENOMEM;
	inner = table->rows + n;
	put_rows(table, table->rows);
	put_rows(table, inner);
	inner[n - 1] = (struct nomad_option)NOMAD_OPTION(
		struct nomad__policy, name, STRING, .required = true, .non_empty = true,
		.help = "Names the Nomad namespace for this block, as a glob. The first block that matches applies.",
		.example = "\"team-*\"");
	table->rows[n - 1] = (struct nomad_option)NOMAD_OPTION_AS(
		struct nomad__policy, namespaces, "namespace", BLOCK_LIST, .block = &table->in_namespace,
		.help = "Sets rules for the jobs of a Nomad namespace. A rule in it replaces the same rule of the "
			"policy block, and so does mode; all other rules still apply.",
		.example = "{\n  name = \"prod\"\n  mode = \"default\"\n}");
	table->in_namespace = (struct nomad_schema){ .options = inner, .count = n, .size = size };
	table->schema = (struct nomad_schema){ .options = table->rows, .count = n, .size = size };
	return 0;
}

void nomad__policy_table_free(struct nomad__policy_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->n_rules; i++) {
		free(table->rules[i].options);
		free(table->rules[i].help);
	}
	free(table->rules);
	free(table->rows);
	free(table);
}

/* A row that somebody added and did not think about. */
static int check_declared(const struct nomad_schema *task, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *option = nomad__policy_undeclared(task);

	return option ? nomad_error_set(err, EINVAL,
					"option table: '%s': neither .power nor .harmless is set; set one of them",
					option)
		      : 0;
}

int nomad__policy_table_new(const struct nomad_schema *task, struct nomad__policy_table **ret, struct nomad_error **err)
{
	struct nomad__policy_table *table = calloc(1, sizeof(*table));
	int r = table ? add_rules(table, task, "") : -ENOMEM;

	if (r == 0 && table->n_rules && check_declared(task, err) < 0) {
		nomad__policy_table_free(table);
		return -EINVAL;
	}

	for (size_t i = 0; r == 0 && i < table->n_rules; i++)
		r = make_help(&table->rules[i]);
	if (r == 0 && table->n_rules)
		r = make_block(table);
	if (r < 0 || !table->n_rules) {
		nomad__policy_table_free(table);
		*ret = NULL;
		return r < 0 ? nomad_error_errno(err, -r, "set up the rules of the plugin's policy") : 0;
	}
	*ret = table;
	return 0;
}
