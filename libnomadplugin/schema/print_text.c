/* SPDX-License-Identifier: MPL-2.0
 *
 * The options for a terminal of 80 columns: names on the left, nested ones
 * further in, all that there is to know about each on the right. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schema/inner.h"

enum { WIDTH = 80, NAMES_MAX = 26, NEST = 2 };

struct page {
	FILE *out;
	size_t left;   /* of the right column */
	size_t column; /* where the next character goes */
};

/* Columns of the first n bytes: one each, except continuation bytes of UTF-8. */
static size_t columns(const char *s, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += (s[i] & 0xc0) != 0x80;
	return count;
}

static void move_to(struct page *p, size_t column)
{
	if (p->column > column) {
		putc('\n', p->out);
		p->column = 0;
	}
	for (; p->column < column; p->column++)
		putc(' ', p->out);
}

/* Words into the right column, on from where the last text ended. */
static void put_words(struct page *p, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, " \t\n"), wide = columns(text, n);

		if (n > 0) {
			bool first = p->column <= p->left;

			if (!first && p->column + 1 + wide > WIDTH) {
				move_to(p, p->left);
				first = true;
			}
			move_to(p, first ? p->left : p->column + 1);
			fwrite(text, 1, n, p->out);
			p->column += wide;
			text += n;
		}
		if (text[0] == '\n' && text[1] == '\n')
			p->column = WIDTH + 1; /* a paragraph ends */
		text += strspn(text, " \t\n");
	}
}

/* Each line unchanged; on a new line if it is too long. */
static void put_lines(struct page *p, const char *text)
{
	if (strchr(text, '\n') || p->column + 1 + columns(text, strlen(text)) > WIDTH)
		move_to(p, p->left);
	else
		move_to(p, p->column + 1);
	while (*text) {
		size_t n = strcspn(text, "\n");

		move_to(p, p->column > p->left ? p->column : p->left);
		fprintf(p->out, "%.*s\n", (int)n, text);
		p->column = 0;
		text += n + (text[n] == '\n');
	}
}

static void end_line(struct page *p)
{
	if (p->column > 0)
		putc('\n', p->out);
	p->column = 0;
}

static size_t name_width(const struct nomad_schema *schema, size_t indent)
{
	size_t widest = 0;

	for (size_t i = 0; i < schema->count; i++) {
		const struct nomad_option *option = &schema->options[i];
		size_t wide = indent + strlen(option->name);
		size_t inner = option->block ? name_width(option->block, indent + NEST) : 0;

		if (inner > wide)
			wide = inner;
		if (wide > widest)
			widest = wide;
	}
	return widest;
}

static int print_rows(struct page *p, const struct nomad_schema *schema, size_t indent);

static int print_row(struct page *p, const struct nomad_option *option, size_t indent)
{
	NOMAD_AUTO_STRV char **facts = NULL;
	NOMAD_AUTO_FREE char *example = NULL;
	int r;

	r = nomad__option_facts(option, &facts);
	if (r < 0)
		return r;
	move_to(p, indent);
	fputs(option->name, p->out);
	p->column += strlen(option->name);
	if (p->column + 1 > p->left)
		move_to(p, p->left);
	put_words(p, nomad__type_text(option));
	if (option->required) {
		fputs(", required", p->out);
		p->column += strlen(", required");
	}
	end_line(p);
	put_words(p, option->help);
	end_line(p);
	for (char **fact = facts; fact && *fact; fact++)
		put_words(p, *fact);
	end_line(p);
	if (option->example) {
		example = nomad__option_example(option);
		if (!example)
			return -ENOMEM;
		put_words(p, "Example:");
		put_lines(p, example);
	}
	return option->block ? print_rows(p, option->block, indent + NEST) : 0;
}

static int print_rows(struct page *p, const struct nomad_schema *schema, size_t indent)
{
	int r = 0;

	for (size_t i = 0; i < schema->count && r == 0; i++)
		r = print_row(p, &schema->options[i], indent);
	return r;
}

int nomad__schema_print_text(const struct nomad_schema *schema, const char *title, FILE *out)
{
	size_t names = name_width(schema, NEST);
	struct page page = { .out = out, .left = (names < NAMES_MAX ? names : NAMES_MAX) + 2 };
	int r;

	fprintf(out, "%s\n\n", title);
	if (schema->count == 0)
		fprintf(out, "%*sThere are no options.\n", NEST, "");
	r = print_rows(&page, schema, NEST);
	if (r == 0 && ferror(out))
		r = -EIO;
	return r;
}
