/* SPDX-License-Identifier: MPL-2.0
 *
 * cli/job.h: the parts of a job file (HCL, or Nomad's JSON job format) that a driver
 * can use without an agent. */
#ifndef NOMAD_JOB_H
#define NOMAD_JOB_H

#include <jansson.h>

#include "nomad/error.h"

struct nomad__job_task {
	const char *group, *name; /* borrowed from the file, as all here */
	const json_t *json;	  /* the task object */
	const json_t *group_json;
	const json_t *config; /* its Config; or NULL */
};

struct nomad__job {
	json_t *root;
	const char *id, *name, *namespace_name, *datacenter, *region;
	const json_t *json;
	struct nomad__job_task *tasks; /* those of the driver, in order */
	size_t n_tasks;
	size_t n_others; /* tasks of other drivers */
};

/* Reads `path` ("-" is stdin); takes tasks whose Driver is `driver`. */
int nomad__job_load(const char *path, const char *driver, struct nomad__job *ret, struct nomad_error **err);
void nomad__job_done(struct nomad__job *job);
/* A member as string; `otherwise` if it is absent or another type. */
const char *nomad__job_string(const json_t *object, const char *key, const char *otherwise);

#endif
