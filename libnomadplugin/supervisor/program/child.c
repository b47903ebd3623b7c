/* SPDX-License-Identifier: MPL-2.0
 *
 * child.c: what the task's process and a command have in common between fork
 * and exec. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void child_fail(int fd, int errnum, const char *act, const char *object)
{
	char buf[600];
	struct nomad__text t;
	size_t head;

	nomad__text_init(&t, buf, sizeof(buf));
	nomad__text_add(&t, "E");
	nomad__text_num(&t, errnum);
	head = t.used + 1;
	nomad__text_init(&t, buf + head, sizeof(buf) - head);
	text_act(&t, act, object);
	(void)!write(fd, buf, head + t.used + 1);
	_exit(127);
}

char **child_strings(const struct spec *spec, const char *key, const char *extra)
{
	size_t pos = 0, n = 0;
	const char *s;
	char **v;

	while (nomad__fields_next(spec->data, spec->size, key, &pos))
		n++;
	v = mmap(NULL, (n + 2) * sizeof(*v), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (v == MAP_FAILED)
		return NULL;
	pos = n = 0;
	while ((s = nomad__fields_next(spec->data, spec->size, key, &pos)))
		v[n++] = (char *)s;
	if (extra)
		v[n] = (char *)extra;
	return v;
}

void child_defaults(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NOMAD__NSIG; i++)
		(void)sigaction(i, &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Become uid, gid and "1,2,3" of the specification, if it names them. */
int child_become(const struct spec *spec)
{
	int64_t uid = nomad__fields_get_num(spec->data, spec->size, "uid", -1);
	int64_t gid = nomad__fields_get_num(spec->data, spec->size, "gid", -1);
	const char *list = nomad__fields_get(spec->data, spec->size, "groups");
	gid_t groups[64];
	int n = 0;

	if (uid < 0)
		return 0;
	/* Half a user would run as root. */
	if (gid < 0)
		return -EINVAL;
	for (const char *p = list; p && *p && n < 64; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		groups[n++] = (gid_t)nomad__parse_num(p, gid);
	if (setgroups((size_t)n, groups) < 0 || setgid((gid_t)gid) < 0 || setuid((uid_t)uid) < 0)
		return -errno;
	return 0;
}

/* fds[i] becomes i.  None of them is below 3 (main() has taken 0 to 2). */
int child_stdio(const int fds[3])
{
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			return -errno;
	return 0;
}

int child_exec(char **argv, char **env)
{
	const char *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	char buf[4096];
	struct nomad__text t;
	int r = -ENOENT;

	if (strchr(argv[0], '/')) {
		execve(argv[0], argv, env);
		return -errno;
	}
	for (char **e = env; *e; e++)
		if (strncmp(*e, "PATH=", 5) == 0)
			path = *e + 5;
	while (path && *path) {
		const char *end = strchr(path, ':');
		size_t n = end ? (size_t)(end - path) : strlen(path);

		if (n > 0 && n < sizeof(buf)) {
			memcpy(buf, path, n);
			nomad__text_init(&t, buf + n, sizeof(buf) - n);
			nomad__text_add(&t, "/");
			nomad__text_add(&t, argv[0]);
			execve(buf, argv, env);
			if (errno != ENOENT && errno != ENOTDIR)
				r = -errno;
		}
		path = end ? end + 1 : NULL;
	}
	return r;
}
