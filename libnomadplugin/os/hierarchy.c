/* SPDX-License-Identifier: MPL-2.0 */
#include "os/hierarchy.h"

#include <string.h>

bool nomad__list_has(const char *options, const char *names)
{
	for (const char *p = names; *p;) {
		size_t n = strcspn(p, ",");
		bool hit = false;

		for (const char *q = options; *q && !hit;) {
			size_t m = strcspn(q, ",");

			hit = m == n && strncmp(p, q, n) == 0;
			q += m + (q[m] == ',');
		}
		if (!hit)
			return false;
		p += n + (p[n] == ',');
	}
	return true;
}
