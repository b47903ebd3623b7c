/* SPDX-License-Identifier: MPL-2.0
 *
 * FNV-1a in both widths.  Both are part of formats on disk (the seal of an
 * exit record, the slug of a task), so neither can replace the other. */
#include "nomad/base.h"

uint32_t nomad_hash32(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ p[i]) * 16777619u;
	return hash;
}

uint64_t nomad_hash64(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t hash = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ p[i]) * UINT64_C(1099511628211);
	return hash;
}
