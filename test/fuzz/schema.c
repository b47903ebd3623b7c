/* SPDX-License-Identifier: MPL-2.0
 *
 * The first byte says what the rest is.  'j': the JSON of a job's config, for
 * a table that has every type; what is accepted has to be well-formed msgpack.
 * Anything else: a table made of the bytes, with names and literals from them;
 * one that passes the check is described, printed, and decodes the defaults. */
#include <errno.h>
#include <jansson.h>

#include "base/log.h"
#include "fuzz.h"
#include "schema/everything.h"
#include "schema/inner.h"

enum { MAX_TABLES = 8, MAX_ROWS = 6, MAX_STRINGS = 512 };

/* Warnings about deprecated options are of no interest. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	nomad__log_setup(NOMAD__LOG_TEXT, "fuzz", NOMAD_LOG_ERROR);
	return 0;
}

struct source {
	const uint8_t *data;
	size_t size;
	struct nomad_option rows[MAX_TABLES][MAX_ROWS];
	struct nomad_schema tables[MAX_TABLES];
	const char *choices[MAX_TABLES][MAX_ROWS][3];
	size_t n_tables;
	char *strings[MAX_STRINGS];
	size_t n_strings;
};

static unsigned take(struct source *s)
{
	if (s->size == 0)
		return 0;
	s->size--;
	return *s->data++;
}

/* Up to a NUL; NULL if nothing is there. */
static const char *take_string(struct source *s)
{
	size_t n = strnlen((const char *)s->data, s->size);
	char *copy;

	if (s->size == 0 || s->n_strings == MAX_STRINGS)
		return NULL;
	copy = malloc(n + 1);
	if (!copy)
		abort();
	memcpy(copy, s->data, n);
	copy[n] = '\0';
	s->data += n + (n < s->size);
	s->size -= n + (n < s->size);
	s->strings[s->n_strings++] = copy;
	return copy;
}

static const struct nomad_schema *make_table(struct source *s, unsigned depth)
{
	size_t table = s->n_tables++, offset = 0;
	struct nomad_schema *schema = &s->tables[table];
	size_t count = take(s) % (MAX_ROWS + 1);

	schema->options = s->rows[table];
	for (size_t i = 0; i < count; i++) {
		struct nomad_option *row = &s->rows[table][i];
		unsigned flags = take(s), more = take(s);
		size_t align;

		row->type = (enum nomad_option_type)(take(s) % NOMAD_OPTION_TYPE_MAX);
		row->required = flags & 1;
		row->secret = flags & 2;
		row->deprecated = flags & 4;
		row->non_empty = flags & 8;
		row->name = take_string(s);
		row->help = flags & 16 ? take_string(s) : "Help.";
		row->def = flags & 32 ? take_string(s) : NULL;
		row->example = flags & 64 ? take_string(s) : NULL;
		row->unit = flags & 128 ? take_string(s) : NULL;
		if (more & 1) {
			row->min = (int8_t)take(s);
			row->max = (int8_t)take(s);
		}
		row->max_items = more & 2 ? take(s) : 0;
		row->check = more & 4 ? nomad_check_absolute_path : more & 8 ? nomad_check_env_name : NULL;
		if (more & 16) {
			s->choices[table][i][0] = take_string(s);
			s->choices[table][i][1] = take_string(s);
			row->choices = s->choices[table][i];
		}
		if ((row->type == NOMAD_BLOCK || row->type == NOMAD_BLOCK_LIST) && s->n_tables < MAX_TABLES &&
		    depth < 8)
			row->block = make_table(s, depth + 1);
		align = nomad__field_align(row->type);
		if (more & 32 && i > 0) /* a second name, if the types are the same */
			row->offset = s->rows[table][i - 1].offset;
		else
			row->offset = (offset + align - 1) / align * align;
		if (row->offset + nomad__field_size(row->type) > offset)
			offset = row->offset + nomad__field_size(row->type);
		schema->count = i + 1;
	}
	schema->size = offset ? (offset + 15) / 16 * 16 : 16;
	return schema;
}

static void use_table(const struct nomad_schema *schema)
{
	struct nomad_error *err = NULL;
	struct nomad__spec *spec;
	char *text = NULL;
	size_t size;
	void *config;
	FILE *out;

	if (nomad__schema_check(schema, &err) < 0) {
		if (!err)
			abort();
		nomad_error_free(err);
		return;
	}
	spec = nomad__spec_new(schema, &err);
	if (!spec)
		abort();
	nomad__spec_free(spec);
	out = open_memstream(&text, &size);
	if (!out || nomad__schema_print_text(schema, "title", out) < 0 ||
	    nomad__schema_print_json(schema, "title", out) < 0 || nomad__schema_print_pod(schema, out) < 0)
		abort();
	fclose(out);
	free(text);
	if (nomad__config_decode(schema, "defaults", NULL, 0, 0, &config, &err) < 0)
		nomad_error_free(err); /* something is required */
	else
		nomad__config_free(schema, config);
}

static void use_json(const char *text, size_t size)
{
	json_t *json = json_loadb(text, size, JSON_ALLOW_NUL, NULL);
	struct nomad_error *err = NULL;
	void *data = NULL, *config = NULL;
	size_t data_size;

	if (!json)
		return;
	if (nomad__config_from_json(&everything_schema, "task config", json, &data, &data_size, &err) < 0) {
		nomad_error_free(err);
	} else {
		if (nomad__msgpack_check("result", data, data_size, NULL) < 0)
			abort();
		if (nomad__config_decode(&everything_schema, "task config", data, data_size, 0, &config, &err) < 0)
			nomad_error_free(err);
		else
			nomad__config_free(&everything_schema, config);
		free(data);
	}
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source *s;

	if (size == 0 || size > 65536)
		return 0;
	if (data[0] == 'j') {
		use_json((const char *)data + 1, size - 1);
		return 0;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	s->data = data + 1;
	s->size = size - 1;
	use_table(make_table(s, 0));
	for (size_t i = 0; i < s->n_strings; i++)
		free(s->strings[i]);
	free(s);
	return 0;
}
