/* SPDX-License-Identifier: MPL-2.0
 *
 * fingerprint.c: checks whether this host can run pots.
 *
 * Without pot the driver is undetected.  It is unhealthy if something is missing
 * that every task needs.  Features that only some tasks need (a bridge, limits)
 * are shown by `doctor` and as attributes, for constraints.  Each time it runs a
 * few short commands.  If one hangs, it is killed after a few seconds, and the
 * others are skipped. */
#include "driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "nomad/error.h"
#include "pot-cli.h"
#include "nomad/tool.h"

enum { TIMEOUT_MS = 5000 };

/* The first line that it says, malloc()ed, or NULL if it failed. */
static char *ask(const struct pot_config *site, char **take_argv, struct nomad_error **err)
{
	struct nomad_tool run = { .argv = (const char *const *)take_argv,
				  .path = site->path,
				  .timeout_ms = TIMEOUT_MS };
	char *line = NULL;

	if (take_argv && nomad_tool_run(&run, err) == 0) {
		run.output[strcspn(run.output, "\r\n")] = '\0';
		line = NOMAD_TAKE_PTR(run.output);
	}
	free(run.output);
	nomad_strv_free(take_argv);
	return line;
}

static char *ask_sysctl(const struct pot_config *site, const char *name)
{
	char **argv = NULL;

	if (nomad_strv_add(&argv, "sysctl") < 0 || nomad_strv_add(&argv, "-n") < 0 || nomad_strv_add(&argv, name) < 0) {
		nomad_strv_free(argv);
		return NULL;
	}
	return ask(site, argv, NULL);
}

static char *pool_health(const struct pot_config *site, const char *pool)
{
	static const char *const words[] = { "zpool", "list", "-H", "-o", "health" };
	char **argv = NULL;
	bool ok = true;

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(words); i++)
		ok = ok && nomad_strv_add(&argv, words[i]) >= 0;
	if (!ok || nomad_strv_add(&argv, pool) < 0) {
		nomad_strv_free(argv);
		return NULL;
	}
	return ask(site, argv, NULL);
}

static bool has_program(const struct pot_config *site, const char *name)
{
	char file[4096];

	for (const char *p = site->path; *p; p += strcspn(p, ":"), p += *p == ':') {
		int n = snprintf(file, sizeof(file), "%.*s/%s", (int)strcspn(p, ":"), p, name);

		if (n > 0 && (size_t)n < sizeof(file) && access(file, X_OK) == 0)
			return true;
	}
	return false;
}

static void check_storage(const struct pot_config *site, struct nomad_fingerprint *fp)
{
	NOMAD_AUTO_FREE char *fs_root = ask(site, pot_argv_config(site->pot_path, "fs_root"), NULL);
	NOMAD_AUTO_FREE char *zfs_root = ask(site, pot_argv_config(site->pot_path, "zfs_root"), NULL);
	NOMAD_AUTO_FREE char *stack = ask(site, pot_argv_config(site->pot_path, "network_stack"), NULL);
	NOMAD_AUTO_FREE char *health = NULL;

	nomad_fp_string(fp, "fs_root", fs_root ? fs_root : "");
	nomad_fp_string(fp, "zfs_root", zfs_root ? zfs_root : "");
	nomad_fp_string(fp, "network_stack", stack ? stack : "");
	if (!nomad_fp_check(fp, "pot's configuration", fs_root && *fs_root && zfs_root && *zfs_root, NOMAD_UNHEALTHY,
			    "pot config has no POT_FS_ROOT", "check /usr/local/etc/pot/pot.conf"))
		return;
	nomad_fp_check(fp, "pot's directory", access(fs_root, R_OK | X_OK) == 0, NOMAD_UNHEALTHY,
		       "pot's directory (POT_FS_ROOT) does not exist", "run 'pot init'");
	zfs_root[strcspn(zfs_root, "/")] = '\0';
	nomad_fp_string(fp, "zfs_pool", zfs_root);
	health = pool_health(site, zfs_root);
	nomad_fp_check(fp, "ZFS pool", health && (strcmp(health, "ONLINE") == 0 || strcmp(health, "DEGRADED") == 0),
		       NOMAD_UNHEALTHY, "pot's ZFS pool is not online",
		       "see 'zpool status', and POT_ZFS_ROOT in pot.conf");
}

static void check_features(const struct pot_config *site, struct nomad_fingerprint *fp)
{
	NOMAD_AUTO_FREE char *vimage = ask_sysctl(site, "kern.features.vimage");
	NOMAD_AUTO_FREE char *racct = ask_sysctl(site, "kern.racct.enable");
	bool vnet = vimage && strcmp(vimage, "1") == 0;
	bool rctl = racct && strcmp(racct, "1") == 0;
	bool bridge = vnet && has_program(site, "potnet");

	nomad_fp_bool(fp, "vnet", vnet);
	nomad_fp_bool(fp, "bridge", bridge);
	nomad_fp_bool(fp, "rctl", rctl);
	nomad_fp_check(fp, "VNET", vnet, NOMAD_HEALTHY, "this kernel has no VIMAGE: pots cannot have their own network",
		       "use a GENERIC kernel, or network_mode \"host\" only");
	nomad_fp_check(fp, "bridges", bridge, NOMAD_HEALTHY, "VIMAGE or potnet is missing: pots cannot join a bridge",
		       "pkg install potnet");
	nomad_fp_check(fp, "rctl", rctl, NOMAD_HEALTHY,
		       "the kernel does not account resources: no limits, and statistics are a sum over processes",
		       "set kern.racct.enable=1 in /boot/loader.conf and reboot");
}

void pot_fingerprint(struct nomad_plugin *plugin, struct nomad_fingerprint *fp)
{
	const struct pot_config *site = nomad_plugin_config(plugin);
	NOMAD_AUTO_ERROR struct nomad_error *why = NULL;
	NOMAD_AUTO_FREE char *version = NULL;

	if (!nomad_fp_check(fp, "enabled", site->enabled, NOMAD_UNDETECTED, "disabled",
			    "set option 'enabled' of the plugin"))
		return;
	if (!nomad_fp_check(fp, "pot", access(site->pot_path, X_OK) == 0, NOMAD_UNDETECTED, "pot is not installed",
			    "pkg install pot, or set the plugin's option 'pot_path'"))
		return;
	if (!nomad_fp_check(fp, "root", geteuid() == 0, NOMAD_UNHEALTHY, "not running as root, which pot requires",
			    "set nomad_user=\"root\" in rc.conf"))
		return;
	version = ask(site, pot_argv_version(site->pot_path), &why);
	nomad_fp_string(fp, "pot_version", version ? version : "");
	if (!nomad_fp_check(fp, "pot version", version && *version, NOMAD_UNHEALTHY,
			    why ? nomad_error_message(why) : "pot does not print its version",
			    "run 'pot version' as root"))
		return;
	check_storage(site, fp);
	check_features(site, fp);
}
