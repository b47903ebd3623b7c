/* SPDX-License-Identifier: MPL-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schema/everything.h"

struct sample {
	char *image;
	int64_t grace;
	char *key;
	char *mode;
	struct nomad_block_list mounts;
};
static const struct nomad_option mount_options[] = {
	NOMAD_OPTION(struct leaf, name, STRING, .required = true, .check = nomad_check_absolute_path,
		     .help = "Where it appears inside.", .example = "\"/data\""),
};
static const struct nomad_schema mount_schema = NOMAD_SCHEMA(struct leaf, mount_options);
static const struct nomad_option sample_options[] = {
	NOMAD_OPTION(struct sample, image, STRING, .required = true, .non_empty = true,
		     .help = "The image that the machine is made from, a name or an absolute path; it is copied before "
			     "the first start.\n\nIt has to be there."),
	NOMAD_OPTION(struct sample, grace, INT, .min = 1, .max = 60, .unit = "seconds", .def = "5",
		     .help = "Time to end by itself."),
	NOMAD_OPTION(struct sample, key, STRING, .secret = true, .def = "\"hush\"", .help = "The key."),
	NOMAD_OPTION(struct sample, mode, STRING, .choices = everything_modes, .deprecated = true,
		     .help = "Use <b> & C<c> instead."),
	NOMAD_OPTION_AS(struct sample, mounts, "mount", BLOCK_LIST, .block = &mount_schema, .max_items = 9,
			.help = "Mounts.", .example = "{\n  name = \"/data\"\n}"),
};
static const struct nomad_schema sample_schema = NOMAD_SCHEMA(struct sample, sample_options);

static char *printed(const struct nomad_schema *schema)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(nomad__schema_print_text(schema, "Options of a task", out), 0);
	fclose(out);
	return text;
}

static void a_page(void **state)
{
	char *text = printed(&sample_schema);

	(void)state;
	assert_string_equal(text, "Options of a task\n"
				  "\n"
				  "  image   string, required\n"
				  "          The image that the machine is made from, a name or an absolute path;\n"
				  "          it is copied before the first start.\n"
				  "          It has to be there.\n"
				  "          Must not be empty.\n"
				  "  grace   whole number\n"
				  "          Time to end by itself.\n"
				  "          Default: 5. From 1 to 60 seconds.\n"
				  "  key     string\n"
				  "          The key.\n"
				  "          It has a default. Secret: it is never shown, logged or stored.\n"
				  "  mode    string\n"
				  "          Use <b> & C<c> instead.\n"
				  "          Deprecated. One of: yes, state, overlay, no.\n"
				  "  mount   block, repeatable\n"
				  "          Mounts.\n"
				  "          At most 9 entries.\n"
				  "          Example:\n"
				  "          mount {\n"
				  "            name = \"/data\"\n"
				  "          }\n"
				  "    name  string, required\n"
				  "          Where it appears inside.\n"
				  "          Example: name = \"/data\"\n");
	free(text);
}

static void no_line_is_too_long(void **state)
{
	char *text = printed(&everything_schema), *save = NULL;

	(void)state;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strlen(line) > 80)
			fail_msg("%zu columns: %s", strlen(line), line);
	free(text);
}

static void nothing_to_tell(void **state)
{
	static const struct nomad_schema empty = { .size = 1 };
	char *text = printed(&empty);

	(void)state;
	assert_string_equal(text, "Options of a task\n\n  There are no options.\n");
	free(text);
}

static void a_full_disk_is_told(void **state)
{
	FILE *full = fopen("/dev/full", "we");

	(void)state;
	if (!full)
		skip();
	setvbuf(full, NULL, _IONBF, 0);
	assert_int_equal(nomad__schema_print_text(&sample_schema, "t", full), -EIO);
	assert_int_equal(nomad__schema_print_pod(&sample_schema, full), -EIO);
	assert_int_equal(nomad__schema_print_json(&sample_schema, "t", full), -EIO);
	fclose(full);
}

static void the_manual(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_int_equal(nomad__schema_print_pod(&sample_schema, out), 0);
	fclose(out);
	assert_string_equal(text, "=over 4\n\n"
				  "=item B<image> (string, required)\n\n"
				  "The image that the machine is made from, a name or an absolute path; it is copied "
				  "before the first start."
				  "\n\nIt has to be there.\n\n"
				  "Must not be empty.\n\n"
				  "=item B<grace> (whole number)\n\n"
				  "Time to end by itself.\n\n"
				  "Default: 5.\nFrom 1 to 60 seconds.\n\n"
				  "=item B<key> (string)\n\n"
				  "The key.\n\n"
				  "It has a default.\nSecret: it is never shown, logged or stored.\n\n"
				  "=item B<mode> (string)\n\n"
				  "Use E<lt>bE<gt> & CE<lt>cE<gt> instead.\n\n"
				  "Deprecated.\nOne of: yes, state, overlay, no.\n\n"
				  "=item B<mount> (block, repeatable)\n\n"
				  "Mounts.\n\n"
				  "At most 9 entries.\n\n"
				  "Example:\n\n    mount {\n      name = \"/data\"\n    }\n\n"
				  "=over 4\n\n"
				  "=item B<name> (string, required)\n\n"
				  "Where it appears inside.\n\n"
				  "Example: C<name = \"/data\">\n\n"
				  "=back\n\n"
				  "=back\n\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page),     cmocka_unit_test(no_line_is_too_long), cmocka_unit_test(nothing_to_tell),
		cmocka_unit_test(the_manual), cmocka_unit_test(a_full_disk_is_told),
	};

	return cmocka_run_group_tests_name("schema/print_text, print_pod", tests, NULL, NULL);
}
