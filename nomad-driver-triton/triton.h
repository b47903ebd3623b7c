/* SPDX-License-Identifier: MPL-2.0
 *
 * triton.h: what driver.c has made for all tasks, and the steps of a task's
 * life that it calls. */
#ifndef TRITON_TRITON_H
#define TRITON_TRITON_H

#include <stdatomic.h>

#include "nomad/driver.h"
#include "nomad/task.h"

#include "remains.h"
#include "site.h"

struct triton_debts;
struct triton_lease;
struct triton_logs;
struct triton_poller;

/* driver.c makes and frees all of it. */
struct triton_plugin {
	struct nomad_plugin *nomad;
	struct triton_site *site;
	struct triton_poller *poller;
	struct triton_logs *logs;
	struct triton_debts *debts;
	struct triton_lease *lease;
	char *hold_folder;    /* see hold.h */
	atomic_uint starting; /* starts under way */
};

/* ---- describe.c: what an instance is called and told ---- */

/* "job-group-task-1a2b3c4d-5e6f7a8b": letters, digits and hyphens, at most 63,
 * a function of the task alone; malloc()ed. */
char *triton_instance_name(const struct nomad_task_info *info);
/* Is it the name of that task's instance, as far as the id tells?  Its characters are safe in a path and a query. */
bool triton_is_name_of(const char *name, const char *task_id);
/* The tags of the job and those that say whose the instance is. */
int triton_task_tags(const struct triton_site *site, const struct nomad_task_info *info, const struct triton_task *want,
		     const struct triton_fwset *rules, struct nomad_map *tags);
/* The variables for metadata "env-vars": all but the tokens of Nomad, Vault and Consul; JSON as text. */
char *triton_env_text(const struct nomad_map *env);
/* The body of a create request to CloudAPI. */
int triton_machine_body(const struct nomad_task_info *info, const struct triton_task *want, const char *name,
			const char *package, const char *image, json_t *networks, const struct nomad_map *tags,
			const struct nomad_map *files, json_t **ret, struct nomad_error **err);

/* ---- start.c: what the starts of machines and containers have in common ---- */

/* A start under way. */
struct triton_start {
	struct triton_plugin *plugin;
	struct nomad_task *task;
	const struct triton_task *want;
	struct triton_cloud cloud;
	struct triton_fwset rules;
	char *name; /* of the instance */
	int64_t deadline_ms;
};

/* How an instance of a kind is found and made. */
struct triton_maker {
	/* 1 if the task's instance is there and can be used, 0 if there is none. */
	int (*adopt)(struct triton_start *start, void *ud, struct nomad_error **err);
	/* *ret_maybe: no answer came, and it may be there. */
	int (*create)(struct triton_start *start, void *ud, bool *ret_maybe, struct nomad_error **err);
};

/* Starts a task: its name, its rules, its time; `build` makes the instance.  `what` is for messages. */
int triton_start_with(struct triton_plugin *plugin, struct nomad_task *task, const struct triton_task *want,
		      int (*build)(struct triton_start *start, struct nomad_error **err), const char *what,
		      struct nomad_error **err);
/* Waits; -ECANCELED soon after the start was cancelled, -ESHUTDOWN when the plugin ends. */
int triton_start_sleep(const struct triton_start *start, int64_t ms, struct nomad_error **err);
/* Writes down what the start is about to make, then makes its volumes. */
int triton_begin(struct triton_start *start, const char *api, struct nomad_error **err);
/* Exactly one instance: looks first, creates, and looks again where the answer was lost. */
int triton_make_once(struct triton_start *start, const struct triton_maker *maker, void *ud, struct nomad_error **err);
/* Removes an instance of the task that has failed or ended, so that a new one can take its name. */
int triton_clear_former(struct triton_start *start, struct nomad_error **err);
/* The instance runs: its rules are made sure of, its address is told to Nomad, and it is watched. */
int triton_finish_start(struct triton_start *start, const struct triton_machine *machine, struct nomad_error **err);
/* Watches the task's instance and follows its log. */
int triton_watch_task(struct triton_plugin *plugin, struct nomad_task *task, struct nomad_error **err);

/* ---- destroy.c ---- */

/* Removes all that was recorded; notes for later what cannot be removed now. */
int triton_destroy(struct triton_plugin *plugin, struct nomad_task *task, struct nomad_error **err);

/* ---- plan.c ---- */

/* What a start would make, a line each; makes nothing. */
int triton_plan(struct nomad_plugin *plugin, const struct nomad_task_info *info, const void *config,
		void (*say_line)(void *ud, const char *line), void *ud, struct nomad_error **err);

/* ---- machine.c ---- */

/* The body of the create request: asks for the ids that names stand for.  `files` as of triton_files_read().  *ret_body
 * is the caller's. */
int triton_machine_describe(const struct triton_site *site, const struct triton_cloud *cloud,
			    const struct nomad_task_info *info, const struct triton_task *want, const char *name,
			    const struct triton_fwset *rules, const struct nomad_map *files, json_t **ret_body,
			    struct nomad_error **err);

int triton_machine_start(struct triton_plugin *plugin, struct nomad_task *task, const struct triton_task *want,
			 struct nomad_error **err);
/* Asks the instance to stop, or deletes it: by force, or where exit_strategy says that stopping is deleting. */
int triton_machine_end(struct triton_plugin *plugin, struct nomad_task *task, bool force, struct nomad_error **err);

/* ---- container.c ---- */

int triton_container_start(struct triton_plugin *plugin, struct nomad_task *task, const struct triton_task *want,
			   struct nomad_error **err);
int triton_container_stop(struct triton_plugin *plugin, struct nomad_task *task, int signal, unsigned timeout_ms,
			  struct nomad_error **err);
int triton_container_signal(struct triton_plugin *plugin, struct nomad_task *task, int signal,
			    struct nomad_error **err);
int triton_container_exec(struct triton_site *site, struct nomad_task *task, struct nomad_exec *exec,
			  struct nomad_error **err);
/* "SIGTERM"; NULL for a number without a name. */
const char *triton_signal_name(int signal);

/* ---- stats.c ---- */

int triton_container_stats(struct triton_site *site, struct nomad_task *task, struct nomad_stats *ret,
			   struct nomad_error **err);
/* Free what is remembered of samples. */
void triton_stats_forget(void);
/* One sample of the Docker API, as Nomad wants it. */
int triton_stats_parse(const json_t *sample, struct nomad_stats *ret);

/* ---- dockexec.c: the program that exec() has the library run ---- */

#define TRITON_EXEC_WORD "docker-exec"
int triton_exec_main(int argc, char **argv);

#endif
