/* SPDX-License-Identifier: MPL-2.0 */
/* YAML as clouds write metadata and network configuration, by libyaml: one document, no anchors, aliases or tags. */
#ifndef NOMADINIT_YAML_H
#define NOMADINIT_YAML_H

#include <jansson.h>
#include <stddef.h>

/* Returns a new reference, or NULL with *ret_line set to the line that is not understood (1 is the first).  Scalars
 * are strings, integers, booleans or null.  JSON is accepted as well. */
json_t *yaml_parse(const char *text, size_t len, int *ret_line);

#endif
