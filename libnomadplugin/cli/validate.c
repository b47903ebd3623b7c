/* SPDX-License-Identifier: MPL-2.0
 *
 * Errors in a job's configs that Nomad would report only after placing it. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/job.h"
#include "schema/schema.h"

static int check_task(const struct nomad_driver *driver, const struct nomad__job_task *task, struct nomad_error **err)
{
	NOMAD_AUTO_FREE void *msgpack = NULL;
	void *config = NULL;
	size_t size = 0;
	int r;

	if (!json_is_object(task->config) || !json_object_size(task->config))
		return nomad_error_set(err, EINVAL,
				       "the config block is missing or empty: Nomad refuses that, whatever the driver");
	r = nomad__config_from_json(driver->task_schema, "config", task->config, &msgpack, &size, err);
	if (r >= 0)
		r = nomad__config_decode(driver->task_schema, "config", msgpack, size, 0, &config, err);
	if (r >= 0)
		nomad__config_free(driver->task_schema, config);
	return r;
}

int nomad__cli_validate(int argc, char **argv, const struct nomad_driver *driver)
{
	static const struct nomad__cli_option options[] = { { 0 } };
	struct nomad_error *err = NULL;
	const char *path = NULL;
	struct nomad__job job;
	int status = NOMAD__EXIT_OK;

	if (!nomad__cli_parse(argc, argv, driver, options, &path))
		return NOMAD__EXIT_USAGE;
	if (nomad__job_load(path, driver->name, &job, &err) < 0) {
		nomad__cli_fail(driver, NOMAD__EXIT_FAILED, "%s", nomad_error_message(err));
		nomad_error_free(err);
		return NOMAD__EXIT_FAILED;
	}
	for (size_t i = 0; i < job.n_tasks; i++) {
		const struct nomad__job_task *task = &job.tasks[i];

		if (check_task(driver, task, &err) < 0) {
			printf("%s/%s: %s\n", task->group, task->name, nomad_error_message(err));
			status = NOMAD__EXIT_FAILED;
			nomad_error_free(err);
			err = NULL;
		} else {
			printf("%s/%s: ok\n", task->group, task->name);
		}
	}
	if (job.n_others)
		printf("%zu task%s of other drivers ignored\n", job.n_others, job.n_others == 1 ? "" : "s");
	nomad__job_done(&job);
	return status;
}
