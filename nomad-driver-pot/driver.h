/* SPDX-License-Identifier: MPL-2.0 */
#ifndef POT_DRIVER_H
#define POT_DRIVER_H

#include "nomad/driver.h"

/* The driver; .stats is set by main(), as it depends on the system. */
extern const struct nomad_driver pot_driver;

int pot_driver_stats(struct nomad_task *task, struct nomad_stats *ret, struct nomad_error **err);
void pot_fingerprint(struct nomad_plugin *plugin, struct nomad_fingerprint *fp);

#endif
