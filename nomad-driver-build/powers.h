/* SPDX-License-Identifier: MPL-2.0
 *
 * powers.h: what the options of a task let a build do to the node. */
#ifndef BUILD_POWERS_H
#define BUILD_POWERS_H

#include "nomad/plugin.h"

extern const struct nomad_power build_power_from, build_power_contexts, build_power_push, build_power_network,
	build_power_ulimits, build_power_pids_limit, build_power_storage;

#endif
