/* SPDX-License-Identifier: MPL-2.0 */
#include "df.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "mounts.h"
#include "util.h"

int df_find(char *mountinfo, const char *path, char **ret_source, char **ret_point)
{
	char *line, *save = NULL, *point, *type, *source;
	size_t best = 0, len;
	int found = 0;

	for (line = strtok_r(mountinfo, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!mounts_parse_line(line, &point, &type, &source))
			continue;
		len = strlen(point);
		if (strncmp(path, point, len) != 0 || (len > 1 && path[len] && path[len] != '/'))
			continue;
		/* A later mount on the same point hides the earlier. */
		if (!found || len >= best) {
			best = len;
			*ret_source = source;
			*ret_point = point;
			found = 1;
		}
	}
	return found;
}

static int show(const char *path)
{
	char real[PATH_MAX], *text = NULL, *source = NULL, *point = NULL;
	unsigned long long unit, total, used, avail;
	struct statvfs s;

	if (!realpath(path, real) || statvfs(real, &s) < 0) {
		fprintf(stderr, "df: '%s': %s\n", path, strerror(errno));
		return 1;
	}
	if (util_read_alloc("/proc/self/mountinfo", 4 << 20, &text, NULL) < 0 ||
	    !df_find(text, real, &source, &point)) {
		fprintf(stderr, "df: '%s': its mount is not known; is /proc mounted?\n", path);
		free(text);
		return 1;
	}
	unit = s.f_frsize ? s.f_frsize : s.f_bsize;
	total = s.f_blocks * unit / 1024;
	avail = s.f_bavail * unit / 1024;
	used = (s.f_blocks - s.f_bfree) * unit / 1024;
	printf("%-20s %14llu %10llu %10llu %7llu%% %s\n", source, total, used, avail,
	       used + avail ? (used * 100 + used + avail - 1) / (used + avail) : 0, point);
	free(text);
	return 0;
}

int df_main(int argc, char **argv)
{
	int i, status = 0, shown = 0;

	printf("Filesystem         1024-blocks       Used  Available Capacity Mounted on\n");
	for (i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			continue;
		status |= show(argv[i]);
		shown = 1;
	}
	return shown ? status : show("/");
}
