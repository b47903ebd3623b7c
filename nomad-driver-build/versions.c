/* SPDX-License-Identifier: MPL-2.0
 *
 * Versions of engines: which buildah is in a podman, and which fixes a
 * version has. */
#include <stdio.h>
#include <stdlib.h>

#include "features.h"

/* podman's build is buildah's: of minor version 28 in podman 4.3, and so on. */
static const struct {
	int major, minor;
} podman_of[] = { { 4, 3 }, { 4, 4 }, { 4, 5 }, { 4, 6 }, { 4, 7 }, { 4, 8 }, { 4, 9 }, { 5, 0 }, { 5, 1 },
		  { 5, 2 }, { 5, 3 }, { 5, 4 }, { 5, 5 }, { 5, 6 }, { 5, 7 }, { 5, 8 }, { 6, 0 } };
enum { FIRST_MINOR = 28 };

int build_engine_minor(const struct build_engine *engine)
{
	int minor = FIRST_MINOR;

	if (!engine->is_podman)
		return engine->major > 1 ? 1000 : engine->minor;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(podman_of); i++)
		if (engine->major > podman_of[i].major ||
		    (engine->major == podman_of[i].major && engine->minor >= podman_of[i].minor))
			minor = FIRST_MINOR + (int)i;
	return minor;
}

void build_engine_since(bool is_podman, int minor, char *to, size_t size)
{
	size_t i = minor < FIRST_MINOR ? 0 : (size_t)(minor - FIRST_MINOR);

	if (i >= NOMAD_ARRAY_LEN(podman_of))
		i = NOMAD_ARRAY_LEN(podman_of) - 1;
	if (is_podman)
		snprintf(to, size, "podman %d.%d", podman_of[i].major, podman_of[i].minor);
	else
		snprintf(to, size, "buildah 1.%d", minor);
}

/* By version alone: a distribution may have patched its own. */
char *build_engine_lacks_fixes(const struct build_engine *engine)
{
	static const struct {
		const char *cve;
		int fixed; /* minor version */
	} fixes[] = { { "CVE-2024-1753", 35 },	{ "CVE-2024-3727", 36 }, { "CVE-2024-9407", 38 },
		      { "CVE-2024-9675", 38 },	{ "CVE-2024-9676", 38 }, { "CVE-2024-11218", 39 },
		      { "CVE-2025-52881", 42 }, { "CVE-2026-44517", 44 } };
	int minor = build_engine_minor(engine);
	char *list = NULL;

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(fixes); i++) {
		char *longer;

		if (minor >= fixes[i].fixed)
			continue;
		longer = nomad_strdupf("%s%s%s", list ? list : "", list ? ", " : "", fixes[i].cve);
		free(list);
		list = longer;
	}
	return list;
}
