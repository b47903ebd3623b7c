/* SPDX-License-Identifier: MPL-2.0
 *
 * What the driver says about the task, and how a process becomes the task.
 *
 * The environment does not come by argv, which every user of the host can
 * read, but in a credential of systemd-nspawn: strings that end in a zero
 * byte: user, working directory, groups beside those of the user,
 * settings of the kernel, the health check of the image and the words of its
 * command, then NAME=VALUE each.  Names that
 * systemd-nspawn would refuse arrive like any other. */
#include "task.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

enum { SPEC_MAX = 2 << 20 };

static const char spec_path[] = "/run/host/credentials/" NSPAWN_SPEC_NAME;

static void env_put(struct task *task, char *pair, int replace)
{
	size_t i, n = (size_t)(strchr(pair, '=') - pair) + 1;

	for (i = 0; i < task->n_env; i++)
		if (strncmp(task->env[i], pair, n) == 0) {
			if (replace)
				task->env[i] = pair;
			return;
		}
	task->env[task->n_env++] = pair;
	task->env[task->n_env] = NULL;
}

void task_default(struct task *task, const char *name, const char *value)
{
	char *pair;

	if (asprintf(&pair, "%s=%s", name, value) < 0)
		init_fail(125, "set", name);
	env_put(task, pair, 0);
}

static void env_drop(char **env, const char *name)
{
	size_t n = strlen(name);
	char **from, **to = env;

	for (from = env; *from; from++)
		if (strncmp(*from, name, n) != 0 || (*from)[n] != '=')
			*to++ = *from;
	*to = NULL;
}

/* What systemd-nspawn says about the container, where the task says nothing. */
static void env_from_nspawn(struct task *task)
{
	static const char *const names[] = {
		"container", "container_uuid", "container_host_id", "container_host_version_id", "LANG", "TERM", "PATH"
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);

		if (value)
			task_default(task, names[i], value);
	}
}

/* "INTERVAL START_INTERVAL TIMEOUT START RETRIES N", in milliseconds: N words of the command follow. */
static size_t health_read(struct health *ret, const char *text)
{
	long long timeout, start;
	unsigned n = 0;

	if (sscanf(text, "%d %d %lld %lld %d %u", &ret->interval_ms, &ret->start_interval_ms, &timeout, &start,
		   &ret->retries, &n) != 6 ||
	    !n || n > 4096)
		return 0;
	ret->timeout_ms = timeout;
	ret->start_ms = start;
	ret->argv = calloc(n + 1, sizeof(char *));
	return ret->argv ? n : 0;
}

void task_read(struct task *task)
{
	size_t size = 0, n = 0, left = 0, n_words = 0, i;
	ssize_t got;
	char *p, *end;
	int fd = open(spec_path, O_RDONLY | O_CLOEXEC);

	task->data = malloc(SPEC_MAX + 1);
	if (fd < 0 || !task->data)
		init_fail(125, "open", spec_path);
	while (size < SPEC_MAX && (got = read(fd, task->data + size, SPEC_MAX - size)) != 0) {
		if (got < 0)
			init_fail(125, "read", spec_path);
		size += (size_t)got;
	}
	close(fd);
	task->data[size] = 0;
	end = task->data + size;
	for (p = task->data; p < end; p++)
		n += !*p;
	if (n < 5) {
		errno = EINVAL;
		init_fail(125, "use", spec_path);
	}
	task->env = calloc(n + 16, sizeof(char *));
	if (!task->env)
		init_fail(125, "read", spec_path);
	for (p = task->data, i = 0; p < end; p += strlen(p) + 1, i++) {
		if (i == 0)
			task->user = p;
		else if (i == 1)
			task->cwd = p;
		else if (i == 2)
			task->groups = p;
		else if (i == 3)
			task->sysctls = p;
		else if (i == 4)
			left = health_read(&task->health, p);
		else if (left)
			(left--, task->health.argv[n_words++] = p);
		else if (strchr(p, '='))
			env_put(task, p, 1);
	}
	env_from_nspawn(task);
	env_drop(task->env, "CREDENTIALS_DIRECTORY");
}

/* execve() with a search in the PATH of the new environment. */
static void execute(char **argv, char **env)
{
	const char *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *p;
	char **e, name[4096];
	int best = ENOENT;

	if (strchr(argv[0], '/')) {
		execve(argv[0], argv, env);
		return;
	}
	for (e = env; *e; e++)
		if (strncmp(*e, "PATH=", 5) == 0)
			path = *e + 5;
	for (p = path;; p++) {
		int n = (int)strcspn(p, ":");

		if (snprintf(name, sizeof(name), "%.*s%s%s", n, p, n ? "/" : "./", argv[0]) < (int)sizeof(name)) {
			execve(name, argv, env);
			if (errno != ENOENT && errno != ENOTDIR)
				best = errno;
		}
		p += n;
		if (!*p)
			break;
	}
	errno = best;
}

const char *task_resolve(struct task *task)
{
	task->account = (struct nomad__account){ .home = "/root", .name = "root" };
	task->other_user = *task->user != 0;
	if (task->other_user && nomad__account_find(task->user, &task->account) < 0)
		return "find user";
	if (*task->groups) {
		task->other_user = true;
		if (nomad__account_add_groups(task->groups, &task->account) < 0)
			return "find the groups of user";
	}
	task_default(task, "HOME", task->account.home);
	task_default(task, "USER", task->account.name);
	task_default(task, "LOGNAME", task->account.name);
	return NULL;
}

/* A directory that cannot be named from the root is outside the container.  The
 * system call says so; the C library's getcwd() would search on. */
static int enter_directory(const char *path)
{
	char name[8192];

	if (chdir(path) < 0 || syscall(SYS_getcwd, name, sizeof(name)) < 0)
		return -1;
	if (*name == '/')
		return 0;
	errno = EXDEV;
	return -1;
}

const char *task_become(void *ud, char **argv, int tty, const char **ret_object)
{
	struct task *task = ud;
	const struct nomad__account *a = &task->account;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (tty)
		(void)!fchown(0, a->uid, (gid_t)-1);
	*ret_object = task->user;
	if (task->other_user && (setgroups(a->n_groups, a->groups) < 0 || setresgid(a->gid, a->gid, a->gid) < 0 ||
				 setresuid(a->uid, a->uid, a->uid) < 0))
		return "become user";
	*ret_object = *task->cwd ? task->cwd : "/";
	if (enter_directory(*ret_object) < 0)
		return "enter working directory";
	*ret_object = argv[0];
	execute(argv, task->env);
	return "run";
}
