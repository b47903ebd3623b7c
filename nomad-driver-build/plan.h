/* SPDX-License-Identifier: MPL-2.0
 *
 * plan.h: what the driver wants of the process of one task (step.c).  It
 * goes through a file in the state directory of the task, without secrets. */
#ifndef BUILD_PLAN_H
#define BUILD_PLAN_H

#include "nomad/plugin.h"

/* First argument of the driver's executable; then a plan and a file for events. */
#define BUILD_STEP_WORD "build-steps"

/* Variables of the process' environment: secret number N of the plan. */
#define BUILD_SECRET_VARIABLE "BUILD_SECRET_"

/* One run of the engine. */
enum build_action_kind {
	BUILD_PULL,   /* an image, before any step of the build runs */
	BUILD_BUILD,  /* into the store or, if it has a type, as below */
	BUILD_VERIFY, /* the same again; an error if it gives another image */
	BUILD_WRITE,  /* to `path`; by way of `partial`, which is renamed */
	BUILD_PUSH,   /* to `reference` */
	BUILD_EXPORT, /* the files alone, to `path`: a directory, or an archive by way of `partial` */
	BUILD_ACTION_MAX,
};

struct build_action {
	int kind;
	char *path, *partial, *reference, *type; /* or NULL */
	char *digest_file;
	char *retry; /* a number, or NULL */
	char **argv;
};

struct build_plan {
	/* Directories of the host. */
	char *work;	 /* of this task alone: /build */
	char *root;	 /* layers and images: /build/root */
	char *mounts;	 /* of RUN --mount=type=cache, or NULL */
	char *base;	 /* storage_root, where a cache is used; or NULL */
	char *cache_max; /* bytes of all caches, and seconds since the last use: numbers */
	char *cache_age;
	char *storage_max;   /* bytes that the build may store, or NULL */
	char *timeout;	     /* seconds, or NULL */
	char *patience;	     /* seconds that a pull or push may take without progress, or NULL */
	char *measure;	     /* not NULL: the build may write to cache mounts */
	char *cache;	     /* its layers and images, to be read: /cache; or NULL */
	char *driver;	     /* of the storage */
	char *containerfile; /* text, where the engine is not to read the file itself; or NULL */
	char *merge;	     /* not NULL: what the build adds may go to the cache */
	char *slots;	     /* where builds take their turn, or NULL */
	char *slot_count;
	char *task, *local, *alloc, *secrets;
	char *engine;	/* its path */
	char *software; /* "buildah 1.28.2" */
	char *isolation, *network;
	char *slirp;		   /* program for a private network, or NULL */
	char *policy, *registries; /* contents of files */
	char *registries_conf;	   /* the node's */
	char *resolv_conf;	   /* the same; NULL: the host's */
	char *metadata;		   /* path in the jail, or NULL */
	char *sbom, *provenance;   /* the same */
	char *timestamp;	   /* seconds, or NULL */
	/* For the provenance: what the job asked for, as JSON, and who builds what. */
	char *parameters, *builder, *invocation, *containerfile_digest;
	char **tags;
	char **platforms;    /* not NULL: the result is a list of images */
	char **names;	     /* images that the Containerfile names */
	char **secret_ids;   /* of those in the environment, in order */
	char **secret_files; /* paths in the jail of those that are files of the secrets directory */
	char **env;	     /* NAME=VALUE for the engine: proxies */
	char **features;     /* files that tell it what overlay can do */
	struct build_action *actions;
	size_t n_actions;
};

/* An empty action at the end; borrowed until the next one.  NULL without memory. */
struct build_action *build_plan_add(struct build_plan *plan, int kind);
int build_plan_write(const struct build_plan *plan, const char *path, struct nomad_error **err) NOMAD_MUST_CHECK;
int build_plan_read(const char *path, struct build_plan *ret, struct nomad_error **err) NOMAD_MUST_CHECK;
/* planner.c: the plan of a task and, in *env, the environment of its process, which holds secrets.  Records what it
 * makes.  Both begin empty, and the caller frees them whatever is returned. */
int build_plan_make(struct nomad_task *task, struct build_plan *plan, struct nomad_map *env,
		    struct nomad_error **err) NOMAD_MUST_CHECK;
void build_plan_done(struct build_plan *plan);

#endif
