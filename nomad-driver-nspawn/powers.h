/* SPDX-License-Identifier: MPL-2.0
 *
 * powers.h: what power over the host a job gets by which option, and the
 * rules of the policy block that bound it. */
#ifndef NSPAWN_POWERS_H
#define NSPAWN_POWERS_H

#include "nomad/option.h"

extern const struct nomad_power nspawn_power_image, nspawn_power_download, nspawn_power_writable_image,
	nspawn_power_root, nspawn_power_bind, nspawn_power_bind_read_only, nspawn_power_overlay,
	nspawn_power_overlay_read_only, nspawn_power_devices, nspawn_power_device_policy, nspawn_power_user_namespacing,
	nspawn_power_private_users, nspawn_power_capability, nspawn_power_system_call_filter, nspawn_power_rlimits,
	nspawn_power_pids_limit, nspawn_power_storage, nspawn_power_mount, nspawn_power_ulimit, nspawn_power_ipc,
	nspawn_power_network_veth, nspawn_power_network_bridge, nspawn_power_network_zone;

/* The paths of the host in LOWER:...:UPPER:TARGET, a strv; NULL: out of memory. */
char **nspawn_overlay_paths(const char *value);

#endif
