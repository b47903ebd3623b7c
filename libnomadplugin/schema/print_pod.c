/* SPDX-License-Identifier: MPL-2.0
 *
 * The options for the manual: a POD list, an item per option, a list in an
 * item per block.  Every literal '<' and '>' is escaped, as a capital letter
 * before a '<' would begin a formatting code. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schema/inner.h"

static void put_escaped(const char *text, FILE *out)
{
	/* At the start of a paragraph '=' and blanks have a meaning. */
	if (*text == '=' || *text == ' ' || *text == '\t')
		fputs("Z<>", out);
	for (; *text; text++) {
		if (*text == '<')
			fputs("E<lt>", out);
		else if (*text == '>')
			fputs("E<gt>", out);
		else
			putc(*text, out);
		if (*text == '\n' && (text[1] == '=' || text[1] == ' ' || text[1] == '\t'))
			fputs("Z<>", out);
	}
}

/* One line goes into the text, several become a literal block. */
static void put_example(const char *example, FILE *out)
{
	if (!strchr(example, '\n')) {
		fputs("Example: C<", out);
		put_escaped(example, out);
		fputs(">\n\n", out);
		return;
	}
	fputs("Example:\n\n    ", out);
	for (; *example; example++) {
		putc(*example, out);
		if (*example == '\n' && example[1] && example[1] != '\n')
			fputs("    ", out);
	}
	fputs("\n\n", out);
}

static int print_rows(const struct nomad_schema *schema, FILE *out);

static int print_row(const struct nomad_option *option, FILE *out)
{
	NOMAD_AUTO_STRV char **facts = NULL;
	NOMAD_AUTO_FREE char *example = NULL;
	int r;

	r = nomad__option_facts(option, &facts);
	if (r < 0)
		return r;
	fprintf(out, "=item B<%s> (%s%s)\n\n", option->name, nomad__type_text(option),
		option->required ? ", required" : "");
	put_escaped(option->help, out);
	fputs("\n\n", out);
	for (char **fact = facts; fact && *fact; fact++) {
		put_escaped(*fact, out);
		fputs(fact[1] ? "\n" : "\n\n", out);
	}
	if (option->example) {
		example = nomad__option_example(option);
		if (!example)
			return -ENOMEM;
		put_example(example, out);
	}
	return option->block ? print_rows(option->block, out) : 0;
}

static int print_rows(const struct nomad_schema *schema, FILE *out)
{
	int r = 0;

	if (schema->count == 0)
		return 0;
	fputs("=over 4\n\n", out);
	for (size_t i = 0; i < schema->count && r == 0; i++)
		r = print_row(&schema->options[i], out);
	fputs("=back\n\n", out);
	return r;
}

int nomad__schema_print_pod(const struct nomad_schema *schema, FILE *out)
{
	int r = print_rows(schema, out);

	if (r == 0 && ferror(out))
		r = -EIO;
	return r;
}
