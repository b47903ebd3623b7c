/* SPDX-License-Identifier: MPL-2.0
 *
 * command.h: which program a container runs. */
#ifndef NSPAWN_COMMAND_H
#define NSPAWN_COMMAND_H

#include "config.h"
#include "oci.h"

/* The words of the program, from the job and the image; an empty strv: nobody says one. */
int nspawn_command(const struct nspawn_config *config, const struct nspawn_oci *oci, char ***ret) NOMAD_MUST_CHECK;

#endif
