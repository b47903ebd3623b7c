/* SPDX-License-Identifier: MPL-2.0
 * A remote driver: its tasks are jobs of the HTTP service in this folder, so no process of a task runs on this host. */
#include <nomad/plugin.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct config { /* of the plugin block: url; of a task's: work */
	char *url, *work;
};
static const struct nomad_option site_options[] = {
	NOMAD_OPTION(struct config, url, STRING, .def = "\"http://127.0.0.1:8100\"", .help = "Where the service is."),
};
static const struct nomad_option job_options[] = {
	NOMAD_OPTION(struct config, work, STRING, .required = true, .help = "Shell commands that the service runs."),
};
static const struct nomad_schema site_schema = NOMAD_SCHEMA(struct config, site_options);
static const struct nomad_schema job_schema = NOMAD_SCHEMA(struct config, job_options);

/* METHOD URL/jobs/NAME with a body; the answer is the caller's.  `id` is a label that the service keeps. */
static int ask(struct nomad_plugin *plugin, const char *method, const char *name, const char *id, const char *body,
	       char **ret, struct nomad_error **err)
{
	const struct config *site = nomad_plugin_config(plugin);
	NOMAD_AUTO_FREE char *url = nomad_strdupf("%s/jobs/%s", site->url, name);
	NOMAD_AUTO_FREE char *label = nomad_strdupf("Label: %s", id);
	const char *argv[] = { "curl", "-sSfm5", "-X", method, "-H", label, "--data-binary", "@-", url, NULL };
	struct nomad_tool tool = { .argv = argv, .input = body };
	int r = url && label ? nomad_tool_run(&tool, err) : nomad_error_errno(err, ENOMEM, "ask the service");

	if (ret)
		*ret = NOMAD_TAKE_PTR(tool.output);
	free(tool.output);
	return r;
}

/* The job's name is the task's slug: a start that is repeated finds the same job, and destroy() needs no record. */
static int ask_for(struct nomad_task *task, const char *method, const char *body, struct nomad_error **err)
{
	return ask(nomad_task_plugin(task), method, nomad_task_slug(task), nomad_task_id(task), body, NULL, err);
}

/* Each second: the jobs that have ended, a line each, "CODE LABEL".  Those of tasks that are not ours are unknown. */
static void *poll_jobs(void *plugin)
{
	for (;; sleep(1)) {
		NOMAD_AUTO_FREE char *list = NULL;
		struct nomad_exit end = { .exit_code = 0 };
		int r = ask(plugin, "GET", "", "", NULL, &list, NULL);

		for (char *rest = list, *id, *line; r >= 0 && (line = strsep(&rest, "\n")) && *line;) {
			end.exit_code = (int)strtol(line, &id, 10);
			(void)nomad_task_exited_by_id(plugin, *id ? id + 1 : id, &end);
		}
	}
	return NULL;
}

static int remote_init(struct nomad_plugin *plugin, void **ret_data, struct nomad_error **err)
{
	int r = pthread_create((pthread_t *)ret_data, NULL, poll_jobs, plugin);

	return r ? nomad_error_errno(err, r, "watch the jobs") : 0;
}

static void remote_fingerprint(struct nomad_plugin *plugin, struct nomad_fingerprint *fp)
{
	nomad_fp_check(fp, "service", ask(plugin, "GET", "", "", NULL, NULL, NULL) >= 0, NOMAD_UNHEALTHY,
		       "the service does not answer", "start it, or correct the plugin option url");
}

static int remote_start(struct nomad_task *task, struct nomad_error **err)
{
	return ask_for(task, "PUT", ((const struct config *)nomad_task_config(task))->work, err);
}

/* Fails if the service does not have it any more. */
static int remote_recover(struct nomad_task *task, struct nomad_error **err)
{
	return ask_for(task, "GET", NULL, err);
}

static int remote_kill(struct nomad_task *task, struct nomad_error **err)
{
	return ask_for(task, "POST", "stop", err);
}

static int remote_stop(struct nomad_task *task, int signal, unsigned timeout_ms, struct nomad_error **err)
{
	return (void)signal, (void)timeout_ms, remote_kill(task, err);
}

static int remote_destroy(struct nomad_task *task, struct nomad_error **err)
{
	return ask_for(task, "DELETE", NULL, err);
}

static const struct nomad_driver driver = {
	.name = "remote",
	.version = "0.1.0",
	.capabilities = NOMAD_ALL_REMOTE | NOMAD_OWN_LOGS,
	.config_schema = &site_schema,
	.task_schema = &job_schema,
	.init = remote_init,
	.fingerprint = remote_fingerprint,
	.start = remote_start,
	.recover = remote_recover,
	.stop = remote_stop,
	.kill = remote_kill,
	.destroy = remote_destroy,
};

int main(int argc, char **argv)
{
	return nomad_plugin_main(argc, argv, &driver);
}
