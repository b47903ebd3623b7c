/* SPDX-License-Identifier: MPL-2.0
 *
 * The fields that a table describes: how large, what "absent" looks like in
 * each, and how they are given back.  Two rows may fill one field (an old and
 * a new name): after freeing, a field is empty, so the second pass does nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "schema/inner.h"

static const struct {
	size_t size, align;
} fields[NOMAD_OPTION_TYPE_MAX] = {
#define FIELD(type)                                                                                                    \
	{                                                                                                              \
		sizeof(type), _Alignof(type)                                                                           \
	}
	[NOMAD_STRING] = FIELD(char *),
	[NOMAD_INT] = FIELD(int64_t),
	[NOMAD_NUMBER] = FIELD(double),
	[NOMAD_BOOL] = FIELD(bool),
	[NOMAD_TRISTATE] = FIELD(int),
	[NOMAD_STRING_LIST] = FIELD(char **),
	[NOMAD_STRING_MAP] = FIELD(struct nomad_map),
	[NOMAD_INT_MAP] = FIELD(struct nomad_int_map),
	[NOMAD_BLOCK] = FIELD(void *),
	[NOMAD_BLOCK_LIST] = FIELD(struct nomad_block_list),
#undef FIELD
};

size_t nomad__field_size(enum nomad_option_type type)
{
	return fields[type].size;
}

size_t nomad__field_align(enum nomad_option_type type)
{
	return fields[type].align;
}

bool nomad__schema_has_secrets(const struct nomad_schema *schema)
{
	for (size_t i = 0; i < schema->count; i++)
		if (schema->options[i].secret ||
		    (schema->options[i].block && nomad__schema_has_secrets(schema->options[i].block)))
			return true;
	return false;
}

void nomad__config_init(const struct nomad_schema *schema, void *config)
{
	memset(config, 0, schema->size);
	for (size_t i = 0; i < schema->count; i++) {
		void *field = (char *)config + schema->options[i].offset;

		switch (schema->options[i].type) {
		case NOMAD_INT:
			*(int64_t *)field = NOMAD_INT_UNSET;
			break;
		case NOMAD_NUMBER:
			*(double *)field = NAN;
			break;
		case NOMAD_TRISTATE:
			*(int *)field = -1;
			break;
		default:
			break;
		}
	}
}

void *nomad__config_new(const struct nomad_schema *schema)
{
	void *config = calloc(1, schema->size ? schema->size : 1);

	if (config)
		nomad__config_init(schema, config);
	return config;
}

void nomad__wipe_string(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
}

static void map_done(struct nomad_map *map, bool secret)
{
	for (size_t i = 0; secret && i < map->count; i++) {
		nomad__wipe_string(map->pairs[i].key);
		nomad__wipe_string(map->pairs[i].value);
	}
	nomad_map_done(map);
}

static void int_map_done(struct nomad_int_map *map, bool secret)
{
	for (size_t i = 0; secret && i < map->count; i++) {
		nomad__wipe_string(map->pairs[i].key);
		map->pairs[i].value = 0;
	}
	nomad_int_map_done(map);
}

static void strv_done(char ***strv, bool secret)
{
	for (char **s = *strv; secret && s && *s; s++)
		nomad__wipe_string(*s);
	nomad_strv_free(*strv);
	*strv = NULL;
}

static void blocks_done(const struct nomad_schema *block, struct nomad_block_list *list, bool secret)
{
	for (size_t i = 0; i < list->count; i++)
		nomad__config_done(block, (char *)list->items + i * block->size, secret);
	free(list->items);
	*list = (struct nomad_block_list){ 0 };
}

static void field_done(const struct nomad_option *option, void *field, bool secret)
{
	switch (option->type) {
	case NOMAD_STRING:
		if (secret)
			nomad__wipe_string(*(char **)field);
		free(*(char **)field);
		*(char **)field = NULL;
		break;
	case NOMAD_STRING_LIST:
		strv_done(field, secret);
		break;
	case NOMAD_STRING_MAP:
		map_done(field, secret);
		break;
	case NOMAD_INT_MAP:
		int_map_done(field, secret);
		break;
	case NOMAD_BLOCK:
		if (*(void **)field) {
			nomad__config_done(option->block, *(void **)field, secret);
			free(*(void **)field);
			*(void **)field = NULL;
		}
		break;
	case NOMAD_BLOCK_LIST:
		blocks_done(option->block, field, secret);
		break;
	default:
		break;
	}
}

void nomad__config_done(const struct nomad_schema *schema, void *config, bool secret)
{
	for (size_t i = 0; i < schema->count; i++) {
		const struct nomad_option *option = &schema->options[i];

		field_done(option, (char *)config + option->offset, secret || option->secret);
	}
	if (secret || nomad__schema_has_secrets(schema))
		explicit_bzero(config, schema->size);
}

void nomad__config_free(const struct nomad_schema *schema, void *config)
{
	if (!config)
		return;
	nomad__config_done(schema, config, false);
	free(config);
}
