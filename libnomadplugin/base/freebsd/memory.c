/* SPDX-License-Identifier: MPL-2.0
 *
 * jemalloc has few arenas for its threads by itself. */
#include "base/memory.h"

void nomad__memory_share(void)
{
}
