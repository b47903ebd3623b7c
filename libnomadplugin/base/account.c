/* SPDX-License-Identifier: MPL-2.0
 *
 * Users and groups of an image, read from its files: a static program in a
 * foreign tree must not load that tree's NSS modules.  The files may be
 * anything, so only regular ones of a bounded size are read. */
#include "base/account.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20 };

static int parse_id(const char *s, unsigned long *ret)
{
	char *end;

	if (!isdigit((unsigned char)*s))
		return -1;
	errno = 0;
	*ret = strtoul(s, &end, 10);
	return errno || *end || *ret >= 0xffffffffUL ? -1 : 0;
}

/* Cuts a line of passwd or group into fields; their number. */
static int split(char *line, char **fields, int max)
{
	int n = 0;

	while (n < max && line)
		fields[n++] = strsep(&line, ":");
	return n;
}

/* The whole file as a string, or NULL with errno. */
static char *read_text(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	size_t size = 0;
	struct stat st;
	char *text;
	ssize_t n;

	if (fd < 0)
		return NULL;
	text = malloc(FILE_MAX + 2);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !text) {
		free(text);
		close(fd);
		errno = EINVAL;
		return NULL;
	}
	while (size <= FILE_MAX && (n = read(fd, text + size, FILE_MAX + 1 - size)) > 0)
		size += (size_t)n;
	close(fd);
	text[size] = 0;
	if (size <= FILE_MAX)
		return text;
	free(text);
	errno = EFBIG;
	return NULL;
}

static int find_group(char *text, const char *group, gid_t *ret)
{
	unsigned long id;
	char *line, *f[4];

	if (!parse_id(group, &id)) {
		*ret = (gid_t)id;
		return 0;
	}
	while ((line = strsep(&text, "\n")))
		if (split(line, f, 4) >= 3 && strcmp(f[0], group) == 0 && !parse_id(f[2], &id)) {
			*ret = (gid_t)id;
			return 0;
		}
	errno = ENOENT;
	return -1;
}

static int find_user(char *text, const char *name, struct nomad__account *ret)
{
	unsigned long uid, gid, wanted = 0;
	int numeric = !parse_id(name, &wanted);
	char *line, *f[7];

	while ((line = strsep(&text, "\n"))) {
		if (split(line, f, 7) < 6 || parse_id(f[2], &uid) || parse_id(f[3], &gid))
			continue;
		if (numeric ? uid != wanted : strcmp(f[0], name) != 0)
			continue;
		ret->uid = (uid_t)uid;
		ret->gid = (gid_t)gid;
		snprintf(ret->name, sizeof(ret->name), "%s", f[0]);
		snprintf(ret->home, sizeof(ret->home), "%s", *f[5] ? f[5] : "/");
		return 0;
	}
	if (!numeric && strcmp(name, "root") != 0) {
		errno = ENOENT;
		return -1;
	}
	ret->uid = (uid_t)wanted;
	ret->gid = (gid_t)wanted;
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	snprintf(ret->home, sizeof(ret->home), "%s", wanted ? "/" : "/root");
	return 0;
}

static void find_memberships(char *text, struct nomad__account *account)
{
	unsigned long id;
	char *line, *member, *f[4];

	account->groups[0] = account->gid;
	account->n_groups = 1;
	while (account->n_groups < NOMAD__ACCOUNT_GROUPS && (line = strsep(&text, "\n"))) {
		if (split(line, f, 4) < 4 || parse_id(f[2], &id) || id == account->gid)
			continue;
		while ((member = strsep(&f[3], ",")))
			if (strcmp(member, account->name) == 0) {
				account->groups[account->n_groups++] = (gid_t)id;
				break;
			}
	}
}

/* A tree without these files has root and numbers. */
static int read_both(char **passwd, char **group)
{
	*passwd = read_text("/etc/passwd");
	if (!*passwd && errno != ENOENT)
		return -1;
	*group = read_text("/etc/group");
	return !*group && errno != ENOENT ? -1 : 0;
}

int nomad__account_find(const char *who, struct nomad__account *ret)
{
	char name[256], *group, *passwd = NULL, *groups = NULL, *copy;
	int r = -1;

	if (strlen(who) >= sizeof(name)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(name, who);
	group = strchr(name, ':');
	if (group)
		*group++ = 0;
	if (read_both(&passwd, &groups) == 0 && find_user(passwd, name, ret) == 0) {
		copy = groups ? strdup(groups) : NULL;
		r = group ? find_group(copy, group, &ret->gid) : 0;
		free(copy);
		if (r == 0)
			find_memberships(groups, ret);
	}
	free(passwd);
	free(groups);
	return r;
}

int nomad__account_add_groups(const char *list, struct nomad__account *account)
{
	char *text = read_text("/etc/group"), *names = strdup(list), *rest = names, *name, *copy;
	int r = names && (text || errno == ENOENT) ? 0 : -1;

	if (!account->n_groups)
		account->groups[account->n_groups++] = account->gid;
	while (r == 0 && (name = strsep(&rest, ","))) {
		copy = text ? strdup(text) : NULL;
		errno = E2BIG;
		r = account->n_groups < NOMAD__ACCOUNT_GROUPS
			    ? find_group(copy, name, &account->groups[account->n_groups])
			    : -1;
		account->n_groups += r == 0;
		free(copy);
	}
	free(text);
	free(names);
	return r;
}
