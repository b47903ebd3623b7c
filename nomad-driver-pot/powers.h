/* SPDX-License-Identifier: MPL-2.0
 *
 * powers.h: what power over the host a job gets by which option, and the
 * rules of the policy block that bound it. */
#ifndef POT_POWERS_H
#define POT_POWERS_H

#include "nomad/option.h"

extern const struct nomad_power pot_power_image, pot_power_network_mode, pot_power_copy, pot_power_mount,
	pot_power_mount_read_only, pot_power_attributes, pot_power_ip, pot_power_bridge, pot_power_dns;

#endif
