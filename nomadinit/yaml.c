/* SPDX-License-Identifier: MPL-2.0 */
/* Lines are looked at one after the other; what belongs together is told by the indentation.  Depth is bounded, so that
 * nothing that was sent can exhaust the stack. */
#include "yaml.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 16

struct yaml {
	const char *at, *end; /* what is not read yet; at the begin of a line, or within one after "- " or "key: " */
	int line, indent;     /* of the text at `at` */
	bool failed;
};

static json_t *parse_node(struct yaml *y, int indent, int depth);
static json_t *parse_flow(struct yaml *y, int depth);

static json_t *fail(struct yaml *y)
{
	y->failed = true;
	return NULL;
}

static bool at_end_of_line(const struct yaml *y)
{
	return y->at >= y->end || *y->at == '\n' || *y->at == '\r' || *y->at == '#';
}

static void skip_blanks(struct yaml *y)
{
	while (y->at < y->end && (*y->at == ' ' || *y->at == '\t')) {
		y->at++;
		y->indent++;
	}
}

/* To the next line that says something; false at the end. */
static bool next_line(struct yaml *y)
{
	for (;;) {
		skip_blanks(y);
		if (y->at >= y->end)
			return false;
		if (!at_end_of_line(y) && !(y->indent == 0 && y->end - y->at >= 3 && memcmp(y->at, "---", 3) == 0))
			return true;
		while (y->at < y->end && *y->at != '\n')
			y->at++;
		if (y->at < y->end) {
			y->at++;
			y->line++;
		}
		y->indent = 0;
	}
}

static json_t *plain(const char *s, size_t len)
{
	static const char *const words[] = { "true", "false", "null", "~", "yes", "no", "True", "False" };
	char buf[24], *end;
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == len && memcmp(words[i], s, len) == 0)
			return i == 2 || i == 3 ? json_null() : json_boolean(*s == 't' || *s == 'y' || *s == 'T');
	/* A leading zero is a name's, not a number's. */
	if (len > 0 && len < 19 && s[0] != '+' && (s[0] != '0' || len == 1)) {
		long long n;

		memcpy(buf, s, len);
		buf[len] = '\0';
		n = strtoll(buf, &end, 10);
		if (end == buf + len)
			return json_integer(n);
	}
	return json_stringn(s, len);
}

static char unescape(char c)
{
	return c == 'n' ? '\n' : c == 't' ? '\t' : c;
}

static json_t *quoted(struct yaml *y)
{
	char quote = *y->at++, *text = malloc((size_t)(y->end - y->at) + 1), *to = text;
	json_t *s = NULL;

	for (; text && y->at < y->end; y->at++) {
		y->line += *y->at == '\n';
		if (*y->at == quote) {
			if (quote == '"' || y->at + 1 >= y->end || y->at[1] != quote)
				break;
			y->at++; /* '' within single quotes */
		} else if (*y->at == '\\' && quote == '"') {
			if (++y->at >= y->end)
				break;
			*to++ = unescape(*y->at);
			continue;
		}
		*to++ = *y->at;
	}
	if (text && y->at < y->end) {
		y->at++;
		s = json_stringn(text, (size_t)(to - text));
	}
	free(text);
	return s ? s : fail(y);
}

/* A plain scalar up to one of `stops`, a comment, or the end of the line. */
static json_t *scalar(struct yaml *y, const char *stops)
{
	const char *from = y->at, *to;

	if (*y->at == '"' || *y->at == '\'')
		return quoted(y);
	if (strchr("&*!%@`", *y->at))
		return fail(y);
	while (y->at < y->end && *y->at != '\n' && *y->at != '\r' && !strchr(stops, *y->at) &&
	       !(*y->at == '#' && y->at > from && y->at[-1] == ' '))
		y->at++;
	for (to = y->at; to > from && (to[-1] == ' ' || to[-1] == '\t'); to--)
		;
	return plain(from, (size_t)(to - from));
}

static void skip_in_flow(struct yaml *y)
{
	while (y->at < y->end &&
	       (*y->at == ' ' || *y->at == '\t' || *y->at == '\n' || *y->at == '\r' || *y->at == ',')) {
		y->line += *y->at == '\n';
		y->at++;
	}
}

static int flow_member(struct yaml *y, json_t *to, int depth)
{
	json_t *key, *value;
	int r;

	if (json_is_array(to))
		return json_array_append_new(to, parse_flow(y, depth + 1));
	key = scalar(y, ":,}");
	skip_in_flow(y);
	if (!json_is_string(key) || y->at >= y->end || *y->at != ':') {
		json_decref(key);
		return -1;
	}
	y->at++;
	skip_in_flow(y);
	value = parse_flow(y, depth + 1);
	r = value ? json_object_set_new(to, json_string_value(key), value) : -1;
	json_decref(key);
	return r;
}

static json_t *parse_flow(struct yaml *y, int depth)
{
	char close;
	json_t *to;

	skip_in_flow(y);
	if (y->at >= y->end || depth > MAX_DEPTH)
		return fail(y);
	if (*y->at != '[' && *y->at != '{')
		return scalar(y, ",]}");
	to = *y->at == '[' ? json_array() : json_object();
	close = *y->at++ == '[' ? ']' : '}';
	for (skip_in_flow(y); y->at < y->end && *y->at != close && !y->failed; skip_in_flow(y)) {
		const char *was = y->at;

		if (flow_member(y, to, depth) < 0 || y->at == was)
			fail(y);
	}
	if (y->at >= y->end || y->failed) {
		json_decref(to);
		return fail(y);
	}
	y->at++;
	return to;
}

/* "|" and ">": the lines that are indented more than their key. */
static json_t *block_text(struct yaml *y, int parent)
{
	bool is_folded = *y->at == '>', strip = y->at + 1 < y->end && y->at[1] == '-';
	char *text = malloc((size_t)(y->end - y->at) + 2);
	size_t n = 0, own = 0, blanks;
	const char *line, *stop;
	json_t *s;

	if (!text)
		return fail(y);
	while (y->at < y->end && *y->at != '\n')
		y->at++;
	while (y->at < y->end) {
		line = y->at + 1; /* behind the line feed */
		stop = line < y->end ? memchr(line, '\n', (size_t)(y->end - line)) : NULL;
		stop = stop ? stop : y->end;
		for (blanks = 0; line + blanks < stop && line[blanks] == ' '; blanks++)
			;
		if (line + blanks < stop && (int)blanks <= parent)
			break;
		if (own == 0 && line + blanks < stop)
			own = blanks;
		blanks = blanks < own ? blanks : own;
		if (line < stop)
			memcpy(text + n, line + blanks, (size_t)(stop - line) - blanks);
		n += line < stop ? (size_t)(stop - line) - blanks : 0;
		if (line < y->end)
			text[n++] = is_folded ? ' ' : '\n';
		y->at = stop;
		y->line++;
	}
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		n--;
	if (n > 0 && !strip)
		text[n++] = '\n';
	s = json_stringn(text, n);
	free(text);
	return s ? s : fail(y);
}

/* What stands after "key:" or "- ", on this line or indented below it. */
static json_t *parse_value(struct yaml *y, int parent, bool in_map, int depth)
{
	json_t *v;

	skip_blanks(y);
	if (at_end_of_line(y)) {
		if (!next_line(y))
			return json_null();
		/* A list may stand as far left as the key it belongs to. */
		if (y->indent > parent || (in_map && y->indent == parent && *y->at == '-'))
			return parse_node(y, y->indent, depth + 1);
		return json_null();
	}
	if (*y->at == '|' || *y->at == '>')
		return block_text(y, parent);
	if (*y->at == '[' || *y->at == '{')
		v = parse_flow(y, depth + 1);
	else if (!in_map)
		return parse_node(y, y->indent, depth + 1);
	else
		v = scalar(y, "");
	skip_blanks(y);
	if (v && !at_end_of_line(y)) {
		json_decref(v);
		return fail(y);
	}
	return v;
}

static bool is_item(const struct yaml *y)
{
	return *y->at == '-' && (y->at + 1 >= y->end || strchr(" \n\r", y->at[1]));
}

static json_t *parse_list(struct yaml *y, int indent, int depth)
{
	json_t *list = json_array(), *item;

	while (!y->failed && next_line(y) && y->indent == indent && is_item(y)) {
		y->at++;
		y->indent++;
		item = parse_value(y, indent, false, depth);
		if (!item || json_array_append_new(list, item) < 0)
			fail(y);
	}
	return list;
}

/* The key of this line, with `at` behind its colon; NULL if it is a scalar. */
static json_t *take_key(struct yaml *y)
{
	const char *from = y->at, *p;
	json_t *key;

	if (*from == '"' || *from == '\'') {
		key = quoted(y);
		if (key && y->at < y->end && *y->at == ':') {
			y->at++;
			return key;
		}
		json_decref(key);
		y->at = from;
		return NULL;
	}
	for (p = from; p < y->end && *p != '\n' && *p != '\r'; p++) {
		if (*p == ':' && (p + 1 >= y->end || strchr(" \t\n\r", p[1]))) {
			y->at = p + 1;
			key = json_stringn(from, (size_t)(p - from));
			return key ? key : fail(y);
		}
	}
	return NULL;
}

static json_t *parse_map(struct yaml *y, int indent, json_t *take_first, int depth)
{
	json_t *map = json_object(), *key = take_first, *value;

	do {
		value = parse_value(y, indent, true, depth);
		if (!value || json_object_set_new(map, json_string_value(key), value) < 0)
			fail(y);
		json_decref(key);
		key = NULL;
		if (y->failed || !next_line(y) || y->indent != indent || is_item(y))
			break;
		key = take_key(y);
		if (!key)
			fail(y);
	} while (key);
	return map;
}

static json_t *parse_node(struct yaml *y, int indent, int depth)
{
	json_t *key, *v;

	if (depth > MAX_DEPTH)
		return fail(y);
	if (is_item(y))
		return parse_list(y, indent, depth);
	if (*y->at == '[' || *y->at == '{')
		return parse_flow(y, depth + 1);
	key = take_key(y);
	if (key)
		return parse_map(y, indent, key, depth);
	if (y->failed)
		return NULL;
	v = scalar(y, "");
	skip_blanks(y);
	if (v && !at_end_of_line(y)) {
		json_decref(v);
		return fail(y);
	}
	return v;
}

json_t *yaml_parse(const char *text, size_t len, int *ret_line)
{
	struct yaml y = { .at = text, .end = text + len, .line = 1 };
	json_t *root;

	*ret_line = 1;
	if (memchr(text, '\0', len))
		return NULL;
	if (!next_line(&y))
		return json_object();
	root = parse_node(&y, y.indent, 0);
	if (root && !y.failed && next_line(&y))
		fail(&y);
	*ret_line = y.line;
	if (y.failed) {
		json_decref(root);
		return NULL;
	}
	return root;
}
