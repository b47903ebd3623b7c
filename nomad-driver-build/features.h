/* SPDX-License-Identifier: MPL-2.0
 *
 * features.h: what a Containerfile takes that not every engine has.  See features.c. */
#ifndef BUILD_FEATURES_H
#define BUILD_FEATURES_H

#include "engine.h"

/* What the format oci has no place for. */
enum { BUILD_HAS_HEALTHCHECK = 1, BUILD_HAS_SHELL = 2, BUILD_HAS_ONBUILD = 4 };

struct build_features {
	/* Of the first instruction that this engine cannot follow; NULL: none that is certain. */
	const char *missing, *remedy;
	unsigned line;
	int since;	   /* minor version of buildah 1; 0: of none */
	unsigned dropped;  /* BUILD_HAS_ */
	unsigned run_line; /* of the first RUN in a stage that certainly has the platform of the image; 0: none */
	char *text;	   /* malloc()ed: without what can be left out; NULL: as it was */
};
/* Looks through a Containerfile whose last stage, or `target`, is to be built.  0 or -ENOMEM. */
int build_features_in(const char *text, const struct build_engine *engine, const char *target,
		      struct build_features *ret) NOMAD_MUST_CHECK;
/* versions.c: the version of buildah 1 in an engine, or that it is. */
int build_engine_minor(const struct build_engine *engine);
/* "buildah 1.33" or "podman 4.8": the first of this engine's kind with that version of buildah; into `to`. */
void build_engine_since(bool is_podman, int minor, char *to, size_t size);
/* What an engine's words mean: feature, version, remedy; malloc()ed, NULL if it is not one of these. */
char *build_features_explain(const char *error, const char *engine, bool is_podman);

/* For `doctor`; malloc()ed, NULL if there is nothing to say: features that public files use, and fixes that it lacks.
 */
char *build_engine_lacks_features(const struct build_engine *engine);
char *build_engine_lacks_fixes(const struct build_engine *engine);

#endif
