/* SPDX-License-Identifier: MPL-2.0
 *
 * life.h: the life of a task: what driver.c calls of machine.c (CloudAPI),
 * container.c (Docker API) and life.c (both). */
#ifndef TRITON_LIFE_H
#define TRITON_LIFE_H

#include "nomad/driver.h"
#include "nomad/task.h"

#include "remains.h"
#include "site.h"

/* ---- life.c: of both kinds ---- */

/* "job-group-task-1a2b3c4d-5e6f7a8b": letters, digits and hyphens, at most 63,
 * a function of the task alone; malloc()ed. */
char *triton_instance_name(const struct nomad_task_info *info);
/* The tags of the job and those that say whose the instance is. */
int triton_task_tags(const struct nomad_task_info *info, const struct triton_task *want,
		     const struct triton_fwset *rules, struct nomad_map *tags);
/* "web:80,db", malloc()ed; NULL if there are none or out of memory. */
char *triton_join(char *const *list);
/* The variables for metadata "env-vars": all but the tokens of Nomad, Vault and Consul; JSON as text. */
char *triton_env_text(const struct nomad_map *env);

/* What machines and containers differ in: make it and wait for it. */
typedef int triton_build(struct triton_site *site, struct nomad_task *task, const struct triton_task *want,
			 const struct triton_fwset *rules, const char *name, int64_t deadline_ms,
			 struct nomad_error **err);
/* A start: its name, its rules, its time.  `what` is for messages. */
int triton_start_with(struct triton_site *site, struct nomad_task *task, const struct triton_task *want,
		      triton_build *build, const char *what, struct nomad_error **err);
/* Write down what a start is about to make. */
int triton_begin(struct triton_site *site, struct nomad_task *task, const struct triton_task *want, const char *api,
		 const char *name, const struct triton_fwset *rules, struct nomad_error **err);
/* The volumes that are to be made: written down, made, written down. */
int triton_make_volumes(struct triton_site *site, struct nomad_task *task, const struct triton_task *want,
			int64_t deadline_ms, struct nomad_error **err);
/* The instance runs: its address to Nomad, its names to the records. */
int triton_announce(struct nomad_task *task, const struct triton_machine *machine, struct nomad_error **err);
/* Wait until `id` is running. */
int triton_wait_running(struct triton_site *site, const struct triton_cloud *cloud, const char *id, int64_t deadline_ms,
			struct triton_machine *ret, struct nomad_error **err);
/* Remove all that was recorded; what cannot be is noted for later. */
int triton_destroy(struct triton_site *site, struct nomad_task *task, struct nomad_error **err);
/* Watch it and follow its log. */
int triton_watch_task(struct triton_site *site, struct nomad_task *task, struct nomad_error **err);

/* ---- machine.c ---- */

int triton_machine_start(struct triton_site *site, struct nomad_task *task, const struct triton_task *want,
			 struct nomad_error **err);
int triton_machine_body(const struct nomad_task_info *info, const struct triton_task *want, const char *name,
			const char *package, const char *image, json_t *networks, const struct nomad_map *tags,
			json_t **ret, struct nomad_error **err);
int triton_machine_stop(struct triton_site *site, struct nomad_task *task, struct nomad_error **err);
int triton_machine_kill(struct triton_site *site, struct nomad_task *task, struct nomad_error **err);

/* ---- container.c ---- */

int triton_container_start(struct triton_site *site, struct nomad_task *task, const struct triton_task *want,
			   struct nomad_error **err);
int triton_container_stop(struct triton_site *site, struct nomad_task *task, int signal, unsigned timeout_ms,
			  struct nomad_error **err);
int triton_container_signal(struct triton_site *site, struct nomad_task *task, int signal, struct nomad_error **err);
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
