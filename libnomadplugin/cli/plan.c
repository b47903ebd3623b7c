/* SPDX-License-Identifier: MPL-2.0
 *
 * What the tasks of a job would make in a data centre, said by the driver and
 * made by nobody. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/alloc.h"
#include "cli/cli.h"
#include "core/policy.h"
#include "schema/schema.h"

static void say_line(void *ud, const char *line)
{
	const struct nomad__job_task *task = ud;

	printf("%s/%s: %s\n", task->group, task->name, line);
}

static int decode(const struct nomad_driver *driver, const json_t *json, void **ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE void *msgpack = NULL;
	size_t size = 0;
	int r = nomad__config_from_json(driver->task_schema, "config", json, &msgpack, &size, err);

	return r < 0 ? r : nomad__config_decode(driver->task_schema, "config", msgpack, size, 0, ret, err);
}

static int plan_task(const struct nomad_driver *driver, struct nomad_plugin *plugin, const struct nomad__job *job,
		     const struct nomad__job_task *task, bool policy)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct nomad__alloc alloc;
	void *config = NULL;
	int r = nomad__alloc_new(driver, job, task, NULL, &alloc, &err);

	if (r >= 0) {
		r = decode(driver, alloc.config, &config, &err);
		if (r >= 0 && policy)
			r = nomad__policy_check_config(plugin, job->namespace_name, config, &err);
		if (r >= 0)
			r = driver->plan(plugin, &alloc.info, config, say_line, (void *)(uintptr_t)task, &err);
		if (config)
			nomad__config_free(driver->task_schema, config);
		nomad__alloc_done(&alloc);
	}
	if (r < 0)
		printf("%s/%s: %s\n", task->group, task->name, nomad_error_message(err));
	return r;
}

int nomad__cli_plan(int argc, char **argv, const struct nomad_driver *driver)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	const char *path = NULL, *config = NULL;
	const struct nomad__cli_option options[] = { { "config", .value = &config }, { 0 } };
	int status = NOMAD__EXIT_OK;
	struct nomad_plugin *plugin;
	struct nomad__job job;

	if (!nomad__cli_parse(argc, argv, driver, options, &path))
		return NOMAD__EXIT_USAGE;
	plugin = nomad__cli_plugin(driver, config);
	if (!plugin)
		return NOMAD__EXIT_FAILED;
	if (nomad__job_load(path, driver->name, &job, &err) < 0) {
		nomad__plugin_free(plugin);
		return nomad__cli_fail(driver, NOMAD__EXIT_FAILED, "%s", nomad_error_message(err));
	}
	for (size_t i = 0; i < job.n_tasks; i++)
		if (plan_task(driver, plugin, &job, &job.tasks[i], config != NULL) < 0)
			status = NOMAD__EXIT_FAILED;
	nomad__job_done(&job);
	nomad__plugin_free(plugin);
	return fflush(stdout) == 0 ? status : NOMAD__EXIT_FAILED;
}
