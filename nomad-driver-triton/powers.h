/* SPDX-License-Identifier: MPL-2.0
 *
 * powers.h: what power over the account a job gets by which option, and the
 * rules of the policy block that bound it. */
#ifndef TRITON_POWERS_H
#define TRITON_POWERS_H

#include "nomad/option.h"

extern const struct nomad_power triton_power_image, triton_power_package, triton_power_network,
	triton_power_public_network, triton_power_ports, triton_power_all_ports, triton_power_user_script,
	triton_power_labels, triton_power_tags, triton_power_cns, triton_power_fwrules,
	triton_power_deletion_protection, triton_power_volume;

/* The instances whose traffic a firewall rule decides on, as a strv: `all vms`, `tag "role" = "web"`, `vm UUID`.
 * NULL: out of memory. */
char **triton_fwrule_instances(const char *rule);

#endif
