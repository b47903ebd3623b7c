/* SPDX-License-Identifier: MPL-2.0
 *
 * host.h: what this node has for builds, and what builds leave on it. */
#ifndef BUILD_HOST_H
#define BUILD_HOST_H

#include "engine.h"

/* host.c: the engine, and how it can store layers below `base`.  engine.path is NULL if there is none. */
struct build_host {
	struct build_engine engine;
	bool overlay;
	char *overlay_error; /* why not, or NULL */
	char *runtime;	     /* crun or runc, or NULL */
	char *slirp;	     /* slirp4netns, or NULL */
	char **features;     /* what the engine noted of overlay here */
};
void build_host_find(const struct build_plugin_config *config, const char *base, struct build_host *ret);
void build_host_done(struct build_host *host);
/* Where builds and caches are stored; malloc()ed. */
char *build_base_dir(const struct build_plugin_config *config, const char *state_dir);

/* tree.c: a directory with all that is in it; not there is fine.  0 or a negative errno. */
int build_tree_remove(const char *path);
/* Bytes on disk, about. */
uint64_t build_tree_size(const char *path);
uint64_t build_tree_size_at(int dir);

/* events.c: a thread that makes task events of the lines that the processes of tasks write. */
struct build_events;
struct build_events *build_events_new(struct nomad_plugin *plugin);
void build_events_free(struct build_events *events);
/* Follow file `path` for the task, from where an earlier one stopped. */
int build_events_follow(struct build_events *events, const char *id, const char *path) NOMAD_MUST_CHECK;
/* All that was written until now is told; no more of this task. */
void build_events_finish(struct build_events *events, const char *id);

struct build_data {
	struct nomad_plugin *plugin;
	char *base;
	struct build_host host;
	struct build_events *events;
};

void build_fingerprint(struct nomad_plugin *plugin, struct nomad_fingerprint *fp);

#endif
