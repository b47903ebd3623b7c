/* SPDX-License-Identifier: MPL-2.0
 *
 * The powers that task options give, see powers.h.
 *
 * No option gives power over the node: an instance runs in the data centre,
 * and the plugin is confined.  What a job can harm are the other instances of
 * the account, its bill, and what is reachable from outside.  By default only
 * the instances of others are protected. */
#include <stdlib.h>
#include <string.h>

#include "fwrules.h"
#include "powers.h"

/* An empty name or id is as good as none. */
static char **name_given(const char *value)
{
	char **names = calloc(1, sizeof(*names));

	if (names && *value && nomad_strv_add(&names, value) < 0) {
		nomad_strv_free(names);
		return NULL;
	}
	return names;
}

/* Nobody needs the whole text in an error. */
static char **some_script(const char *value)
{
	return name_given(*value ? "..." : "");
}

/* NAME of NAME:PORT:priority=N. */
static char **service_name(const char *value)
{
	NOMAD_AUTO_FREE char *name = strndup(value, strcspn(value, ":"));

	return name ? name_given(name) : NULL;
}

/* Skips the string in quotes at `at`. */
static const char *behind_quotes(const char *at)
{
	for (at++; *at && *at != '"'; at++)
		if (*at == '\\' && at[1])
			at++;
	return *at ? at + 1 : at;
}

/* Where the target at `at` of a rule in its canonical form ends. */
static const char *end_of_target(const char *at)
{
	static const char *const ends[] = { " OR ", " TO ", " ALLOW ", " BLOCK ", ")" };

	while (*at) {
		for (size_t i = 0; i < NOMAD_ARRAY_LEN(ends); i++)
			if (strncmp(at, ends[i], strlen(ends[i])) == 0)
				return at;
		at = *at == '"' ? behind_quotes(at) : at + 1;
	}
	return at;
}

char **triton_fwrule_instances(const char *rule)
{
	NOMAD_AUTO_FREE char *text = NULL;
	char **found = calloc(1, sizeof(*found));
	const char *at, *end;

	if (!found || triton_fwrule_canonical(rule, &text, NULL) < 0)
		return found; /* refused by the check of the option */
	for (at = text; *at; at = end) {
		bool begins = at > text && (at[-1] == ' ' || at[-1] == '(');

		if (!begins ||
		    (strncmp(at, "all vms", 7) != 0 && strncmp(at, "tag ", 4) != 0 && strncmp(at, "vm ", 3) != 0)) {
			end = *at == '"' ? behind_quotes(at) : at + 1;
			continue;
		}
		end = end_of_target(at);
		if (nomad_strv_addf(&found, "%.*s", (int)(end - at), at) < 0) {
			nomad_strv_free(found);
			return NULL;
		}
	}
	return found;
}

static const char *const anything[] = { "*", NULL };
static const char *const any_tag[] = { "tag *", NULL };
static const char *const no[] = { "false", NULL };

const struct nomad_power triton_power_image = {
	.kind = NOMAD_POWER_IMAGE, .rule = "allow_image", .otherwise = anything, .parts = name_given
};
const struct nomad_power triton_power_package = {
	.kind = NOMAD_POWER_WORD, .rule = "allow_package", .otherwise = anything, .parts = name_given
};
const struct nomad_power triton_power_network = {
	.kind = NOMAD_POWER_NETWORK, .rule = "allow_network", .otherwise = anything, .parts = name_given
};
const struct nomad_power triton_power_public_network = {
	.kind = NOMAD_POWER_NETWORK,
	.rule = "allow_public_network",
	.otherwise = anything,
	.help = "The rule allow_tags bounds the label triton.network.public.",
	.parts = name_given,
};
const struct nomad_power triton_power_ports = { .kind = NOMAD_POWER_NETWORK,
						.rule = "allow_ports",
						.otherwise = anything,
						.help = "A container with published ports gets a public address." };
const struct nomad_power triton_power_all_ports = {
	.kind = NOMAD_POWER_PRIVILEGE, .rule = "allow_all_ports", .safe = no, .allowed = true
};
const struct nomad_power triton_power_user_script = {
	.kind = NOMAD_POWER_PRIVILEGE, .rule = "allow_user_script", .allowed = true, .parts = some_script
};
const struct nomad_power triton_power_labels = {
	.kind = NOMAD_POWER_WORD, .rule = "allow_tags", .otherwise = anything, .keys = true
};
const struct nomad_power triton_power_tags = {
	.kind = NOMAD_POWER_WORD, .rule = "allow_tags", .otherwise = anything, .keys = true
};
const struct nomad_power triton_power_cns = {
	.kind = NOMAD_POWER_WORD, .rule = "allow_cns", .otherwise = anything, .parts = service_name
};
const struct nomad_power triton_power_fwrules = {
	.kind = NOMAD_POWER_WORD,
	.rule = "allow_fwrules",
	.otherwise = any_tag,
	.help = "What is compared are the instances that a rule names: all vms, vm ID, tag \"KEY\" or tag \"KEY\" = "
		"\"VALUE\".",
	.parts = triton_fwrule_instances,
};
const struct nomad_power triton_power_deletion_protection = {
	.kind = NOMAD_POWER_PRIVILEGE, .rule = "allow_deletion_protection", .safe = no, .allowed = true
};
const struct nomad_power triton_power_volume = { .kind = NOMAD_POWER_WORD,
						 .rule = "allow_volume",
						 .otherwise = anything };
