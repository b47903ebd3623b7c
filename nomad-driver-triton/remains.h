/* SPDX-License-Identifier: MPL-2.0
 *
 * remains.h: what a task has made in the data centre, and its removal. */
#ifndef TRITON_REMAINS_H
#define TRITON_REMAINS_H

#include "nomad/task.h"

#include "site.h"

/* Keys of the task's records. */
#define TRITON_RECORD_API "api"		    /* "cloud" or "docker" */
#define TRITON_RECORD_NAME "name"	    /* of the instance; before it is created */
#define TRITON_RECORD_INSTANCE "instance"   /* its UUID */
#define TRITON_RECORD_CONTAINER "container" /* Docker's id */
#define TRITON_RECORD_TTY "tty"
#define TRITON_RECORD_NO_LOG "nolog"
#define TRITON_RECORD_EXIT "exit"	    /* exit_strategy */
#define TRITON_RECORD_RULES "rules"	    /* hashes of firewall rules */
#define TRITON_RECORD_PUBLISHED "published" /* ids of rules of the Docker API */
#define TRITON_RECORD_PROTECTED "protected" /* "1": we protect it */
#define TRITON_RECORD_VOLUME "volume."	    /* + n: "name=..." to be made, "id=..." made */
#define TRITON_RECORD_HOLD "hold"	    /* only in debts: name of its file, see hold.h */
#define TRITON_RECORD_ADDRESS "address"
#define TRITON_RECORD_NAMES "names" /* CNS names */
#define TRITON_RECORD_OWNER "owner" /* this plugin, as in the tag nomad_owner */
enum { TRITON_VOLUMES_MAX = 32 };

struct triton_remains {
	char *task_id, *name;
	struct nomad_map records;
	/* Puts down what was learned of it during its removal; NULL: nobody does. */
	int (*note)(void *ud, const struct triton_remains *remains, struct nomad_error **err);
	void *ud;
};

/* exit_strategy = "deleted", as recorded. */
bool triton_ends_deleted(const struct nomad_task *task);

int triton_remains_of(struct nomad_task *task, struct triton_remains *ret, struct nomad_error **err);
void triton_remains_done(struct triton_remains *remains);

/* Remove all of it: instances, rules, volumes.  0 when nothing is left; an
 * error when something may be.  Idempotent.  Waits for `ms` milliseconds for
 * the instance to be gone. */
int triton_remains_clear(struct triton_site *site, struct triton_remains *remains, int64_t ms,
			 struct nomad_error **err);

/* Turn the protection of an instance off and wait until that shows.  Fails if
 * it was not the driver that turned it on. */
int triton_lift_protection(struct triton_site *site, const struct triton_cloud *cloud, const char *machine, bool ours,
			   struct nomad_error **err);

/* All instances of a task that are not deleted, the failed ones too: by name and by tag, distinct. */
int triton_instances_of(const struct triton_cloud *cloud, const char *name, const char *task_id,
			struct triton_machines *ret, struct nomad_error **err);

/* As JSON and back, for what is to be removed later. */
json_t *triton_remains_json(const struct triton_remains *remains);
int triton_remains_parse(const json_t *json, struct triton_remains *ret);

#endif
