/* SPDX-License-Identifier: MPL-2.0
 *
 * Which cgroup hierarchies there are: /proc/self/cgroup names them,
 * /proc/self/mountinfo says where they are. */
#include "os/hierarchy.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nomad/base.h"

static struct {
	struct nomad__hierarchy list[NOMAD__MAX_HIERARCHIES];
	int count;
} found;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool find_mount(const char *ctl, char *ret, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, root[256], mount[256], type[64], options[512];
	size_t room = 0;
	bool hit = false;

	while (f && !hit && getline(&line, &room, f) > 0) {
		const char *tail = strstr(line, " - ");

		if (!tail || sscanf(line, "%*s %*s %*s %255s %255s", root, mount) != 2 ||
		    sscanf(tail + 3, "%63s %*s %511s", type, options) != 2 ||
		    (strcmp(root, "/") != 0 && strncmp(root, "/..", 3) != 0))
			continue;
		hit = *ctl ? strcmp(type, "cgroup") == 0 && nomad__list_has(options, ctl)
			   : strcmp(type, "cgroup2") == 0;
		/* Read-only, or not ours to change. */
		hit = hit && strlen(mount) < size && access(mount, W_OK) == 0;
	}
	if (hit)
		strcpy(ret, mount);
	free(line);
	if (f)
		fclose(f);
	return hit;
}

static void read_controllers(struct nomad__hierarchy *h)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/cgroup.controllers", h->mount);
	FILE *f = path ? fopen(path, "re") : NULL;

	if (!f || !fgets(h->controllers, sizeof(h->controllers), f))
		h->controllers[0] = 0;
	h->controllers[strcspn(h->controllers, "\n")] = 0;
	for (char *p = h->controllers; *p; p++)
		if (*p == ' ')
			*p = ',';
	if (f)
		fclose(f);
}

static void look(void)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char *line = NULL;
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0 && found.count < NOMAD__MAX_HIERARCHIES) {
		struct nomad__hierarchy *h = &found.list[found.count];
		char *ctl = strchr(line, ':'), *end = ctl ? strchr(ctl + 1, ':') : NULL;

		if (!end || (size_t)(end - ctl) > sizeof(h->ctl))
			continue;
		*end = 0;
		strcpy(h->ctl, ctl + 1);
		if (!find_mount(h->ctl, h->mount, sizeof(h->mount)))
			continue;
		if (!h->ctl[0])
			read_controllers(h);
		found.count++;
	}
	free(line);
	if (f)
		fclose(f);
}

int nomad__hierarchies(const struct nomad__hierarchy **ret)
{
	pthread_once(&once, look);
	*ret = found.list;
	return found.count;
}
