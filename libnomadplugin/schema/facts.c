/* SPDX-License-Identifier: MPL-2.0
 *
 * A row in words, for the terminal and for the manual: both say the same. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "schema/inner.h"

const char *nomad__type_text(const struct nomad_option *option)
{
	static const char *const names[NOMAD_OPTION_TYPE_MAX] = {
		[NOMAD_STRING] = "string",
		[NOMAD_INT] = "whole number",
		[NOMAD_NUMBER] = "number",
		[NOMAD_BOOL] = "true or false",
		[NOMAD_TRISTATE] = "true or false",
		[NOMAD_STRING_LIST] = "list of strings",
		[NOMAD_STRING_MAP] = "map of strings",
		[NOMAD_INT_MAP] = "map of whole numbers",
		[NOMAD_BLOCK] = "block",
		[NOMAD_BLOCK_LIST] = "block, repeatable",
	};

	return (unsigned)option->type < NOMAD_OPTION_TYPE_MAX ? names[option->type] : "?";
}

static int add_bounds(const struct nomad_option *option, char ***facts)
{
	const char *blank = option->unit ? " " : "", *unit = option->unit ? option->unit : "";

	if (option->min == 0 && option->max == 0)
		return option->unit ? nomad_strv_addf(facts, "Unit: %s.", unit) : 0;
	if (option->max == INT64_MAX)
		return nomad_strv_addf(facts, "At least %" PRId64 "%s%s.", option->min, blank, unit);
	if (option->min == INT64_MIN)
		return nomad_strv_addf(facts, "At most %" PRId64 "%s%s.", option->max, blank, unit);
	return nomad_strv_addf(facts, "From %" PRId64 " to %" PRId64 "%s%s.", option->min, option->max, blank, unit);
}

static int add_choices(const struct nomad_option *option, char ***facts)
{
	char text[1024] = "";
	size_t used = 0;

	for (const char *const *choice = option->choices; choice && *choice; choice++) {
		int r = snprintf(text + used, sizeof(text) - used, "%s%s", used ? ", " : "", *choice);

		if (r > 0 && (size_t)r < sizeof(text) - used)
			used += (size_t)r;
	}
	return used ? nomad_strv_addf(facts, "One of: %s.", text) : 0;
}

int nomad__option_facts(const struct nomad_option *option, char ***facts)
{
	int r = 0;

	if (option->deprecated)
		r = nomad_strv_add(facts, "Deprecated.");
	if (r == 0 && option->def && option->secret)
		r = nomad_strv_add(facts, "It has a default.");
	if (r == 0 && option->def && !option->secret)
		r = nomad_strv_addf(facts, "Default: %s.", option->def);
	if (r == 0)
		r = add_choices(option, facts);
	if (r == 0)
		r = add_bounds(option, facts);
	if (r == 0 && option->non_empty)
		r = nomad_strv_add(facts, "Must not be empty.");
	if (r == 0 && option->max_items)
		r = nomad_strv_addf(facts, "At most %" PRIu32 " entries.", option->max_items);
	if (r == 0 && option->power)
		r = nomad_strv_addf(facts, "Rule of the operator's policy: %s.", option->power->rule);
	if (r == 0 && option->secret)
		r = nomad_strv_add(facts, "Secret: it is never shown, logged or stored.");
	return r;
}

char *nomad__option_example(const struct nomad_option *option)
{
	/* Blocks and maps are written as blocks are. */
	return nomad_strdupf("%s%s%s", option->name, option->example[0] == '{' ? " " : " = ", option->example);
}
