/* SPDX-License-Identifier: MPL-2.0 */
#ifndef BUILD_DRIVER_H
#define BUILD_DRIVER_H

#include "nomad/plugin.h"

extern const struct nomad_driver build_driver;

#endif
