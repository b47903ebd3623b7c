/* SPDX-License-Identifier: MPL-2.0 */
#include "base/memory.h"

#include <malloc.h>

void nomad__memory_share(void)
{
#ifdef M_ARENA_MAX /* glibc; musl has no arenas */
	(void)mallopt(M_ARENA_MAX, 2);
#endif
}

void nomad__memory_trim(void)
{
#ifdef __GLIBC__
	(void)malloc_trim(0);
#endif
}
