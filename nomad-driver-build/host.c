/* SPDX-License-Identifier: MPL-2.0
 *
 * What this node has: the engine and its version, an OCI runtime, and
 * whether overlay file systems can be stored where builds are.
 *
 * An engine with a new store first tries what the kernel's overlay can do,
 * by mounts whose ends wait for the disk: with a store for each task that is
 * half of a small build.  It notes each answer as the name of an empty file,
 * "FEATURE-true" or "FEATURE-false".  So it is let find out once, in a store
 * that no build has touched, and its notes are given to each build (jail.c).
 * They are kept in BASE/features, for this kernel, engine and file system. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "host.h"
#include "plan.h"

enum { PATIENCE_MS = 30000, FEATURES_MAX = 64 };

static void find_version(struct build_engine *engine)
{
	const char *argv[] = { engine->path, "--version", NULL };
	struct nomad_tool tool = { .argv = argv, .timeout_ms = PATIENCE_MS };
	char *v;

	if (nomad_tool_run(&tool, NULL) >= 0) {
		engine->is_podman = strstr(tool.output, "podman");
		v = strstr(tool.output, "version ");
		if (v && sscanf(v + 8, "%d.%d", &engine->major, &engine->minor) == 2)
			snprintf(engine->version, sizeof(engine->version), "%.*s", (int)strcspn(v + 8, " \n"), v + 8);
	}
	free(tool.output);
}

/* As image platforms are called. */
static void find_platform(struct build_engine *engine)
{
	static const char *const names[][2] = {
		{ "x86_64", "amd64" },	  { "aarch64", "arm64" },   { "armv7l", "arm/v7" },
		{ "armv6l", "arm/v6" },	  { "i386", "386" },	    { "i686", "386" },
		{ "ppc64le", "ppc64le" }, { "riscv64", "riscv64" }, { "loongarch64", "loong64" },
		{ "s390x", "s390x" },
	};
	struct utsname uts;
	size_t i;

	for (i = 0; !uname(&uts) && i < NOMAD_ARRAY_LEN(names); i++)
		if (strcmp(uts.machine, names[i][0]) == 0)
			snprintf(engine->platform, sizeof(engine->platform), "linux/%s", names[i][1]);
}

/* Root of a container may not raise limits. */
static void find_limits(struct build_engine *engine)
{
	struct rlimit files, processes;

	if (prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE, 0, 0, 0) == 1 || getrlimit(RLIMIT_NOFILE, &files) < 0 ||
	    getrlimit(RLIMIT_NPROC, &processes) < 0)
		return;
	engine->nofile = files.rlim_max == RLIM_INFINITY ? 0 : files.rlim_max;
	engine->nproc = processes.rlim_max == RLIM_INFINITY ? 0 : processes.rlim_max;
}

static void find_overlay(const char *base, struct build_host *host)
{
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s/probe.XXXXXX", base);
	const char *argv[] = { "/proc/self/exe", BUILD_STEP_WORD, "probe", dir, NULL };
	struct nomad_tool tool = { .argv = argv, .timeout_ms = PATIENCE_MS, .what = "mount an overlay" };
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;

	if (!dir || nomad_make_dirs(base, 0700, &err) < 0 || !mkdtemp(dir)) {
		host->overlay_error = nomad_strdupf("cannot write to '%s'", base);
		return;
	}
	host->overlay = nomad_tool_run(&tool, &err) >= 0;
	if (!host->overlay)
		host->overlay_error = strdup(nomad_error_message(err));
	free(tool.output);
	(void)nomad_remove_tree(dir, NULL);
}

/* ---- What the engine finds out of overlay ---- */

/* No more than a name, as everything in it becomes one. */
static bool is_feature(const char *name)
{
	size_t n = strlen(name);

	return n < 128 && !strchr(name, '/') && *name != '.' &&
	       ((n > 5 && strcmp(name + n - 5, "-true") == 0) || (n > 6 && strcmp(name + n - 6, "-false") == 0));
}

static char *key_of(const struct build_engine *engine, const char *base)
{
	struct utsname uts;
	struct stat st;

	if (uname(&uts) < 0 || stat(base, &st) < 0)
		return NULL;
	return nomad_strdupf("%s %s, %s %s, %llx\n", uts.release, uts.version, engine->path, engine->version,
			     (unsigned long long)st.st_dev);
}

static bool read_features(const char *path, const char *key, char ***ret)
{
	FILE *in = fopen(path, "re");
	char line[512];
	bool fits = in && fgets(line, sizeof(line), in) && strcmp(line, key) == 0;

	while (fits && nomad_strv_count((const char *const *)*ret) < FEATURES_MAX && fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = 0;
		if (is_feature(line) && nomad_strv_add(ret, line) < 0)
			break;
	}
	if (in)
		fclose(in);
	return fits;
}

static void list_features(const char *dir, char ***ret)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		if (is_feature(entry->d_name) && nomad_strv_add(ret, entry->d_name) < 0)
			break;
	if (d)
		closedir(d);
}

static void write_features(const char *path, const char *key, char *const *features)
{
	NOMAD_AUTO_FREE char *partial = nomad_strdupf("%s.%d", path, (int)getpid());
	FILE *out = partial ? fopen(partial, "we") : NULL;
	size_t i;

	if (!out)
		return;
	fputs(key, out);
	for (i = 0; features && features[i]; i++)
		fprintf(out, "%s\n", features[i]);
	if (fclose(out) || rename(partial, path) < 0)
		(void)unlink(partial);
}

/* By the probe, which has a mount namespace of its own: the engine may leave a mount.  False if it could not be asked.
 */
static bool ask_engine(const struct build_engine *engine, const char *base, char ***ret)
{
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s/probe.XXXXXX", base), *notes = NULL;
	char **argv = NULL;
	bool ran = false;

	if (!dir || !mkdtemp(dir))
		return false;
	notes = nomad_strdupf("%s/runroot/overlay", dir);
	if (notes && nomad_strv_add(&argv, "/proc/self/exe") >= 0 && nomad_strv_add(&argv, BUILD_STEP_WORD) >= 0 &&
	    nomad_strv_add(&argv, "probe") >= 0 && nomad_strv_add(&argv, dir) >= 0 &&
	    build_engine_try(engine, dir, &argv) >= 0) {
		struct nomad_tool tool = { .argv = (const char *const *)argv, .timeout_ms = PATIENCE_MS };

		ran = nomad_tool_run(&tool, NULL) >= 0;
		if (ran)
			list_features(notes, ret);
		free(tool.output);
	}
	nomad_strv_free(argv);
	(void)nomad_remove_tree(dir, NULL);
	return ran;
}

static void find_features(const char *base, struct build_host *host)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/features", base), *key = key_of(&host->engine, base);

	if (!path || !key || read_features(path, key, &host->features))
		return;
	if (ask_engine(&host->engine, base, &host->features))
		write_features(path, key, host->features);
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
	if (strcmp(config->storage_driver, "vfs") != 0)
		find_overlay(base, ret);
	find_platform(engine);
	find_limits(engine);
	engine->storage_driver = ret->overlay ? "overlay" : "vfs";
	if (ret->overlay && engine->version[0])
		find_features(base, ret);
	ret->slirp = nomad_tool_find("slirp4netns");
	ret->runtime = nomad_tool_find("crun");
	if (!ret->runtime)
		ret->runtime = nomad_tool_find("runc");
}

void build_host_done(struct build_host *host)
{
	free(host->engine.path);
	free(host->overlay_error);
	free(host->runtime);
	free(host->slirp);
	nomad_strv_free(host->features);
}

char *build_base_dir(const struct build_plugin_config *config, const char *state_dir)
{
	return config->storage_root ? strdup(config->storage_root) : nomad_strdupf("%s/builds", state_dir);
}
