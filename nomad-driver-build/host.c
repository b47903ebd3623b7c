/* SPDX-License-Identifier: MPL-2.0
 *
 * What this node has: the engine and its version, an OCI runtime, and
 * whether overlay file systems can be stored where builds are. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host.h"
#include "plan.h"

enum { PATIENCE_MS = 10000 };

static int spawn(const char *const *argv, int out, pid_t *ret_pid)
{
	const char *env[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "LC_ALL=C.UTF-8", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, out, 2);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	r = posix_spawn(ret_pid, argv[0], &actions, &attr, (char *const *)argv, (char *const *)env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

/* The first bytes of what it writes, in bounded time.  Its exit status, or -1. */
static int ask(const char *const *argv, char *text, size_t size)
{
	size_t used = 0;
	int out[2], status = -1;
	ssize_t n = 1;
	pid_t pid;

	*text = 0;
	if (pipe2(out, O_CLOEXEC) < 0)
		return -1;
	if (spawn(argv, out[1], &pid)) {
		close(out[0]);
		close(out[1]);
		return -1;
	}
	close(out[1]);
	while (used < size - 1 && n > 0) {
		struct pollfd p = { out[0], POLLIN, 0 };

		if (poll(&p, 1, PATIENCE_MS) <= 0) {
			kill(pid, SIGKILL);
			break;
		}
		n = read(out[0], text + used, size - 1 - used);
		used += n > 0 ? (size_t)n : 0;
	}
	text[used] = 0;
	text[strcspn(text, "\n")] = 0;
	close(out[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void find_version(struct build_engine *engine)
{
	const char *argv[] = { engine->path, "--version", NULL };
	char text[256], *v;

	if (ask(argv, text, sizeof(text)))
		return;
	engine->is_podman = strstr(text, "podman");
	v = strstr(text, "version ");
	if (v && sscanf(v + 8, "%d.%d", &engine->major, &engine->minor) == 2)
		snprintf(engine->version, sizeof(engine->version), "%.*s", (int)strcspn(v + 8, " "), v + 8);
}

static void find_overlay(const char *base, struct build_host *host)
{
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s/probe.XXXXXX", base);
	const char *argv[] = { "/proc/self/exe", BUILD_STEP_WORD, "probe", dir, NULL };
	char text[512];

	if (!dir || build_make_dirs(base, NULL) < 0 || !mkdtemp(dir)) {
		host->overlay_error = nomad_strdupf("cannot write to '%s'", base);
		return;
	}
	host->overlay = !ask(argv, text, sizeof(text));
	if (!host->overlay)
		host->overlay_error = strdup(text);
	(void)build_tree_remove(dir);
}

void build_host_find(const struct build_plugin_config *config, const char *base, struct build_host *ret)
{
	struct build_engine *engine = &ret->engine;

	*ret = (struct build_host){ 0 };
	if (config->engine)
		engine->path = access(config->engine, X_OK) ? NULL : strdup(config->engine);
	else
		engine->path = nomad_tool_find("buildah");
	if (!config->engine && !engine->path)
		engine->path = nomad_tool_find("podman");
	if (engine->path)
		find_version(engine);
	if (strcmp(config->storage_driver, "vfs"))
		find_overlay(base, ret);
	engine->storage_driver = ret->overlay ? "overlay" : "vfs";
	ret->runtime = nomad_tool_find("crun");
	if (!ret->runtime)
		ret->runtime = nomad_tool_find("runc");
}

void build_host_done(struct build_host *host)
{
	free(host->engine.path);
	free(host->overlay_error);
	free(host->runtime);
}

char *build_base_dir(const struct build_plugin_config *config, const char *state_dir)
{
	return config->storage_root ? strdup(config->storage_root) : nomad_strdupf("%s/builds", state_dir);
}

int build_make_dirs(const char *path, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *part = strdup(path);
	char *p;

	if (!part)
		return nomad_error_errno(err, ENOMEM, "make directory '%s'", path);
	for (p = strchr(part + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = 0;
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return nomad_error_errno(err, errno, "make directory '%s'", part);
		*p = '/';
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return nomad_error_errno(err, errno, "make directory '%s'", path);
	return 0;
}
