/* SPDX-License-Identifier: MPL-2.0 */
/* Reading the agent's own part of the configuration. */
#ifndef NOMADINIT_AGENTJSON_H
#define NOMADINIT_AGENTJSON_H

#include <jansson.h>
#include <stdbool.h>

/* A section, or NULL.  HCL's habit allows a list of one block. */
static inline json_t *agent_section(const json_t *agent, const char *name)
{
	json_t *s = json_object_get(agent, name);

	return json_is_array(s) ? json_array_get(s, 0) : s;
}

static inline bool agent_is_enabled(const json_t *agent, const char *name)
{
	return json_is_true(json_object_get(agent_section(agent, name), "enabled"));
}

static inline const char *agent_text(const json_t *object, const char *key, const char *otherwise)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s && *s ? s : otherwise;
}

#endif
