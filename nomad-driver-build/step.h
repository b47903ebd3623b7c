/* SPDX-License-Identifier: MPL-2.0
 *
 * step.h: the process of one task, which the supervisor runs: the driver's
 * executable with BUILD_STEP_WORD in front.  See step.c. */
#ifndef BUILD_STEP_H
#define BUILD_STEP_H

#include <signal.h>
#include <time.h>

#include "plan.h"

enum { BUILD_FAILED = 125 }; /* the exit status, as of the engine's own failures */

int build_step_main(int argc, char **argv);

/* inside.c: PID 1 of the jail; returns the exit status of the build. */
struct build_network;
struct build_inside {
	struct build_plan *plan;
	char **secrets;
	int events;
	struct build_network *network;
	bool pulling; /* the runs of the engine before the build, and only them */
};
int build_inside(struct build_inside *in, sigset_t *mask);

/* jail.c: make what the plan names the only thing there is, and go there.  In new mount, pid, uts and ipc namespaces.
 */
int build_jail_enter(const struct build_plan *plan, char *const *secrets, struct nomad_error **err) NOMAD_MUST_CHECK;
/* From now on, in this process and its children, nothing waits for the disk; what is lost with the host is lost anyway.
 */
void build_jail_skip_syncs(void);
/* Mounts that are read-only stay so: in this process and its children, a bind mount is remounted only to be read. */
int build_jail_keep_read_only(void) NOMAD_MUST_CHECK;
/* Whether overlay file systems can be mounted on directory `dir`; in a mount namespace of one's own. */
int build_jail_probe(const char *dir, struct nomad_error **err) NOMAD_MUST_CHECK;

/* image.c: an image as it was written. */
struct build_image {
	char *id, *digest; /* of configuration and manifest, hexadecimal */
	int64_t size;	   /* of configuration and layers */
	bool unpacked;	   /* the size is that of layers as the engine stores them */
};
/* By its id, in the storage of an engine. */
int build_image_in_store(const char *root, const char *id, struct build_image *ret,
			 struct nomad_error **err) NOMAD_MUST_CHECK;
int build_image_in_layout(const char *path, const char *reference, struct build_image *ret,
			  struct nomad_error **err) NOMAD_MUST_CHECK;
int build_image_in_archive(const char *path, struct build_image *ret, struct nomad_error **err) NOMAD_MUST_CHECK;
void build_image_done(struct build_image *image);
/* What came of the build so far. */
struct build_timing {
	char *text;
	int64_t ms;
	int stage, stages, n, of; /* "[stage/stages] STEP n/of: ..." */
	int platform;		  /* its place in the plan's, from 1; 0: one alone */
	int64_t began_ms;	  /* monotonic */
};
struct build_result {
	char *image_id;		  /* hexadecimal, or NULL */
	char *digest;		  /* of the first manifest written, or NULL */
	struct build_image image; /* looked for once all is written, if it is asked for */
	struct build_timing *steps;
	size_t n_steps;
	int64_t ms;
	time_t began;  /* the whole */
	char *summary; /* for the last event */
	char **used;   /* images that were in the cache, as the engine's output says */
	size_t n_used;
};
void build_result_done(struct build_result *result);

/* rootfs.c: the files of an image at BUILD_ROOTFS, to be read; in the jail, with no step running. */
int build_rootfs_mount(const struct build_plan *plan, const char *image, struct nomad_error **err) NOMAD_MUST_CHECK;
void build_rootfs_unmount(void);

/* verify.c: whether two images, by their ids, are one; if not, the error tells the step that differs. */
int build_verify(const struct build_plan *plan, const char *first, const char *second,
		 struct nomad_error **err) NOMAD_MUST_CHECK;

/* meta.c: the metadata file's text, malloc()ed; `digests` go with the actions of the plan. */
char *build_metadata(const struct build_plan *plan, const struct build_result *result, char *const *digests);

/* provenance.c: where it comes from, as text, malloc()ed. */
char *build_provenance(const struct build_plan *plan, const struct build_result *result, char *const *digests);

/* run.c: one engine command as a child of PID 1. */
struct build_run {
	const struct build_plan *plan;
	struct build_result *result;
	int events;	     /* descriptor that lines for task events go to */
	int signals;	     /* signalfd */
	int null;	     /* /dev/null */
	bool stopping;	     /* a signal to stop came */
	bool stuck;	     /* a registry did not answer */
	bool again;	     /* a push failed, and may succeed if it is tried again */
	int64_t progress_ms; /* at most one event in that time while the engine runs */
	int64_t told_ms;
};
/* Its exit status as a shell gives it, or a negative errno. */
int build_run_action(struct build_run *run, const struct build_action *action,
		     struct nomad_error **err) NOMAD_MUST_CHECK;
/* Waits, and hands signals on; true if the build is to stop. */
bool build_run_pause(struct build_run *run, int64_t ms);
/* A line for the events of the task. */
void build_run_event(struct build_run *run, const char *fmt, ...) NOMAD_PRINTF(2, 3);

#endif
