/* SPDX-License-Identifier: MPL-2.0
 *
 * Settings of the kernel that are the container's own.  They are written in
 * the container, before its program runs: so what is not its own cannot be
 * changed, whatever the name. */
#include "sysctl.h"

#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "init.h"

static int set(const char *name, const char *value)
{
	char path[512], *p;

	if (snprintf(path, sizeof(path), "/proc/sys/%s", name) >= (int)sizeof(path))
		return -1;
	for (p = path + strlen("/proc/sys/"); *p; p++)
		if (*p == '.')
			*p = '/';
	return write_file(path, value);
}

/* "NAME=VALUE", and more after newlines. */
void sysctls_set(char *text)
{
	char *line, *value;

	if (!*text)
		return;
	/* systemd-nspawn has mounted it read-only, within the container. */
	if (mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		init_fail(125, "write to", "/proc/sys");
	while ((line = strsep(&text, "\n"))) {
		value = strchr(line, '=');
		if (!value)
			continue;
		*value++ = 0;
		if (set(line, value) < 0)
			init_fail(125, "set", line);
	}
	if (mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) <
	    0)
		init_fail(125, "protect", "/proc/sys");
}
