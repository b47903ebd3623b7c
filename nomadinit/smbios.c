/* SPDX-License-Identifier: MPL-2.0 */
#include "smbios.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "userdata.h"
#include "util.h"

char *smbios_find(const char *table, size_t len)
{
	static const struct {
		const char *before;
		int is_base64;
	} names[] = { { "nomadinit.init.json=", 0 },
		      { "io.systemd.credential:nomadinit.init.json=", 0 },
		      { "io.systemd.credential.binary:nomadinit.init.json=", 1 } };
	size_t at, n, i, before, plain_len;
	char *plain;

	/* Type, length of the fixed part, handle, count; then strings that end with NUL, and one NUL more. */
	if (len < 5 || table[0] != 11 || (uint8_t)table[1] > len)
		return NULL;
	for (at = (uint8_t)table[1]; at < len; at += n + 1) {
		n = strnlen(table + at, len - at);
		if (n == 0 || at + n >= len)
			return NULL;
		for (i = 0; i < NOMAD_ARRAY_LEN(names); i++) {
			before = strlen(names[i].before);
			if (n < before || memcmp(table + at, names[i].before, before) != 0)
				continue;
			if (!names[i].is_base64)
				return strdup(table + at + before);
			if (userdata_base64(table + at + before, n - before, &plain, &plain_len) == 0)
				return plain;
		}
	}
	return NULL;
}

char *smbios_load(const char *entries)
{
	char path[300], *table, *found = NULL;
	DIR *dir = opendir(entries);
	struct dirent *d;
	size_t len;

	while (!found && dir && (d = readdir(dir))) {
		if (strncmp(d->d_name, "11-", 3) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%.20s/raw", entries, d->d_name);
		if (util_read_alloc(path, CONFIG_MAX_BYTES, &table, &len) < 0)
			continue;
		found = smbios_find(table, len);
		free(table);
	}
	if (dir)
		closedir(dir);
	return found;
}
