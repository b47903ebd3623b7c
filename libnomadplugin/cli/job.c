/* SPDX-License-Identifier: MPL-2.0
 *
 * Reads a job file and finds the tasks of one driver in it. */
#include "cli/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/load.h"

const char *nomad__job_string(const json_t *object, const char *key, const char *otherwise)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : otherwise;
}

static int add_task(struct nomad__job *job, const json_t *group, const json_t *task, const char *driver,
		    struct nomad_error **err)
{
	const char *name = nomad__job_string(task, "Name", NULL), *group_name = nomad__job_string(group, "Name", NULL);
	struct nomad__job_task *grown;

	if (!json_is_object(task) || !name || !*name || strchr(name, '/') || !group_name || !*group_name)
		return nomad_error_set(err, EINVAL, "read the job: a group or a task in it has no valid Name");
	if (strcmp(nomad__job_string(task, "Driver", ""), driver) != 0) {
		job->n_others++;
		return 0;
	}
	grown = reallocarray(job->tasks, job->n_tasks + 1, sizeof(*grown));
	if (!grown)
		return nomad_error_errno(err, ENOMEM, "read the job");
	job->tasks = grown;
	grown[job->n_tasks++] = (struct nomad__job_task){
		.group = group_name,
		.name = name,
		.json = task,
		.group_json = group,
		.config = json_object_get(task, "Config"),
	};
	return 0;
}

int nomad__job_load(const char *path, const char *driver, struct nomad__job *ret, struct nomad_error **err)
{
	struct nomad__job job = { 0 };
	const json_t *groups, *group, *tasks, *task;
	size_t i, j;
	int r = 0;

	job.root = nomad__load_job(path, err);
	if (!job.root)
		return -EINVAL;
	job.json = json_object_get(job.root, "Job");
	if (!job.json)
		job.json = job.root;
	job.id = nomad__job_string(job.json, "ID", nomad__job_string(job.json, "Name", "job"));
	job.name = nomad__job_string(job.json, "Name", job.id);
	job.namespace_name = nomad__job_string(job.json, "Namespace", "default");
	job.region = nomad__job_string(job.json, "Region", "global");
	job.datacenter = json_string_value(json_array_get(json_object_get(job.json, "Datacenters"), 0));
	groups = json_object_get(job.json, "TaskGroups");
	if (!json_is_array(groups))
		r = nomad_error_set(err, EINVAL,
				    "read job '%s': no TaskGroups; give HCL, or JSON from `nomad job run -output`",
				    path);
	json_array_foreach((json_t *)groups, i, group)
	{
		tasks = json_object_get(group, "Tasks");
		json_array_foreach((json_t *)tasks, j, task) if (r >= 0) r = add_task(&job, group, task, driver, err);
	}
	if (r >= 0 && !job.n_tasks)
		r = nomad_error_set(err, EINVAL, "read job '%s': none of its tasks has driver '%s'", path, driver);
	if (r < 0)
		nomad__job_done(&job);
	else
		*ret = job;
	return r;
}

void nomad__job_done(struct nomad__job *job)
{
	free(job->tasks);
	json_decref(job->root);
	*job = (struct nomad__job){ 0 };
}
