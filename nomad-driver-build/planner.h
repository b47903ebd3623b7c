/* SPDX-License-Identifier: MPL-2.0
 *
 * planner.h: what the parts of one start share.  See planner.c and inputs.c. */
#ifndef BUILD_PLANNER_H
#define BUILD_PLANNER_H

#include "host.h"
#include "paths.h"
#include "plan.h"

/* Everything that one start holds. */
struct build_start {
	struct nomad_task *task;
	const struct nomad_task_info *info;
	const struct build_config *config;
	const struct build_plugin_config *site;
	struct build_data *data;
	struct build_engine engine; /* the node's, as this build calls it */
	struct build_dirs dirs;
	struct build_inputs inputs;
	struct build_names names;
	bool cache_mounts;
	bool may_escape; /* with an old engine, a step can change what the build stores */
	bool any_image;	 /* the build may pull what it likes; else: */
	char **images;
	struct build_plan *plan;
	struct nomad_map *env;
	const char *network; /* private, host, group or none */
	unsigned digests, partials;
	char containerfile_digest[65]; /* "": it cannot be read */
};

int build_no_memory(struct nomad_error **err);
/* inputs.c: the paths of what the build is made of, and what its Containerfile says of it. */
int build_find_inputs(struct build_start *s, struct nomad_error **err) NOMAD_MUST_CHECK;
int build_check_containerfile(struct build_start *s, struct nomad_error **err) NOMAD_MUST_CHECK;

#endif
