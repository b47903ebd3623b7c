/* SPDX-License-Identifier: MPL-2.0
 *
 * The payload of an unbooted container: its environment, its user, its
 * command.
 *
 * The environment does not come by argv, which everybody on the host can
 * read, but in a credential of systemd-nspawn: strings that end in a zero
 * byte: user, working directory, then NAME=VALUE each.  Names that
 * systemd-nspawn would refuse arrive like any other. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "init.h"
#include "payload.h"

enum { SPEC_MAX = 2 << 20 };

static const char spec_path[] = "/run/host/credentials/" NSPAWN_SPEC_NAME;

static void env_put(struct spec *spec, char *pair, int replace)
{
	size_t i, n = (size_t)(strchr(pair, '=') - pair) + 1;

	for (i = 0; i < spec->n_env; i++)
		if (strncmp(spec->env[i], pair, n) == 0) {
			if (replace)
				spec->env[i] = pair;
			return;
		}
	spec->env[spec->n_env++] = pair;
	spec->env[spec->n_env] = NULL;
}

void env_default(struct spec *spec, const char *name, const char *value)
{
	char *pair;

	if (asprintf(&pair, "%s=%s", name, value) < 0)
		init_fail(125, "set", name);
	env_put(spec, pair, 0);
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
static void env_from_nspawn(struct spec *spec)
{
	static const char *const names[] = {
		"container", "container_uuid", "container_host_id", "container_host_version_id", "LANG", "TERM", "PATH"
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);

		if (value)
			env_default(spec, names[i], value);
	}
}

void spec_read(struct spec *spec)
{
	size_t size = 0, n = 0, i;
	ssize_t got;
	char *p, *end;
	int fd = open(spec_path, O_RDONLY | O_CLOEXEC);

	spec->data = malloc(SPEC_MAX + 1);
	if (fd < 0 || !spec->data)
		init_fail(125, "open", spec_path);
	while (size < SPEC_MAX && (got = read(fd, spec->data + size, SPEC_MAX - size)) != 0) {
		if (got < 0)
			init_fail(125, "read", spec_path);
		size += (size_t)got;
	}
	close(fd);
	spec->data[size] = 0;
	end = spec->data + size;
	for (p = spec->data; p < end; p++)
		n += !*p;
	if (n < 2) {
		errno = EINVAL;
		init_fail(125, "use", spec_path);
	}
	spec->env = calloc(n + 16, sizeof(char *));
	if (!spec->env)
		init_fail(125, "read", spec_path);
	for (p = spec->data, i = 0; p < end; p += strlen(p) + 1, i++) {
		if (i == 0)
			spec->user = p;
		else if (i == 1)
			spec->cwd = p;
		else if (strchr(p, '='))
			env_put(spec, p, 1);
	}
	env_from_nspawn(spec);
	env_drop(spec->env, "CREDENTIALS_DIRECTORY");
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

const char *become(struct spec *spec, char **argv, const char **ret_object)
{
	struct account account = { .home = "/root", .name = "root" };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (*spec->user) {
		*ret_object = spec->user;
		if (account_find(spec->user, &account) < 0)
			return "find user";
		if (setgroups_of(&account) < 0 || setresgid(account.gid, account.gid, account.gid) < 0 ||
		    setresuid(account.uid, account.uid, account.uid) < 0)
			return "become user";
	}
	env_default(spec, "HOME", account.home);
	env_default(spec, "USER", account.name);
	env_default(spec, "LOGNAME", account.name);
	*ret_object = *spec->cwd ? spec->cwd : "/";
	if (chdir(*ret_object) < 0)
		return "enter working directory";
	*ret_object = argv[0];
	execute(argv, spec->env);
	return "run";
}
