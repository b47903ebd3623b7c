/* SPDX-License-Identifier: MPL-2.0
 *
 * user.c: a user by the files of the root that was entered.  The C library's
 * own functions would load modules, from that root, into this process. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <unistd.h>

enum { MAX_GROUPS = 64 };

/* Call `line` with each line that fits; stop when it returns true. */
static bool each_line(const char *path, bool (*line)(char *line, void *ud), void *ud)
{
	char buf[4096];
	size_t used = 0;
	bool skip = false, hit = false;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	while (fd >= 0 && !hit && (n = read(fd, buf + used, sizeof(buf) - 1 - used)) > 0) {
		char *start = buf, *end;

		used += (size_t)n;
		buf[used] = 0;
		while (!hit && (end = memchr(start, '\n', used - (size_t)(start - buf)))) {
			*end = 0;
			hit = !skip && line(start, ud);
			skip = false;
			start = end + 1;
		}
		used -= (size_t)(start - buf);
		memmove(buf, start, used);
		if (used == sizeof(buf) - 1) {
			/* Longer than any sane line: passed over. */
			skip = true;
			used = 0;
		}
	}
	if (fd >= 0)
		close(fd);
	return hit;
}

struct search {
	const char *name;
	int64_t uid, gid;
	char found[64];
	gid_t groups[MAX_GROUPS];
	int n_groups;
};

/* Cut the next field off. */
static char *field(char **rest)
{
	char *start = *rest, *end = start ? strchr(start, ':') : NULL;

	*rest = end ? end + 1 : NULL;
	if (end)
		*end = 0;
	return start ? start : (char *)"";
}

static bool passwd_line(char *line, void *ud)
{
	struct search *s = ud;
	char *name = field(&line);
	int64_t uid, gid;
	struct nomad__text t;

	(void)field(&line);
	uid = nomad__parse_num(field(&line), -1);
	gid = nomad__parse_num(field(&line), -1);
	if (uid < 0 || gid < 0 || (s->uid >= 0 ? uid != s->uid : strcmp(name, s->name) != 0))
		return false;
	s->uid = uid;
	s->gid = gid;
	nomad__text_init(&t, s->found, sizeof(s->found));
	nomad__text_add(&t, name);
	return true;
}

static bool group_line(char *line, void *ud)
{
	struct search *s = ud;
	int64_t gid;

	(void)field(&line);
	(void)field(&line);
	gid = nomad__parse_num(field(&line), -1);
	for (char *member = strtok(line, ","); gid >= 0 && member; member = strtok(NULL, ","))
		if (strcmp(member, s->found) == 0 && s->n_groups < MAX_GROUPS) {
			s->groups[s->n_groups++] = (gid_t)gid;
			break;
		}
	return false;
}

int child_become_inside(const char *user)
{
	struct search s = { .name = user, .uid = nomad__parse_num(user, -1), .gid = -1 };
	bool known = each_line("/etc/passwd", passwd_line, &s);

	if (!known && s.uid < 0 && strcmp(user, "root") == 0)
		s.uid = 0;
	if (s.uid < 0)
		return -ENOENT;
	if (s.gid < 0)
		s.gid = s.uid;
	s.groups[s.n_groups++] = (gid_t)s.gid;
	if (known)
		(void)each_line("/etc/group", group_line, &s);
	/* A user namespace may forbid setgroups(): then there are none to keep. */
	if (setgroups((size_t)s.n_groups, s.groups) < 0 && errno != EPERM)
		return -errno;
	if (setgid((gid_t)s.gid) < 0 || setuid((uid_t)s.uid) < 0)
		return -errno;
	return 0;
}
