/* SPDX-License-Identifier: MPL-2.0
 *
 * layer.h: what a container writes to its root, within a limit. */
#ifndef NSPAWN_LAYER_H
#define NSPAWN_LAYER_H

#include "start.h"

/* Makes a file system for the layer of the task, and sets s->machine.layer to its file. Does nothing where there is no
 * limit or no layer. Recorded first. */
int nspawn_layer_make(struct nspawn_start *s, struct nomad_error **err) NOMAD_MUST_CHECK;
/* Removes it. The container is gone. */
void nspawn_layer_remove(struct nomad_task *task);

/* For the tests: copies a file with its holes. Returns 0, or -1 with errno. */
int nspawn_copy_sparse(const char *from, const char *to);

#endif
