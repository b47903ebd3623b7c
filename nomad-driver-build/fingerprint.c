/* SPDX-License-Identifier: MPL-2.0
 *
 * Can this node build images?  Each check names what is wrong and what to do
 * about it; `doctor` shows them all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "features.h"
#include "host.h"

/* What the options and the jail take was there in this version. */
enum { BUILDAH_MINOR = 28, PODMAN_MAJOR = 4 };

static bool is_recent(const struct build_engine *engine)
{
	return engine->is_podman ? engine->major >= PODMAN_MAJOR : engine->major > 1 || engine->minor >= BUILDAH_MINOR;
}

static void show(struct nomad_fingerprint *fp, const struct build_host *host)
{
	NOMAD_AUTO_FREE char *platforms = build_platforms_of(BUILD_BINFMT, host->engine.platform);

	nomad_fp_string(fp, "engine", host->engine.is_podman ? "podman" : "buildah");
	nomad_fp_string(fp, "engine.path", host->engine.path);
	nomad_fp_string(fp, "version", host->engine.version);
	nomad_fp_string(fp, "platforms", platforms ? platforms : host->engine.platform);
	nomad_fp_string(fp, "storage_driver", host->engine.storage_driver);
	nomad_fp_string(fp, "isolation", host->runtime ? "chroot,oci" : "chroot");
	/* Limits are those of the task's cgroup, which the whole build is in. */
	nomad_fp_string(fp, "cgroup_manager", "cgroupfs");
}

/* The year of buildah 1.x. */
static int year_of(int minor)
{
	static const struct {
		int minor, year;
	} years[] = { { 43, 2026 }, { 39, 2025 }, { 34, 2024 }, { 29, 2023 } };

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(years); i++)
		if (minor >= years[i].minor)
			return years[i].year;
	return 2022;
}

/* Neither is in the way of a build: its jail holds an engine whose faults are known. */
static void check_age(struct nomad_fingerprint *fp, const struct build_engine *engine)
{
	NOMAD_AUTO_FREE char *features = build_engine_lacks_features(engine), *fixes = build_engine_lacks_fixes(engine);
	NOMAD_AUTO_FREE char *lacks = NULL, *open = NULL;
	const char *name = engine->is_podman ? "podman" : "buildah";

	if (!engine->version[0])
		return;
	lacks = nomad_strdupf("%s %s is of %d; some public Dockerfiles use what it does not have: %s", name,
			      engine->version, year_of(build_engine_minor(engine)), features ? features : "");
	nomad_fp_check(fp, "features", !features, NOMAD_HEALTHY, lacks ? lacks : "it is old",
		       "install a newer one, or name it with the option engine");
	open = nomad_strdupf("by its version, %s %s lacks the fixes of %s; the driver's jail holds what they let out",
			     name, engine->version, fixes ? fixes : "");
	nomad_fp_check(fp, "fixes", !fixes, NOMAD_HEALTHY, open ? open : "it lacks fixes",
		       "see whether the distribution has patched it, or install a newer one");
}

static void check(struct nomad_fingerprint *fp, const struct build_plugin_config *config, const struct build_host *host)
{
	NOMAD_AUTO_FREE char *missing = NULL, *old = NULL, *overlay = NULL;
	const struct build_engine *engine = &host->engine;
	bool must = strcmp(config->storage_driver, "overlay") == 0;

	nomad_fp_check(fp, "root", geteuid() == 0, NOMAD_UNDETECTED, "builds have to be started by root",
		       "run the Nomad client as root");
	if (config->engine)
		missing = nomad_strdupf("there is no program '%s'", config->engine);
	nomad_fp_check(fp, "engine", engine->path, NOMAD_UNDETECTED,
		       missing ? missing : "neither buildah nor podman is installed",
		       config->engine ? "set engine in the plugin block to the path of buildah or podman"
				      : "install the package buildah");
	if (!engine->path)
		return;
	if (nomad_fp_check(fp, "engine runs", engine->version[0], NOMAD_UNHEALTHY,
			   "the engine does not tell its version", "run it with --version by hand and see why")) {
		old = nomad_strdupf("%s %s is older than %s", engine->is_podman ? "podman" : "buildah", engine->version,
				    engine->is_podman ? "4.0" : "1.28");
		nomad_fp_check(fp, "version", is_recent(engine), NOMAD_UNHEALTHY, old ? old : "the engine is too old",
			       "update it");
	}
	check_age(fp, engine);
	if (strcmp(config->storage_driver, "vfs") != 0) {
		overlay = nomad_strdupf("overlay file systems cannot be stored in storage_root (%s)",
					host->overlay_error ? host->overlay_error : "?");
		nomad_fp_check(fp, "overlay", host->overlay, must ? NOMAD_UNHEALTHY : NOMAD_HEALTHY,
			       overlay ? overlay : "no overlay",
			       must ? "set storage_driver = \"auto\", or storage_root to a directory on ext4 or xfs"
				    : "builds copy each layer (vfs); set storage_root to a directory on ext4 or xfs");
	}
	nomad_fp_check(fp, "runtime", host->runtime, NOMAD_HEALTHY,
		       "neither crun nor runc is installed: isolation = \"oci\" cannot be used",
		       "install the package crun");
	nomad_fp_check(fp, "network", host->slirp, NOMAD_HEALTHY,
		       "slirp4netns is not installed: builds cannot have a network of their own, which is the default",
		       "install the package slirp4netns");
}

void build_fingerprint(struct nomad_plugin *plugin, struct nomad_fingerprint *fp)
{
	const struct build_plugin_config *config = nomad_plugin_config(plugin);
	NOMAD_AUTO_FREE char *base = build_base_dir(config, nomad_plugin_state_dir(plugin));
	struct build_host host;

	if (!base)
		return;
	build_host_find(config, base, &host);
	check(fp, config, &host);
	if (host.engine.path)
		show(fp, &host);
	build_host_done(&host);
}
