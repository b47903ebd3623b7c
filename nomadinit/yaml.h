/* SPDX-License-Identifier: MPL-2.0 */
/* The subset of YAML in which clouds write metadata and network configuration: block and flow maps and lists, plain and
 * quoted scalars, literal and folded blocks, comments.  No anchors, tags, merge keys or second documents. */
#ifndef NOMADINIT_YAML_H
#define NOMADINIT_YAML_H

#include <jansson.h>
#include <stddef.h>

/* Returns a new reference, or NULL with *ret_line set to the line that is not understood (1 is the first).  Scalars
 * are strings, integers, booleans or null.  JSON is accepted as well. */
json_t *yaml_parse(const char *text, size_t len, int *ret_line);

#endif
