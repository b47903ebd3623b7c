/* SPDX-License-Identifier: MPL-2.0
 *
 * The names of images in a Containerfile: FROM, and from= of COPY, ADD and
 * RUN --mount.  They are judged by the policy of the node, and pulled into a
 * cache before any step runs.
 *
 * Names are made of ARGs.  What is not found here makes a build fail or
 * slower, never less safe: the engine gets a list of the images that it may
 * pull. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "containerfile.h"
#include "nomad/plugin.h"

static const char blanks[] = " \t\r\v\f";
static const char word_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";

struct scan {
	const struct nomad_map *args, *contexts;
	struct nomad_map values; /* of ARGs before the first FROM */
	char **stages;		 /* in lower case does not matter: compared without */
	struct build_names *found;
	char *heredoc; /* skip until this line; NULL: none */
	bool has_from;
	int r;
};

void build_names_done(struct build_names *names)
{
	nomad_strv_free(names->names);
	*names = (struct build_names){ 0 };
}

/* A transport, such as oci-archive:PATH, has no registry. */
static bool is_reference(const char *name)
{
	return *name &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./:@") == strlen(name) &&
	       !strstr(name, ":/") && strncmp(name, "oci:", 4) != 0 && strncmp(name, "dir:", 4) != 0 &&
	       strncmp(name, "oci-archive:", 12) != 0 && strncmp(name, "docker-archive:", 15) != 0;
}

char *build_name_in_full(const char *name)
{
	const char *slash;
	size_t n;

	errno = 0;
	if (!is_reference(name))
		return NULL;
	if (strncmp(name, "docker.io/", 10) == 0)
		name += 10;
	slash = strchr(name, '/');
	n = slash ? (size_t)(slash - name) : 0;
	if (!slash)
		return nomad_strdupf("docker.io/library/%s", name);
	if (!memchr(name, '.', n) && !memchr(name, ':', n) && strncmp(name, "localhost/", 10) != 0)
		return nomad_strdupf("docker.io/%s", name);
	return strdup(name);
}

char *build_name_in_policy(const char *name)
{
	NOMAD_AUTO_FREE char *full = build_name_in_full(name);
	char *digest = full ? strchr(full, '@') : NULL, *tag;

	if (!full)
		return NULL;
	if (digest)
		*digest = 0;
	tag = strchr(strrchr(full, '/'), ':');
	if (digest && tag)
		*tag = 0;
	return digest ? nomad_strdupf("%s@%s", full, digest + 1) : nomad_strdupf("%s%s", full, tag ? "" : ":latest");
}

/* ---- Values ---- */

/* What stands behind "$" at *at, which is moved behind it; NULL: another form than $NAME, ${NAME} and ${NAME:-word}, or
 * a name without a value. */
static const char *variable(struct scan *scan, const char **at, char *word, size_t size)
{
	bool braces = **at == '{';
	const char *name = *at + braces, *end = name + strspn(name, word_chars), *value, *otherwise = NULL;
	NOMAD_AUTO_FREE char *key = strndup(name, (size_t)(end - name));

	if (!key || end == name)
		return NULL;
	value = nomad_map_get(&scan->values, key);
	if (braces) {
		size_t n;

		if (strncmp(end, ":-", 2) == 0)
			otherwise = end + 2;
		else if (*end == '-')
			otherwise = end + 1;
		n = strcspn(end, "}");
		if (end[n] != '}' || (n && !otherwise))
			return NULL;
		n = otherwise ? n - (size_t)(otherwise - end) : 0;
		if (n >= size || (otherwise && memchr(otherwise, '$', n)))
			return NULL;
		if (otherwise && (!value || (!*value && *end == ':'))) {
			memcpy(word, otherwise, n);
			word[n] = 0;
			value = word;
		}
		end += strcspn(end, "}") + 1;
	}
	*at = end;
	return value;
}

/* malloc()ed; NULL if it cannot be told, or without memory. */
static char *expand(struct scan *scan, const char *text)
{
	char *out = calloc(1, 1), word[512];

	while (out && *text) {
		size_t n = strcspn(text, "$\"'\\");
		const char *value = text;
		char *longer;

		if (n) {
			text += n;
		} else if (*text == '$') {
			text++;
			value = variable(scan, &text, word, sizeof(word));
			n = value ? strlen(value) : 0;
		} else {
			text++;
			value = "";
		}
		longer = value ? nomad_strdupf("%s%.*s", out, (int)n, value) : NULL;
		free(out);
		out = longer;
	}
	return out;
}

static void take_arg(struct scan *scan, char *rest)
{
	char *save = NULL, *word;

	for (word = strtok_r(rest, blanks, &save); word; word = strtok_r(NULL, blanks, &save)) {
		char *equals = strchr(word, '=');
		NOMAD_AUTO_FREE char *value = NULL;
		const char *given;

		if (equals)
			*equals++ = 0;
		given = nomad_map_get(scan->args, word);
		value = given ? strdup(given) : equals ? expand(scan, equals) : NULL;
		if (value && nomad_map_set(&scan->values, word, value) < 0)
			scan->r = -ENOMEM;
	}
}

/* ---- Names ---- */

static bool is_stage(const struct scan *scan, const char *name)
{
	for (size_t i = 0; scan->stages && scan->stages[i]; i++)
		if (strcasecmp(scan->stages[i], name) == 0)
			return true;
	return name[strspn(name, "0123456789")] == 0; /* by its number */
}

static void take_name(struct scan *scan, const char *text)
{
	NOMAD_AUTO_FREE char *name = expand(scan, text), *full = NULL;

	if (!name || !*name) {
		scan->found->unknown = true;
		return;
	}
	if (is_stage(scan, name) || strcmp(name, "scratch") == 0 || nomad_map_get(scan->contexts, name))
		return;
	full = build_name_in_full(name);
	if (!full) {
		scan->found->unknown = true;
		return;
	}
	for (size_t i = 0; scan->found->names && scan->found->names[i]; i++)
		if (strcmp(scan->found->names[i], full) == 0)
			return;
	if (nomad_strv_add(&scan->found->names, full) < 0)
		scan->r = -ENOMEM;
}

static void take_from(struct scan *scan, char *rest)
{
	char *save = NULL, *word = strtok_r(rest, blanks, &save);

	scan->has_from = true;
	while (word && strncmp(word, "--", 2) == 0)
		word = strtok_r(NULL, blanks, &save);
	if (!word)
		return;
	take_name(scan, word);
	word = strtok_r(NULL, blanks, &save);
	if (word && strcasecmp(word, "AS") == 0 && (word = strtok_r(NULL, blanks, &save)) &&
	    nomad_strv_add(&scan->stages, word) < 0)
		scan->r = -ENOMEM;
}

static void take_flags(struct scan *scan, char *rest)
{
	char *save = NULL, *word, *from;

	for (word = strtok_r(rest, blanks, &save); word && strncmp(word, "--", 2) == 0;
	     word = strtok_r(NULL, blanks, &save)) {
		if (strncasecmp(word, "--from=", 7) == 0)
			take_name(scan, word + 7);
		from = strncasecmp(word, "--mount=", 8) == 0 ? strcasestr(word, "from=") : NULL;
		if (!from || (from[-1] != ',' && from[-1] != '=' && from[-1] != '"' && from[-1] != '\''))
			continue;
		from[strcspn(from, ",")] = 0;
		take_name(scan, from + 5);
	}
}

/* "<<EOT", "<<-'EOT'" */
static void begin_heredoc(struct scan *scan, const char *line)
{
	const char *word = strstr(line, "<<");
	size_t n;

	if (!word)
		return;
	word += 2;
	word += *word == '-';
	word += *word == '"' || *word == '\'';
	n = strspn(word, word_chars);
	if (n)
		scan->heredoc = strndup(word, n);
}

static void look_at(void *arg, char *line)
{
	struct scan *scan = arg;
	size_t n;

	line += strspn(line, blanks);
	if (scan->heredoc) {
		if (strcmp(line, scan->heredoc) == 0) {
			free(scan->heredoc);
			scan->heredoc = NULL;
		}
		return;
	}
	if (strncasecmp(line, "ONBUILD", 7) == 0 && strchr(blanks, line[7]))
		line += 7 + strspn(line + 7, blanks);
	n = strcspn(line, blanks);
	if (n == 4 && strncasecmp(line, "FROM", n) == 0)
		take_from(scan, line + n);
	else if (n == 3 && strncasecmp(line, "ARG", n) == 0 && !scan->has_from)
		take_arg(scan, line + n);
	else if ((n == 4 && strncasecmp(line, "COPY", n) == 0) ||
		 (n == 3 && (strncasecmp(line, "RUN", n) == 0 || strncasecmp(line, "ADD", n) == 0))) {
		begin_heredoc(scan, line);
		take_flags(scan, line + n);
	}
}

int build_names_in(char *text, const struct nomad_map *args, const struct nomad_map *contexts, struct build_names *ret)
{
	struct scan scan = { .args = args, .contexts = contexts, .found = ret };

	*ret = (struct build_names){ 0 };
	build_instructions(text, look_at, &scan);
	nomad_map_done(&scan.values);
	nomad_strv_free(scan.stages);
	free(scan.heredoc);
	if (scan.r < 0)
		build_names_done(ret);
	return scan.r;
}
