/* SPDX-License-Identifier: MPL-2.0
 *
 * sbom.h: the list of an image's packages.  See sbom.c. */
#ifndef BUILD_SBOM_H
#define BUILD_SBOM_H

#include <jansson.h>

#include "step.h"

struct build_sbom {
	json_t *packages;      /* of SPDX */
	char distribution[64]; /* "debian-12", as /etc/os-release says; or "" */
	char vendor[32];       /* "debian" */
};
/* Adds the packages that are installed, as a database of dpkg or apk says; changes the text.  0 or -ENOMEM. */
int build_sbom_add_dpkg(struct build_sbom *sbom, char *text) NOMAD_MUST_CHECK;
int build_sbom_add_apk(struct build_sbom *sbom, char *text) NOMAD_MUST_CHECK;
/* The same for all that the tree at directory `root` has, as a document of SPDX 2.3; malloc()ed.  *ret_left_out: a
 * database that is there, and was not read; or NULL.  NULL without memory. */
char *build_sbom(int root, const struct build_plan *plan, const struct build_result *result, const char **ret_left_out);

#endif
