/* SPDX-License-Identifier: MPL-2.0
 *
 * The node's registries.conf (see containers-registries.conf(5)) says which
 * registry a short name such as "alpine" means, and which mirrors serve it.
 * The jail gets a copy of it and of its drop-ins, and after them a drop-in
 * from here.
 *
 * Debian's file names no registry to search.  There the engine finds only
 * names with an alias, and refuses "nginx".  People write Containerfiles for
 * docker build, where a short name is one of docker.io: so that is the
 * default.  A node whose file has a list keeps it, also an empty one. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nomad/plugin.h"
#include "registries.h"

/* In the format of today, or in the first one. */
static bool is_search_list(const char *line)
{
	line += strspn(line, " \t");
	return strncmp(line, "unqualified-search-registries", 29) == 0 || strncmp(line, "[registries.search]", 19) == 0;
}

static bool has_search_list(const char *path)
{
	FILE *in = fopen(path, "re");
	bool found = false;
	char line[512];

	while (in && !found && fgets(line, sizeof(line), in))
		found = is_search_list(line);
	if (in)
		fclose(in);
	return found;
}

static bool look_into(void *arg, const char *path, const char *name)
{
	bool *found = arg;

	(void)name;
	*found = has_search_list(path);
	return !*found;
}

void build_registries_each(const char *conf, bool (*each)(void *arg, const char *path, const char *name), void *arg)
{
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s.d", conf);
	DIR *d = dir ? opendir(dir) : NULL;
	struct dirent *entry;
	bool more = true;

	while (d && more && (entry = readdir(d))) {
		size_t n = strlen(entry->d_name);
		NOMAD_AUTO_FREE char *path = NULL;

		if (n <= 5 || strcmp(entry->d_name + n - 5, ".conf") != 0)
			continue;
		path = nomad_strdupf("%s/%s", dir, entry->d_name);
		more = path && each(arg, path, entry->d_name);
	}
	if (d)
		closedir(d);
}

/* Entries have passed the check of config.c: no quotes in them. */
char *build_registries_drop_in(const char *conf, char *const *insecure)
{
	bool found = has_search_list(conf);
	char *text;
	size_t i;

	if (!found)
		build_registries_each(conf, look_into, &found);
	text = strdup(found ? "" : "unqualified-search-registries = [\"docker.io\"]\n");
	for (i = 0; text && insecure && insecure[i]; i++) {
		char *more = nomad_strdupf("%s\n[[registry]]\nlocation = \"%s\"\ninsecure = true\n", text, insecure[i]);

		free(text);
		text = more;
	}
	return text;
}
