/* SPDX-License-Identifier: MPL-2.0
 *
 * cli/load.h: files that people write, as HCL or JSON. */
#ifndef NOMAD_LOAD_H
#define NOMAD_LOAD_H

#include <jansson.h>

#include "nomad/error.h"

/* A job in Nomad's JSON job format; "-" is stdin.  NULL: see the error. */
json_t *nomad__load_job(const char *path, struct nomad_error **err);
/* What `config` holds in the plugin block of nomad-driver-DRIVER; or all of a file that has no plugin blocks. */
json_t *nomad__load_config(const char *path, const char *driver, struct nomad_error **err);

#endif
