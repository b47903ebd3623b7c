/* SPDX-License-Identifier: MPL-2.0
 *
 * Users and groups of an image, read from its files: a static program in a
 * foreign tree must not load that tree's NSS modules. */
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "init.h"

enum { GROUPS_MAX = 256 };

static int parse_id(const char *s, unsigned long *ret)
{
	char *end;

	if (!isdigit((unsigned char)*s))
		return -1;
	errno = 0;
	*ret = strtoul(s, &end, 10);
	return errno || *end || *ret >= 0xffffffffUL ? -1 : 0;
}

/* Split a line of passwd or group in place; the number of fields. */
static int split(char *line, char **fields, int max)
{
	int n = 0;

	line[strcspn(line, "\n")] = 0;
	while (n < max && line)
		fields[n++] = strsep(&line, ":");
	return n;
}

static int group_find(const char *group, gid_t *ret)
{
	char line[16384], *f[4];
	unsigned long id;
	int r = -1;
	FILE *file;

	if (!parse_id(group, &id)) {
		*ret = (gid_t)id;
		return 0;
	}
	file = fopen("/etc/group", "re");
	errno = ENOENT;
	while (file && r < 0 && fgets(line, sizeof(line), file))
		if (split(line, f, 4) >= 3 && strcmp(f[0], group) == 0 && !parse_id(f[2], &id)) {
			*ret = (gid_t)id;
			r = 0;
		}
	if (file)
		fclose(file);
	return r;
}

int account_find(const char *who, struct account *ret)
{
	char line[4096], name[256], *f[7], *group;
	unsigned long uid, gid, wanted = 0;
	int numeric, found = 0;
	FILE *file;

	if (strlen(who) >= sizeof(name)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(name, who);
	group = strchr(name, ':');
	if (group)
		*group++ = 0;
	numeric = !parse_id(name, &wanted);
	file = fopen("/etc/passwd", "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		if (split(line, f, 7) < 6 || parse_id(f[2], &uid) || parse_id(f[3], &gid))
			continue;
		if (numeric ? uid != wanted : strcmp(f[0], name))
			continue;
		found = 1;
		ret->uid = (uid_t)uid;
		ret->gid = (gid_t)gid;
		snprintf(ret->name, sizeof(ret->name), "%s", f[0]);
		snprintf(ret->home, sizeof(ret->home), "%s", *f[5] ? f[5] : "/");
	}
	if (file)
		fclose(file);
	if (!found && (numeric || strcmp(name, "root") == 0)) {
		found = 1;
		ret->uid = (uid_t)wanted;
		ret->gid = (gid_t)wanted;
		snprintf(ret->name, sizeof(ret->name), "%s", name);
		snprintf(ret->home, sizeof(ret->home), "%s", wanted ? "/" : "/root");
	}
	if (!found) {
		errno = ENOENT;
		return -1;
	}
	return group ? group_find(group, &ret->gid) : 0;
}

int setgroups_of(const struct account *account)
{
	char line[16384], *f[4], *member, *rest;
	gid_t groups[GROUPS_MAX];
	size_t n = 0;
	unsigned long id;
	FILE *file = fopen("/etc/group", "re");

	groups[n++] = account->gid;
	while (file && n < GROUPS_MAX && fgets(line, sizeof(line), file)) {
		if (split(line, f, 4) < 4 || parse_id(f[2], &id) || id == account->gid)
			continue;
		for (rest = f[3]; (member = strsep(&rest, ","));)
			if (strcmp(member, account->name) == 0) {
				groups[n++] = (gid_t)id;
				break;
			}
	}
	if (file)
		fclose(file);
	return setgroups(n, groups);
}
