/* SPDX-License-Identifier: MPL-2.0
 *
 * systemd-machined, a courtesy: `machinectl` shows our containers where it
 * runs.  systemd-nspawn itself is told not to register: it would fail the
 * start wherever systemd-machined finds no unit above the container's
 * cgroup, and systemd-machined forgets a machine by itself when its leader
 * has ended. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "tool.h"

/* The 16 bytes of the id as arguments. */
static int add_id(char ***argv, const char *uuid)
{
	char hex[3] = "";
	int n = 0, r = 0;

	for (; *uuid && n < 16 && r >= 0; uuid++) {
		if (!isxdigit((unsigned char)uuid[0]) || !isxdigit((unsigned char)uuid[1]))
			continue;	/* a hyphen */
		memcpy(hex, uuid++, 2);
		r = nomad_strv_addf(argv, "%lu", strtoul(hex, NULL, 16));
		n++;
	}
	while (r >= 0 && n++ < 16)
		r = nomad_strv_add(argv, "0");
	return r;
}

void nspawn_machined_register(const char *name, const char *uuid, int leader, const char *root)
{
	NOMAD_AUTO_FREE char *busctl = nomad_tool_find("busctl");
	NOMAD_AUTO_STRV char **argv = NULL;
	struct nomad_error *err = NULL;
	const char *const head[] = {
		busctl, "--quiet", "--timeout=10", "call", "org.freedesktop.machine1", "/org/freedesktop/machine1",
		"org.freedesktop.machine1.Manager", "RegisterMachine", "sayssus", name, "16",
	};
	size_t i;
	int r = busctl && leader > 0 ? 0 : -1;

	for (i = 0; i < NOMAD_ARRAY_LEN(head) && r >= 0; i++)
		r = nomad_strv_add(&argv, head[i]);
	if (r >= 0)
		r = add_id(&argv, uuid);
	if (r >= 0)
		r = nomad_strv_add(&argv, "nomad-driver-nspawn");
	if (r >= 0)
		r = nomad_strv_add(&argv, "container");
	if (r >= 0)
		r = nomad_strv_addf(&argv, "%d", leader);
	if (r >= 0)
		r = nomad_strv_add(&argv, root);
	if (r < 0)
		return;
	if (nspawn_tool_run((const char *const *)argv, &(struct nspawn_tool) { .timeout_ms = 12000, .what = "busctl" },
			    NULL, &err) < 0)
		nomad_log_kv(NOMAD_LOG_DEBUG, "systemd-machined does not take the container", "machine", name, "error",
			     nomad_error_message(err), NULL);
	nomad_error_free(err);
}
