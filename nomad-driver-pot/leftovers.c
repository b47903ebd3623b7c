/* SPDX-License-Identifier: MPL-2.0
 *
 * leftovers.c: removes what a command of pot leaves behind when it is killed, and pot itself never removes.
 *
 * A start gives its interfaces to the status of the pot at its end, and stop removes only those.  mount-in and copy-in
 * mount the whole pot for a moment, copy-in the source as well, and stop refuses a pot that has not been started.
 * A data set with mounts in it is busy. */
#include "leftovers.h"

#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "nomad/log.h"
#include "nomad/tool.h"
#include "pot-cli.h"

enum { MAX_INTERFACES = 8, MAX_MOUNTS = 64 };

/* ---- Interfaces ---- */

static void on_interface_line(void *ud, const char *line)
{
	(void)pot_find_interface(ud, line);
}

void pot_remove_interfaces(const struct pot_config *site, const char *name)
{
	for (int i = 0; i < MAX_INTERFACES; i++) {
		struct pot_interface interface = { .description = name };
		struct nomad_tool run = { .line = on_interface_line, .ud = &interface };

		if (pot_call(site, pot_argv_interfaces(), &run, NULL) < 0 || !interface.found)
			return;
		nomad_log_kv(NOMAD_LOG_INFO, "removing a leftover interface of pot", "pot", name, "interface",
			     interface.name, NULL);
		if (pot_call(site, pot_argv_interface_destroy(interface.name), NULL, NULL) < 0)
			return;
	}
}

/* ---- Mounts ---- */

struct mounts {
	const char *root;
	char **points; /* the last one was mounted last */
};

static void on_mount_line(void *ud, const char *line)
{
	struct mounts *mounts = ud;
	NOMAD_AUTO_FREE char *point = pot_mount_point_below(line, mounts->root);

	if (point && nomad_strv_count((const char *const *)mounts->points) < MAX_MOUNTS)
		(void)!nomad_strv_add(&mounts->points, point);
}

void pot_remove_mounts(const struct pot_config *site, const char *name)
{
	struct nomad_tool config = { 0 };
	NOMAD_AUTO_FREE char *fs_root = NULL, *root = NULL;
	struct mounts mounts = { 0 };
	struct nomad_tool run = { .line = on_mount_line, .ud = &mounts };
	size_t n;

	if (pot_ask(site, pot_argv_is_running(site->pot_path, name), NULL) != 0 ||
	    pot_call_for_output(site, pot_argv_config(site->pot_path, "fs_root"), &config, NULL) < 0) {
		free(config.output);
		return;
	}
	fs_root = config.output;
	fs_root[strcspn(fs_root, "\r\n")] = '\0';
	root = *fs_root == '/' ? nomad_strdupf("%s/jails/%s/m/", fs_root, name) : NULL;
	mounts.root = root;
	if (root)
		(void)pot_call(site, pot_argv_mounts(), &run, NULL);
	n = nomad_strv_count((const char *const *)mounts.points);
	while (n-- > 0) {
		nomad_log_kv(NOMAD_LOG_INFO, "removing a leftover mount of pot", "pot", name, "mount point",
			     mounts.points[n], NULL);
		(void)pot_call(site, pot_argv_unmount(mounts.points[n]), NULL, NULL);
	}
	nomad_strv_free(mounts.points);
}
