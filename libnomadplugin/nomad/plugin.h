/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/plugin.h: the one header that a driver includes. */
#ifndef NOMAD_PLUGIN_H
#define NOMAD_PLUGIN_H

#include "nomad/base.h"
#include "nomad/driver.h"
#include "nomad/error.h"
#include "nomad/log.h"
#include "nomad/metrics.h"
#include "nomad/option.h"
#include "nomad/task.h"
#include "nomad/tool.h"

NOMAD_BEGIN_DECLS

/* The main() of a driver.  Launched by Nomad it serves the driver until the
 * agent is done with it; launched by a person it is the driver's command
 * line (--help tells).  Returns the exit status of the process.
 * Not reentrant: one call a process. */
int nomad_plugin_main(int argc, char **argv, const struct nomad_driver *driver);

NOMAD_END_DECLS

#endif
