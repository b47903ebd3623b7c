/* SPDX-License-Identifier: MPL-2.0
 *
 * driver.h: the driver's table. */
#ifndef TRITON_DRIVER_H
#define TRITON_DRIVER_H

#include "nomad/driver.h"

extern const struct nomad_driver triton_driver;

#endif
