/* SPDX-License-Identifier: MPL-2.0 */
#ifndef NSPAWN_DRIVER_H
#define NSPAWN_DRIVER_H

#include "nomad/plugin.h"

extern const struct nomad_driver nspawn_driver;

#endif
