/* SPDX-License-Identifier: MPL-2.0
 *
 * jemalloc has few arenas for its threads by itself, and gives back what is free. */
#include "base/memory.h"

void nomad__memory_share(void)
{
}

void nomad__memory_trim(void)
{
}
