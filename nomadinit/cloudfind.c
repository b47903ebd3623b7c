/* SPDX-License-Identifier: MPL-2.0 */
/* Where are we?  Asked of the firmware's tables, never of the network: a metadata address that answers where it should
 * not may belong to anybody. */
#include "cloud.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "util.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool cloud_match(const char *pattern, const char *text)
{
	const char *star = NULL, *retry = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			retry = text;
		} else if (*pattern == '?' || (*pattern && lower(*pattern) == lower(*text))) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

static void read_hypervisor(char name[13])
{
	name[0] = '\0';
#ifdef __x86_64__
	unsigned int a, b, c, d;

	__cpuid(1, a, b, c, d);
	if (!(c & 1u << 31))
		return;
	__cpuid(0x40000000, a, b, c, d);
	memcpy(name, &b, 4);
	memcpy(name + 4, &c, 4);
	memcpy(name + 8, &d, 4);
	name[12] = '\0';
#endif
}

static bool matches_dmi(const char *dmi, const char *row)
{
	char path[256], value[256];
	const char *pattern = strchr(row, '=');

	snprintf(path, sizeof(path), "%s/%.*s", dmi, (int)(pattern - row), row);
	return util_read_line(path, value, sizeof(value)) > 0 && cloud_match(pattern + 1, value);
}

static bool is_at(const struct cloud_provider *p, const char *dmi, const char *files, const char *hypervisor)
{
	char path[256];
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(p->files) && p->files[i]; i++) {
		snprintf(path, sizeof(path), "%s/%s", files, p->files[i]);
		if (access(path, F_OK) == 0)
			return true;
	}
	for (i = 0; i < NOMAD_ARRAY_LEN(p->dmi) && p->dmi[i]; i++)
		if (matches_dmi(dmi, p->dmi[i]))
			return true;
	return p->hypervisor && strcmp(p->hypervisor, hypervisor) == 0;
}

const struct cloud_provider *cloud_detect(const char *dmi, const char *files)
{
	char hypervisor[13];
	size_t i;

	read_hypervisor(hypervisor);
	for (i = 0; i < cloud_n_providers; i++)
		if (is_at(&cloud_providers[i], dmi, files, hypervisor))
			return &cloud_providers[i];
	return NULL;
}

const struct cloud_provider *cloud_by_name(const char *name)
{
	size_t i;

	for (i = 0; i < cloud_n_providers; i++)
		if (strcmp(cloud_providers[i].name, name) == 0)
			return &cloud_providers[i];
	return NULL;
}

int cloud_list_main(int argc, char **argv)
{
	size_t i, j;

	(void)argc;
	(void)argv;
	for (i = 0; i < cloud_n_providers; i++) {
		const struct cloud_provider *p = &cloud_providers[i];

		printf("%-16s %s%s%s%s%s\n", p->name, p->title, p->addresses[0] ? ", at " : "",
		       p->addresses[0] ? p->addresses[0] : "", p->addresses[0] && p->addresses[1] ? " and " : "",
		       p->addresses[0] && p->addresses[1] ? p->addresses[1] : "");
		for (j = 0; j < NOMAD_ARRAY_LEN(p->dmi) && p->dmi[j]; j++)
			printf("%16s known by %s\n", "", p->dmi[j]);
		for (j = 0; j < NOMAD_ARRAY_LEN(p->files) && p->files[j]; j++)
			printf("%16s known by the drive's file %s\n", "", p->files[j]);
		if (p->hypervisor)
			printf("%16s known by the hypervisor %s\n", "", p->hypervisor);
	}
	return 0;
}

bool cloud_needs_network(const struct cloud_provider *p)
{
	return p->addresses[0] != NULL;
}
