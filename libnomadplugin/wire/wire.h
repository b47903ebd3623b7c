/* SPDX-License-Identifier: MPL-2.0
 *
 * wire/wire.h: the one function of wire/ that the rest of the library calls. */
#ifndef NOMAD_WIRE_H
#define NOMAD_WIRE_H

#include "nomad/error.h"

struct nomad_driver;

/* Runs the plugin process, after the check of the magic cookie: handshake,
 * service, and an orderly end.  Returns 0 when the host told the
 * plugin to end or is gone, or a negative errno with *err set if it could
 * not be started; the caller shows the error and exits with status 1.
 * Changes the process: SIGPIPE and SIGINT are ignored from then on, and
 * stdout is /dev/null.  To be called once. */
int nomad__wire_serve(const struct nomad_driver *driver, struct nomad_error **err) NOMAD_MUST_CHECK;

#endif
