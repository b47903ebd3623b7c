/* SPDX-License-Identifier: MPL-2.0
 *
 * Errors in a job's configs that Nomad would report only after placing it,
 * and what the policy of a node would refuse. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/job.h"
#include "core/policy.h"
#include "schema/schema.h"

/* The refusals of a config without mistakes. */
static int judge(struct nomad_plugin *node, const struct nomad_driver *driver, const struct nomad__job *job,
		 const struct nomad__job_task *task, struct nomad_error **err)
{
	NOMAD_AUTO_FREE void *msgpack = NULL;
	void *config = NULL;
	size_t size = 0;
	int r = nomad__config_from_json(driver->task_schema, "config", task->config, &msgpack, &size, err);

	if (r >= 0)
		r = nomad__config_decode(driver->task_schema, "config", msgpack, size, 0, &config, err);
	if (r >= 0) {
		r = nomad__policy_check_config(node, job->namespace_name, config, err);
		nomad__config_free(driver->task_schema, config);
	}
	return r;
}

/* `node` has the policy, or is NULL.  Prints and returns whether all is well. */
static bool check_task(struct nomad_plugin *node, const struct nomad_driver *driver, const struct nomad__job *job,
		       const struct nomad__job_task *task)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	NOMAD_AUTO_STRV char **mistakes = NULL;
	int r = 0;

	if (!json_is_object(task->config) || !json_object_size(task->config))
		r = nomad_error_set(&err, EINVAL,
				    "the config block is missing or empty; Nomad requires one for every driver");
	else if (nomad__config_mistakes(driver->task_schema, "config", task->config, &mistakes) < 0)
		r = nomad_error_errno(&err, ENOMEM, "check the config");
	else if (node && !mistakes)
		r = judge(node, driver, job, task, &err);
	if (r < 0)
		printf("%s/%s: %s\n", task->group, task->name, nomad_error_message(err));
	for (char **mistake = mistakes; mistake && *mistake; mistake++)
		printf("%s/%s: %s\n", task->group, task->name, *mistake);
	if (r >= 0 && !mistakes)
		printf("%s/%s: ok\n", task->group, task->name);
	return r >= 0 && !mistakes;
}

int nomad__cli_validate(int argc, char **argv, const struct nomad_driver *driver)
{
	const char *path = NULL, *policy = NULL;
	const struct nomad__cli_option options[] = { { "policy", .value = &policy }, { 0 } };
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct nomad_plugin *node = NULL;
	struct nomad__job job;
	int status = NOMAD__EXIT_OK;

	if (!nomad__cli_parse(argc, argv, driver, options, &path))
		return NOMAD__EXIT_USAGE;
	if (policy && !(node = nomad__cli_plugin(driver, policy)))
		return NOMAD__EXIT_FAILED;
	if (nomad__job_load(path, driver->name, &job, &err) < 0) {
		nomad__plugin_free(node);
		return nomad__cli_fail(driver, NOMAD__EXIT_FAILED, "%s", nomad_error_message(err));
	}
	for (size_t i = 0; i < job.n_tasks; i++)
		if (!check_task(node, driver, &job, &job.tasks[i]))
			status = NOMAD__EXIT_FAILED;
	if (job.n_others)
		printf("%zu task%s of other drivers ignored\n", job.n_others, job.n_others == 1 ? "" : "s");
	nomad__job_done(&job);
	nomad__plugin_free(node);
	return status;
}
