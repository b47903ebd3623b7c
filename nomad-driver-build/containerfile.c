/* SPDX-License-Identifier: MPL-2.0
 *
 * Finds the bind mounts of RUN in a Containerfile, whose contents older
 * engines leave out of the keys of their layer caches.
 *
 * The engine's rules for lines: a comment is a line of its own, also inside
 * a continued instruction; empty lines continue one, too; a directive in
 * front may name another character for continuation.  The lines of a heredoc
 * are read like any others: they can look like a mount, and hide none. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "containerfile.h"
#include "nomad/plugin.h"

enum { FILE_MAX = 4 << 20 };
static const char blanks[] = " \t\r\v\f";

/* "type=bind,from=x,..." */
static void look_at_mount(char *options, struct build_binds *found)
{
	bool bind = true, from = false; /* a mount without a type is one */
	bool source = false, cache = false;
	char *next, *save = NULL;

	for (next = strtok_r(options, ",", &save); next; next = strtok_r(NULL, ",", &save)) {
		if (strcasecmp(next, "type=cache") == 0)
			cache = true;
		if (strncasecmp(next, "from=", 5) == 0 || strncasecmp(next, "source=", 7) == 0 ||
		    strncasecmp(next, "src=", 4) == 0 || strstr(next, "..") || strchr(next, '$'))
			source = true;
		if (strncasecmp(next, "type=", 5) == 0)
			bind = strcasecmp(next + 5, "bind") == 0 || strchr(next, '$');
		if (strncasecmp(next, "from=", 5) == 0 || strchr(next, '$'))
			from = true;
	}
	found->of_anything |= bind || (cache && source);
	found->of_context |= bind && !from;
	found->of_image |= bind && from;
}

static void remove_quotes(char *word)
{
	char *to = word;

	for (; *word; word++)
		if (*word != '"' && *word != '\'')
			*to++ = *word;
	*to = 0;
}

/* A whole instruction; its options follow its name. */
static void look_at(void *arg, char *line)
{
	struct build_binds *found = arg;
	bool of_target = strstr(line, "$TARGET") || strstr(line, "${TARGET");
	char *save = NULL, *word = strtok_r(line, blanks, &save);

	if (word && strcasecmp(word, "ONBUILD") == 0) /* a later stage can begin with this one */
		word = strtok_r(NULL, blanks, &save);
	if (word && (strcasecmp(word, "FROM") == 0 || strcasecmp(word, "ARG") == 0))
		found->of_target |= of_target;
	if (!word || strcasecmp(word, "RUN") != 0)
		return;
	while ((word = strtok_r(NULL, blanks, &save)) && strncmp(word, "--", 2) == 0) {
		remove_quotes(word);
		if (strncasecmp(word, "--mount=", 8) == 0)
			look_at_mount(word + 8, found);
	}
}

/* "# escape=`" */
static char escape_of(const char *comment)
{
	const char *p = comment + 1 + strspn(comment + 1, blanks);

	if (strncasecmp(p, "escape", 6) != 0)
		return 0;
	p += 6;
	p += strspn(p, blanks);
	if (*p++ != '=')
		return 0;
	p += strspn(p, blanks);
	return *p == '`' ? '`' : 0;
}

void build_instructions(char *text, void (*each)(void *arg, char *instruction), void *arg)
{
	char *line, *next, *whole = text, *end = text; /* the instruction is put together in place */
	bool at_top = true;
	char escape = '\\';

	for (line = text; line; line = next) {
		size_t n, blank;

		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		blank = strspn(line, blanks);
		for (n = strlen(line); n > blank && strchr(blanks, line[n - 1]); n--)
			;
		if (line[blank] == '#') {
			if (at_top && escape_of(line + blank))
				escape = escape_of(line + blank);
			continue;
		}
		at_top = false;
		if (n == blank)
			continue;
		memmove(end, line, n);
		end += n;
		if (end[-1] == escape) {
			end--;
			continue;
		}
		*end = 0;
		each(arg, whole);
		whole = end = next ? next : end;
	}
	if (end != whole) { /* the file ends in the midst of an instruction */
		*end = 0;
		each(arg, whole);
	}
}

struct build_binds build_binds_in(char *text)
{
	struct build_binds found = { 0 };

	build_instructions(text, look_at, &found);
	return found;
}

char *build_containerfile_read(const char *path)
{
	NOMAD_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	size_t used = 0;
	struct stat st;
	ssize_t n = 1;
	char *text;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size >= FILE_MAX)
		return NULL;
	text = calloc(1, FILE_MAX);
	while (text && used < FILE_MAX - 1 && (n = read(fd, text + used, FILE_MAX - 1 - used)) > 0)
		used += (size_t)n;
	if (text && (n < 0 || memchr(text, 0, used))) { /* what is behind a zero would not be seen */
		free(text);
		return NULL;
	}
	return text;
}

struct build_binds build_binds_of(const char *path, const char *text)
{
	NOMAD_AUTO_FREE char *copy = text ? strdup(text) : NULL;
	size_t n = strlen(path);

	if (!copy || (n > 3 && strcmp(path + n - 3, ".in") == 0))
		return (struct build_binds){ true, true, true, true };
	return build_binds_in(copy);
}
