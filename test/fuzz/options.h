/* SPDX-License-Identifier: MPL-2.0
 *
 * test/fuzz/options.h: configurations, made of the bytes of an input by a table of options: a count, then rows by
 * their number, and a value for each.  A byte that changes changes one value. */
#ifndef NOMAD_TEST_FUZZ_OPTIONS_H
#define NOMAD_TEST_FUZZ_OPTIONS_H

#include <msgpack.h>

#include "fuzz.h"
#include "schema/schema.h"

/* ---- Words that mean something somewhere ---- */

static const char *const fuzz_words[] = {
	"11111111-0000-4000-8000-000000000000/web/00000001",
	"11111111-0000-4000-8000-000000000000/web/00000002",
	"11111111-0000-4000-8000-000000000000/db/00000003",
	"11111111-0000-4000-8000-000000000000",
	"web",
	"db",
	"",
	"SIGTERM",
	"SIGUSR1",
	"sighup",
	"9",
	"a/b/c",
	"/srv/x",
	"/srv/../etc",
	"/dev/null",
	"eth0",
	"none",
	"private",
	"bidirectional",
	"rwm",
	"10.0.0.2",
	"fe80::1",
	"CAP_SYS_ADMIN",
	"@mount",
	"nofile",
	"docker.io/library/alpine",
	"*",
	"1000:65536",
	"enforce",
	"default",
	"0-3,8",
	"/sys/fs/cgroup/nomad.slice/share.slice/x.scope",
	"\xc3\xa4\xe2\x82\xac",
	"a\nb\x1b[2J",
	"${NOMAD_TASK_DIR}",
};

FUZZ const char *fuzz_word(struct fuzz_input *in)
{
	static char raw[2][200];
	static unsigned turn;
	unsigned which = fuzz_byte(in);
	char *text;

	if (which < 0xf0)
		return fuzz_words[which % NOMAD_ARRAY_LEN(fuzz_words)];
	text = fuzz_text(in, 0, NULL);
	snprintf(raw[++turn & 1], sizeof(raw[0]), "%s", text);
	free(text);
	return raw[turn & 1];
}

FUZZ int64_t fuzz_number(struct fuzz_input *in)
{
	unsigned which = fuzz_byte(in);
	uint64_t n = 0;

	if (which < 0xf0)
		return (int64_t)which - 8;
	for (unsigned i = 0; i <= (which & 7); i++)
		n = n << 8 | fuzz_byte(in);
	return (int64_t)n;
}

/* ---- Configurations ---- */

FUZZ void fuzz_pack_text(msgpack_packer *pk, const char *text)
{
	msgpack_pack_str_with_body(pk, text, strlen(text));
}

static void fuzz_pack_options(msgpack_packer *pk, const struct nomad_schema *schema, const char *dir,
			      struct fuzz_input *in, unsigned depth);

FUZZ void fuzz_pack_value(msgpack_packer *pk, const struct nomad_option *option, struct fuzz_input *in, unsigned depth)
{
	unsigned how = fuzz_byte(in), n = how & 3, type = how < 0xf0 ? option->type : how % NOMAD_OPTION_TYPE_MAX;

	switch (type) {
	case NOMAD_STRING:
		fuzz_pack_text(pk, option->choices && how & 4 ? option->choices[0] : fuzz_word(in));
		break;
	case NOMAD_INT:
		msgpack_pack_int64(pk, fuzz_number(in));
		break;
	case NOMAD_NUMBER:
		msgpack_pack_double(pk, (double)fuzz_number(in) / 3);
		break;
	case NOMAD_BOOL:
	case NOMAD_TRISTATE:
		(void)(n == 0 ? msgpack_pack_nil(pk) : n == 1 ? msgpack_pack_true(pk) : msgpack_pack_false(pk));
		break;
	case NOMAD_STRING_LIST:
		msgpack_pack_array(pk, n);
		while (n--)
			fuzz_pack_text(pk, fuzz_word(in));
		break;
	case NOMAD_STRING_MAP:
	case NOMAD_INT_MAP:
		if (how & 4)
			msgpack_pack_array(pk, 1);
		msgpack_pack_map(pk, n);
		while (n--) {
			fuzz_pack_text(pk, fuzz_word(in));
			if (type == NOMAD_INT_MAP)
				msgpack_pack_int64(pk, fuzz_number(in));
			else
				fuzz_pack_text(pk, fuzz_word(in));
		}
		break;
	default:
		if (!option->block || depth > 4) {
			msgpack_pack_nil(pk);
			break;
		}
		if (type == NOMAD_BLOCK_LIST || how & 4)
			msgpack_pack_array(pk, n);
		else
			n = 1;
		while (n--)
			fuzz_pack_options(pk, option->block, NULL, in, depth + 1);
	}
}

static void fuzz_pack_options(msgpack_packer *pk, const struct nomad_schema *schema, const char *dir,
			      struct fuzz_input *in, unsigned depth)
{
	unsigned count = in ? fuzz_byte(in) % 8 : 0;

	msgpack_pack_map(pk, count + (dir != NULL));
	while (count--) {
		unsigned which = fuzz_byte(in);
		const struct nomad_option *option = &schema->options[which % schema->count];

		/* Nothing is to be made on this host at places that an input names. */
		if (which == 0xff || strcmp(option->name, "state_dir") == 0 || strcmp(option->name, "metrics") == 0) {
			fuzz_pack_text(pk, fuzz_words[4]);
			msgpack_pack_nil(pk);
			continue;
		}
		fuzz_pack_text(pk, option->name);
		fuzz_pack_value(pk, option, in, depth);
	}
	if (dir) {
		fuzz_pack_text(pk, "state_dir");
		fuzz_pack_text(pk, dir);
	}
}

/* Of a task, or of the plugin where there is a `dir`; malloc()ed. */
FUZZ void *fuzz_config_of(const struct nomad_schema *schema, const char *dir, struct fuzz_input *in, size_t *ret_size)
{
	msgpack_sbuffer buffer;
	msgpack_packer pk;
	void *bytes;

	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&pk, &buffer, msgpack_sbuffer_write);
	fuzz_pack_options(&pk, schema, dir, in, 0);
	bytes = malloc(buffer.size);
	fuzz_must(bytes);
	memcpy(bytes, buffer.data, buffer.size);
	*ret_size = buffer.size;
	msgpack_sbuffer_destroy(&buffer);
	return bytes;
}

/* What the policy looks at. */
FUZZ void fuzz_look_at_powers(const struct nomad_schema *schema, const void *config)
{
	for (size_t i = 0; i < schema->count; i++)
		if (schema->options[i].power)
			nomad_strv_free(nomad__power_values(&schema->options[i], config));
}

/* A task's, decoded by the table: NULL if it is refused.  For nomad__config_free(). */
FUZZ void *fuzz_task_config(const struct nomad_schema *schema, struct fuzz_input *in)
{
	struct nomad_error *err = NULL;
	void *config = NULL, *bytes;
	size_t size;

	bytes = fuzz_config_of(schema, NULL, in, &size);
	if (nomad__config_decode(schema, "task config", bytes, size, 0, &config, &err) < 0) {
		fuzz_error(err);
		config = NULL;
	} else {
		fuzz_look_at_powers(schema, config);
	}
	free(bytes);
	return config;
}

#endif
