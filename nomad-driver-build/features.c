/* SPDX-License-Identifier: MPL-2.0
 *
 * What a Containerfile takes of its engine.  Older engines fail in words that
 * lead nowhere ("Unknown instruction" for a line of a heredoc), after minutes
 * at worst.  So a file is looked through before the build; it is refused only
 * where the engine would fail for certain, in a stage that it would build.
 * What is found at the end only is explained (build_features_explain).
 *
 * Lines are joined as in containerfile.c, but with their numbers, and with
 * heredocs: "<<WORD" is one where a line WORD follows. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "features.h"

enum { STAGES_MAX = 64, FINDINGS_MAX = 64, LINE_SIZE = 64 << 10 };
static const char blanks[] = " \t\r\v\f";

/* `since`: the minor version of buildah 1 that has it first, 0: none has.  `words`: how the engine's error begins, or
 * what is in it. */
struct feature {
	const char *name;
	int since;
	const char *remedy;
	const char *words;
};

enum {
	HEREDOC,
	COPY_LINK,
	COPY_PARENTS,
	EXCLUDE,
	CHECKSUM,
	KEEP_GIT_DIR,
	ADD_GIT,
	RUN_NETWORK,
	RUN_SECURITY,
	RUN_DEVICE,
	MOUNT_TARGET,
	MOUNT_SHARING,
	MOUNT_SIZE,
	SECRET_ENV,
	SECRET_REQUIRED,
	START_INTERVAL,
	CHMOD_WORDS,
	SUBSTITUTION,
	STAGE_CASE,
	FEATURES,
};

static const struct feature features[FEATURES] = {
	[HEREDOC] = { "a heredoc (<<WORD)", 33, "join its lines with && \\, or COPY a script", NULL },
	[COPY_LINK] = { "--link of COPY and ADD", 41, "leave it out: the image has the same files", "--link is not" },
	[COPY_PARENTS] = { "COPY --parents", 40, "name the directories one by one", "--parents is not" },
	[EXCLUDE] = { "--exclude of COPY and ADD", 38, "use an ignorefile", "--exclude is not" },
	[CHECKSUM] = { "ADD --checksum", 33, "fetch it with an artifact block, which takes a checksum",
		       "--checksum is not" },
	[KEEP_GIT_DIR] = { "ADD --keep-git-dir", 40, "fetch the repository with an artifact block",
			   "--keep-git-dir is not" },
	/* Older ones add what a web server sends for the URL, and end with 0. */
	[ADD_GIT] = { "ADD of a git repository", 39, "fetch the repository with an artifact block", NULL },
	[RUN_NETWORK] = { "RUN --network", 30, "set the option network of the task",
			  "RUN only supports the --mount flag" },
	[RUN_SECURITY] = { "RUN --security", 0, "leave it out: no step gets more rights", "--security is not" },
	[RUN_DEVICE] = { "RUN --device", 0, "leave it out: no step gets devices", "--device is not" },
	[MOUNT_TARGET] = { "a relative target of RUN --mount", 38, "write the whole path, with the WORKDIR",
			   "must be an absolute path" },
	[MOUNT_SHARING] = { "sharing=private of RUN --mount", 0, "use sharing=locked", "for field `sharing`" },
	[MOUNT_SIZE] = { "size= of RUN --mount=type=tmpfs", 0, "write tmpfs-size=", "size: invalid mount option" },
	[SECRET_ENV] = { "env= of RUN --mount=type=secret", 44, "read the secret from its file",
			 "secret should have syntax" },
	[SECRET_REQUIRED] = { "the bare word required of RUN --mount=type=secret", 39, "write required=true",
			      "index out of range [1] with length 1" },
	[START_INTERVAL] = { "HEALTHCHECK --start-interval", 37, "leave it out", "not defined: -start-interval" },
	[CHMOD_WORDS] = { "a symbolic --chmod", 0, "write it as a number, such as 755", "Error parsing chmod" },
	[SUBSTITUTION] = { "${NAME#x}, ${NAME%x} or ${NAME/x/y}", 39, "give the value with a build argument",
			   "Missing ':' in substitution" },
	/* It would be pulled as an image of that name, which anybody may have made. */
	[STAGE_CASE] = { "the name of a stage with other capitals", 0, "write it as behind AS", NULL },
};

/* ---- The file ---- */

struct finding {
	int feature;
	unsigned line;
	int stage; /* -1: fails wherever it is */
};

struct scan {
	const struct build_engine *engine;
	int minor;
	const char *target;
	char *stages[STAGES_MAX];
	uint64_t uses[STAGES_MAX]; /* stages that this one begins with, or copies from */
	int stage;		   /* -1 before the first FROM */
	unsigned line;
	bool unsure;		    /* some name of a stage is not known */
	bool of_target[STAGES_MAX]; /* certainly of the platform that is built for */
	unsigned run_line[STAGES_MAX];
	struct finding found[FINDINGS_MAX];
	size_t n_found;
	unsigned dropped[STAGES_MAX];
	char *out; /* the text without what can be left out, as long as the file at most */
	size_t n_out;
	bool changed;
};

static void find(struct scan *s, int feature, unsigned line, bool anywhere)
{
	int since = features[feature].since;

	if (s->stage < 0 && !anywhere)
		return;
	if ((!since || s->minor < since) && s->n_found < FINDINGS_MAX)
		s->found[s->n_found++] = (struct finding){ feature, line, anywhere ? -1 : s->stage };
}

static bool is_word(const char *text, size_t n, const char *word)
{
	return n == strlen(word) && strncasecmp(text, word, n) == 0;
}

/* A stage by its name or number; -1: none, as of an image. */
static int stage_of(struct scan *s, const char *name, size_t n)
{
	char *end;
	long number;

	if (memchr(name, '$', n))
		s->unsure = true;
	for (int i = s->stage; i >= 0; i--) {
		if (!s->stages[i] || !is_word(name, n, s->stages[i]))
			continue;
		if (memcmp(name, s->stages[i], n) != 0)
			find(s, STAGE_CASE, s->line, false);
		return i;
	}
	number = strtol(name, &end, 10);
	return n && end == name + n && number >= 0 && number <= s->stage ? (int)number : -1;
}

static void use_stage(struct scan *s, const char *name, size_t n)
{
	int of = stage_of(s, name, n);

	if (of >= 0 && s->stage >= 0)
		s->uses[s->stage] |= UINT64_C(1) << of;
}

/* One word of "type=bind,source=a,target=b". */
static void look_at_option(struct scan *s, const char *word, size_t n, bool secret, bool tmpfs, bool *target)
{
	const char *equals = memchr(word, '=', n);
	size_t key = equals ? (size_t)(equals - word) : n;

	if (is_word(word, key, "target") || is_word(word, key, "dst") || is_word(word, key, "destination")) {
		*target = true;
		if (equals && key + 1 < n && !strchr("/$\"'", equals[1]) && !secret)
			find(s, MOUNT_TARGET, s->line, false);
	}
	if (is_word(word, key, "from") && equals)
		use_stage(s, equals + 1, n - key - 1);
	if (is_word(word, n, "sharing=private"))
		find(s, MOUNT_SHARING, s->line, false);
	if (tmpfs && is_word(word, key, "size"))
		find(s, MOUNT_SIZE, s->line, false);
	if (secret && is_word(word, key, "env"))
		find(s, SECRET_ENV, s->line, false);
	if (secret && is_word(word, n, "required"))
		find(s, SECRET_REQUIRED, s->line, false);
}

static bool has_text(const char *text, size_t n, const char *part)
{
	return memmem(text, n, part, strlen(part));
}

static void look_at_mount(struct scan *s, const char *options, size_t n)
{
	bool secret = has_text(options, n, "type=secret"), tmpfs = has_text(options, n, "type=tmpfs");
	bool bind = !has_text(options, n, "type=") || has_text(options, n, "type=bind"), target = false;

	for (size_t at = 0; at < n;) {
		const char *comma = memchr(options + at, ',', n - at);
		size_t len = comma ? (size_t)(comma - options) - at : n - at;

		look_at_option(s, options + at, len, secret, tmpfs, &target);
		at += len + 1;
	}
	if (bind && !target && n)
		find(s, MOUNT_TARGET, s->line, false);
}

/* The flags straight behind the name of an instruction. */
static void look_at_flags(struct scan *s, const char *name, size_t n, const char *rest, unsigned line)
{
	static const struct {
		const char *instruction, *flag;
		int feature;
	} flags[] = { { "COPY", "--link", COPY_LINK },
		      { "ADD", "--link", COPY_LINK },
		      { "COPY", "--parents", COPY_PARENTS },
		      { "COPY", "--exclude", EXCLUDE },
		      { "ADD", "--exclude", EXCLUDE },
		      { "ADD", "--checksum", CHECKSUM },
		      { "ADD", "--keep-git-dir", KEEP_GIT_DIR },
		      { "RUN", "--network", RUN_NETWORK },
		      { "RUN", "--security", RUN_SECURITY },
		      { "RUN", "--device", RUN_DEVICE },
		      { "HEALTHCHECK", "--start-interval", START_INTERVAL } };

	for (rest += strspn(rest, blanks); strncmp(rest, "--", 2) == 0; rest += strspn(rest, blanks)) {
		size_t len = strcspn(rest, blanks), key = strcspn(rest, "= \t\r\v\f");
		const char *value = rest[key] == '=' ? rest + key + 1 : "";
		size_t size = rest[key] == '=' ? len - key - 1 : 0;

		for (size_t i = 0; i < NOMAD_ARRAY_LEN(flags); i++)
			if (is_word(name, n, flags[i].instruction) && is_word(rest, key, flags[i].flag))
				find(s, flags[i].feature, line, false);
		if (is_word(rest, key, "--from"))
			use_stage(s, value, size);
		if (is_word(rest, key, "--chmod") && size && !strchr("0123456789$\"'", *value))
			find(s, CHMOD_WORDS, line, false);
		if (is_word(name, n, "RUN") && is_word(rest, key, "--mount"))
			look_at_mount(s, value, size);
		rest += len;
	}
}

static void begin_stage(struct scan *s, const char *rest)
{
	bool of_target = true, given = false;
	const char *name;
	size_t n, as;

	for (rest += strspn(rest, blanks); strncmp(rest, "--", 2) == 0; rest += strspn(rest, blanks)) {
		n = strcspn(rest, blanks);
		if (n > 11 && strncasecmp(rest, "--platform=", 11) == 0) {
			given = true;
			of_target = is_word(rest + 11, n - 11, "$TARGETPLATFORM") ||
				    is_word(rest + 11, n - 11, "${TARGETPLATFORM}");
		}
		rest += n;
	}
	name = rest;
	n = strcspn(name, blanks);
	if (s->stage + 1 >= STAGES_MAX) {
		s->unsure = true;
		return;
	}
	{
		int of = stage_of(s, name, n);

		s->stage++;
		s->uses[s->stage] = of >= 0 ? UINT64_C(1) << of : 0;
		s->of_target[s->stage] = of >= 0 && !given ? s->of_target[of] : of_target;
	}
	rest = name + n + strspn(name + n, blanks);
	as = strcspn(rest, blanks);
	if (!is_word(rest, as, "AS"))
		return;
	rest += as + strspn(rest + as, blanks);
	s->stages[s->stage] = strndup(rest, strcspn(rest, blanks));
}

/* "https://HOST/PATH.git", with "#REF" or "?KEY=VALUE" behind it */
static bool is_repository(const char *word, size_t n)
{
	size_t end = 0;

	while (end < n && !strchr("#?", word[end]))
		end++;
	return (strncasecmp(word, "https://", 8) == 0 || strncasecmp(word, "http://", 7) == 0) && end > 12 &&
	       strncasecmp(word + end - 4, ".git", 4) == 0;
}

/* Words, or a list in JSON; the last one is where it goes. */
static void look_at_sources(struct scan *s, const char *rest, unsigned line)
{
	static const char between[] = " \t\r\v\f[]\",";

	for (rest += strspn(rest, between); *rest; rest += strspn(rest, between)) {
		size_t n = strcspn(rest, between);

		if (is_repository(rest, n))
			find(s, ADD_GIT, line, false);
		rest += n;
	}
}

/* Of instructions in which the engine replaces variables itself. */
static void look_at_values(struct scan *s, const char *rest, unsigned line)
{
	for (const char *p = strstr(rest, "${"); p; p = strstr(p + 2, "${")) {
		const char *end = p + 2;

		while (isalnum((unsigned char)*end) || *end == '_')
			end++;
		if (end > p + 2 && strchr("#%/", *end) && *end && (p == rest || p[-1] != '\\') && !strchr(rest, '\''))
			find(s, SUBSTITUTION, line, false);
	}
}

static void look_at(struct scan *s, const char *text, unsigned line)
{
	static const char *const replaced[] = { "ADD",	 "COPY",       "ENV",  "EXPOSE", "FROM",
						"LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR" };
	const char *name = text + strspn(text, blanks);
	size_t n = strcspn(name, blanks);

	s->line = line;
	if (is_word(name, n, "FROM"))
		begin_stage(s, name + n);
	if (s->stage >= 0)
		s->dropped[s->stage] |= is_word(name, n, "HEALTHCHECK") ? BUILD_HAS_HEALTHCHECK
					: is_word(name, n, "SHELL")	? BUILD_HAS_SHELL
					: is_word(name, n, "ONBUILD")	? BUILD_HAS_ONBUILD
									: 0U;
	if (is_word(name, n, "ONBUILD"))
		return; /* of another build */
	if (is_word(name, n, "RUN") && s->stage >= 0 && !s->run_line[s->stage])
		s->run_line[s->stage] = line;
	look_at_flags(s, name, n, name + n, line);
	if (is_word(name, n, "ADD"))
		look_at_sources(s, name + n, line);
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(replaced); i++)
		if (is_word(name, n, replaced[i]))
			look_at_values(s, name + n, line);
}

/* ---- Lines ---- */

/* Behind the line WORD, where "<<WORD" in the instruction begins a heredoc whose end is there; else NULL. */
static const char *heredoc_end(const char *instruction, const char *next, unsigned *lines)
{
	const char *word = strstr(instruction, "<<");
	bool tabs;
	size_t n;

	if (!word || word[2] == '<')
		return NULL;
	word += 2;
	tabs = *word == '-';
	word += tabs;
	word += *word == '"' || *word == '\'';
	for (n = 0; isalnum((unsigned char)word[n]) || word[n] == '_'; n++)
		;
	*lines = 0;
	while (n && *next) {
		size_t len = strcspn(next, "\n"), skip = tabs ? strspn(next, "\t") : 0;

		++*lines;
		if (skip <= len && len - skip == n && strncmp(next + skip, word, n) == 0)
			return next + len + (next[len] == '\n');
		next += len + (next[len] == '\n');
	}
	return NULL;
}

static bool takes_heredoc(const char *text)
{
	size_t n;

	text += strspn(text, blanks);
	n = strcspn(text, blanks);
	return is_word(text, n, "RUN") || is_word(text, n, "COPY") || is_word(text, n, "ADD");
}

static void put(struct scan *s, const char *text, size_t n)
{
	memcpy(s->out + s->n_out, text, n);
	s->n_out += n;
}

/* A line that begins an instruction, without --link where the engine does not have it: the files are the same. */
static void put_first_line(struct scan *s, const char *text, size_t n)
{
	const char *end = text + n, *p = text + strspn(text, blanks);
	size_t name = strcspn(p, " \t\r\v\f\n");
	bool copies = is_word(p, name, "COPY") || is_word(p, name, "ADD");

	for (p += name; copies && s->minor < features[COPY_LINK].since && p < end;) {
		size_t gap = strspn(p, blanks), len = strcspn(p + gap, " \t\r\v\f\n");

		if (len < 2 || strncmp(p + gap, "--", 2) != 0)
			break;
		if (is_word(p + gap, len, "--link") || is_word(p + gap, len, "--link=true")) {
			put(s, text, (size_t)(p - text));
			text = p + gap + len;
			s->changed = true;
		}
		p += gap + len;
	}
	put(s, text, (size_t)(end - text));
}

/* "# escape=`" in front of all else. */
static char escape_of(const char *text)
{
	const char *p = text + strspn(text, blanks);

	for (; *p == '#'; p += strspn(p, blanks)) {
		const char *word = p + 1 + strspn(p + 1, blanks);

		if (strncasecmp(word, "escape", 6) == 0) {
			word += 6 + strspn(word + 6, blanks);
			if (*word == '=' && word[1 + strspn(word + 1, blanks)] == '`')
				return '`';
		}
		p += strcspn(p, "\n");
		p += *p == '\n';
	}
	return '\\';
}

/* One instruction; returns what follows it. */
static const char *take_instruction(struct scan *s, const char *text, char escape, char *joined, unsigned *line)
{
	size_t used = 0;
	unsigned first = 0, lines;
	const char *end;
	bool more = true;

	while (more && *text) {
		size_t len = strcspn(text, "\n"), blank = strspn(text, blanks), n = len;

		++*line;
		end = text + len + (text[len] == '\n');
		for (; n > blank && strchr(blanks, text[n - 1]); n--)
			;
		if (blank >= n || text[blank] == '#') { /* also in the midst of an instruction */
			put(s, text, (size_t)(end - text));
			text = end;
			continue;
		}
		if (!first) {
			first = *line;
			put_first_line(s, text, (size_t)(end - text));
		} else {
			put(s, text, (size_t)(end - text));
		}
		more = text[n - 1] == escape;
		n -= more;
		if (used + n < LINE_SIZE) {
			memcpy(joined + used, text, n);
			used += n;
		}
		joined[used] = 0;
		text = end;
	}
	if (!first)
		return text;
	end = takes_heredoc(joined) ? heredoc_end(joined, text, &lines) : NULL;
	if (end) {
		find(s, HEREDOC, first, true);
		put(s, text, (size_t)(end - text));
		*line += lines;
		text = end;
	}
	look_at(s, joined, first);
	return text;
}

/* Of the stages, those that are built. */
static uint64_t needed(const struct scan *s)
{
	uint64_t need, before;
	int last = s->stage;

	for (int i = 0; s->target && i <= s->stage; i++)
		if (s->stages[i] && strcasecmp(s->stages[i], s->target) == 0)
			last = i;
	need = last >= 0 ? UINT64_C(1) << last : 0;
	do {
		before = need;
		for (int i = 0; i <= s->stage; i++)
			if (need >> i & 1)
				need |= s->uses[i];
	} while (need != before);
	return need;
}

static void conclude(const struct scan *s, struct build_features *ret)
{
	uint64_t need = needed(s);

	for (int i = 0; i <= s->stage; i++) {
		if (!(need >> i & 1))
			continue;
		ret->dropped |= s->dropped[i];
		if (!ret->run_line && s->of_target[i] && !s->unsure)
			ret->run_line = s->run_line[i];
	}
	for (size_t i = 0; i < s->n_found && !ret->missing; i++) {
		const struct finding *found = &s->found[i];

		if (found->feature == COPY_LINK && s->changed)
			continue;
		if (found->stage >= 0 && (s->unsure || !(need >> found->stage & 1)))
			continue;
		ret->missing = features[found->feature].name;
		ret->remedy = features[found->feature].remedy;
		ret->since = features[found->feature].since;
		ret->line = found->line;
	}
}

int build_features_in(const char *text, const struct build_engine *engine, const char *target,
		      struct build_features *ret)
{
	struct scan s = { .engine = engine, .minor = build_engine_minor(engine), .target = target, .stage = -1 };
	NOMAD_AUTO_FREE char *joined = malloc(LINE_SIZE + 1);
	const char *rest = text;
	unsigned line = 0;
	char escape = escape_of(text);

	*ret = (struct build_features){ 0 };
	s.out = malloc(strlen(text) + 1);
	if (!joined || !s.out) {
		free(s.out);
		return -ENOMEM;
	}
	while (*rest)
		rest = take_instruction(&s, rest, escape, joined, &line);
	s.out[s.n_out] = 0;
	conclude(&s, ret);
	if (s.changed)
		ret->text = s.out;
	else
		free(s.out);
	for (int i = 0; i <= s.stage; i++)
		free(s.stages[i]);
	return 0;
}

/* ---- Words ---- */

char *build_features_explain(const char *error, const char *engine, bool is_podman)
{
	char since[32];

	if (strstr(error, "COPY only supports the --chmod") || strstr(error, "ADD only supports the --chmod"))
		return nomad_strdupf(
			"%s does not have this flag; --exclude came with buildah 1.38 (podman 5.3), "
			"--parents with 1.40 (5.5), --link with 1.41 (5.6), ADD --checksum with 1.33 (4.8)",
			engine);
	if (strcasestr(error, "exec format error"))
		return strdup(
			"a step runs a program of another platform, for which this node has no interpreter; install "
			"the package qemu-user-static, or take a node of that platform");
	for (size_t i = 0; i < FEATURES; i++) {
		if (!features[i].words || !strstr(error, features[i].words))
			continue;
		build_engine_since(is_podman, features[i].since, since, sizeof(since));
		return nomad_strdupf("%s does not have %s, %s%s; %s", engine, features[i].name,
				     features[i].since ? "which came with " : "and no engine has",
				     features[i].since ? since : "", features[i].remedy);
	}
	return NULL;
}

char *build_engine_lacks_features(const struct build_engine *engine)
{
	/* Those of the table that public files use, by how often. */
	static const int common[] = {
		HEREDOC, MOUNT_TARGET, COPY_LINK, EXCLUDE, SECRET_ENV, COPY_PARENTS, RUN_NETWORK
	};
	int minor = build_engine_minor(engine);
	char *list = NULL, since[32];

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(common); i++) {
		const struct feature *f = &features[common[i]];
		char *longer;

		if (minor >= f->since)
			continue;
		build_engine_since(engine->is_podman, f->since, since, sizeof(since));
		longer = nomad_strdupf("%s%s%s (%s)", list ? list : "", list ? ", " : "", f->name, since);
		free(list);
		list = longer;
	}
	return list;
}
