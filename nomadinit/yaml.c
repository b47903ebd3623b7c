/* SPDX-License-Identifier: MPL-2.0 */
/* libyaml's events become JSON.  Depth is bounded, so that nothing that was sent can exhaust the stack. */
#include "yaml.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define MAX_DEPTH 32

struct reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the next one; NO_EVENT after an error */
};

static bool next(struct reader *y)
{
	yaml_event_delete(&y->event);
	return yaml_parser_parse(&y->parser, &y->event);
}

/* What a scalar without quotes is. */
static json_t *plain(const char *s, size_t len)
{
	static const char *const words[] = { "true", "false", "null", "~", "yes", "no", "True", "False" };
	char buf[24], *end;
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == len && memcmp(words[i], s, len) == 0)
			return i == 2 || i == 3 ? json_null() : json_boolean(*s == 't' || *s == 'y' || *s == 'T');
	if (len == 0)
		return json_null();
	/* A leading zero is a name's, not a number's. */
	if (len < 19 && s[0] != '+' && (s[0] != '0' || len == 1)) {
		long long n;

		memcpy(buf, s, len);
		buf[len] = '\0';
		n = strtoll(buf, &end, 10);
		if (end == buf + len)
			return json_integer(n);
	}
	return json_stringn(s, len);
}

static json_t *scalar(const yaml_event_t *e)
{
	const char *text = (const char *)e->data.scalar.value;

	if (e->data.scalar.anchor || e->data.scalar.tag)
		return NULL;
	return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain(text, e->data.scalar.length)
							       : json_stringn(text, e->data.scalar.length);
}

static json_t *node(struct reader *y, int depth);

/* Up to the end of the list or map, which remains the next event. */
static bool fill(struct reader *y, json_t *to, yaml_event_type_t end, int depth)
{
	json_t *key, *value;
	int r;

	while (next(y) && y->event.type != end) {
		key = NULL;
		if (json_is_object(to)) {
			if (y->event.type != YAML_SCALAR_EVENT || y->event.data.scalar.anchor ||
			    y->event.data.scalar.tag)
				return false;
			key = json_stringn((const char *)y->event.data.scalar.value, y->event.data.scalar.length);
			if (!key || !next(y)) {
				json_decref(key);
				return false;
			}
		}
		value = node(y, depth + 1);
		r = !value ? -1
		    : key  ? json_object_set_new(to, json_string_value(key), value)
			   : json_array_append_new(to, value);
		json_decref(key);
		if (r < 0)
			return false;
	}
	return y->event.type == end;
}

/* The node that begins with the next event; its last event remains. */
static json_t *node(struct reader *y, int depth)
{
	bool is_map = y->event.type == YAML_MAPPING_START_EVENT;
	json_t *to;

	if (y->event.type == YAML_SCALAR_EVENT)
		return scalar(&y->event);
	if (depth == MAX_DEPTH || (!is_map && y->event.type != YAML_SEQUENCE_START_EVENT))
		return NULL;
	if (is_map ? y->event.data.mapping_start.anchor || y->event.data.mapping_start.tag
		   : y->event.data.sequence_start.anchor || y->event.data.sequence_start.tag)
		return NULL;
	to = is_map ? json_object() : json_array();
	if (to && fill(y, to, is_map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT, depth))
		return to;
	json_decref(to);
	return NULL;
}

static json_t *document(struct reader *y)
{
	json_t *root = NULL;

	if (!next(y) || y->event.type != YAML_STREAM_START_EVENT || !next(y))
		return NULL;
	if (y->event.type == YAML_STREAM_END_EVENT)
		return json_object();
	if (y->event.type != YAML_DOCUMENT_START_EVENT || !next(y))
		return NULL;
	root = node(y, 0);
	if (root && next(y) && y->event.type == YAML_DOCUMENT_END_EVENT && next(y) &&
	    y->event.type == YAML_STREAM_END_EVENT) {
		if (!json_is_null(root))
			return root;
		json_decref(root);
		return json_object();
	}
	json_decref(root);
	return NULL;
}

json_t *yaml_parse(const char *text, size_t len, int *ret_line)
{
	struct reader y = { .event = { 0 } };
	json_t *root;

	*ret_line = 1;
	if (memchr(text, '\0', len) || !yaml_parser_initialize(&y.parser))
		return NULL;
	yaml_parser_set_encoding(&y.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&y.parser, (const unsigned char *)text, len);
	root = document(&y);
	*ret_line = (int)(y.parser.error ? y.parser.problem_mark.line : y.event.start_mark.line) + 1;
	yaml_event_delete(&y.event);
	yaml_parser_delete(&y.parser);
	return root;
}
