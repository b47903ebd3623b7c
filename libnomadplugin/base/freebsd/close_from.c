/* SPDX-License-Identifier: MPL-2.0 */
#include "base/close_from.h"

int nomad__spawn_close_from(posix_spawn_file_actions_t *actions, int from)
{
	return posix_spawn_file_actions_addclosefrom_np(actions, from);
}
