/* SPDX-License-Identifier: MPL-2.0
 *
 * download.h: images that come from elsewhere, and the cache of them. */
#ifndef NSPAWN_DOWNLOAD_H
#define NSPAWN_DOWNLOAD_H

#include <time.h>

#include "config.h"

/* Fetch config->image_download into `images_dir` as config->image, unless it is there; then mark it as used
 * by the task.  Any number of tasks may want the same one at the same time: one fetches, all get it. */
int nspawn_download(struct nomad_task *task, const char *images_dir, const struct nspawn_config *config,
		    const struct nspawn_plugin_config *site, struct nomad_error **err) NOMAD_MUST_CHECK;
/* Where config.json of a container image in `images_dir` is, if it is one; malloc()ed. */
char *nspawn_download_config(const char *images_dir, const char *name);
/* The task does not use it any more. */
void nspawn_download_release(struct nomad_task *task, const char *images_dir);
/* Once, at the start of the plugin: what an interrupted download left, uses of another boot. */
void nspawn_download_sweep(const char *images_dir);

/* ---- fetch.c ---- */

/* An image in the making. */
struct nspawn_fetch {
	struct nomad_task *task;
	const struct nspawn_download *want;
	const struct nspawn_auth *auth; /* or NULL */
	int64_t deadline_ns;		/* monotonic; 0: none */
	const char *name, *dir;
	int64_t idle_s;
	int64_t max_bytes; /* in work; 0: no limit */
	char *work;	   /* .new-NAME, in which all is done */
	char *file;	   /* what was fetched, in it; or NULL */
	time_t told;
	int64_t bytes; /* that have come */
	pid_t pid;     /* of the tool that runs */
	/* Of a transfer that has no idle time-out of its own. */
	int64_t moved_ns; /* when they became more */
	bool stalled;
	int64_t next_count_ns;
	bool too_large;
};

/* *ret is the tree or the disk, in the directory of work. */
int nspawn_fetch(struct nspawn_fetch *fetch, char **ret, struct nomad_error **err) NOMAD_MUST_CHECK;

/* For registry.c: looks for a tool; runs one until it ends, nobody wants the start any more, or a limit is reached.
 * `transfers`: it fetches, so that it has to move bytes. */
int nspawn_need(const char *tool, char **ret, struct nomad_error **err) NOMAD_MUST_CHECK;
int nspawn_fetch_tool(struct nspawn_fetch *fetch, const char *what, const char *const *argv, bool transfers,
		      struct nomad_error **err) NOMAD_MUST_CHECK;

/* ---- layers.c ---- */

enum { NSPAWN_LAYER_NAME = 64 };
/* Unpacks the layers of an image, the lowest first: files and digests.  Adds their names to *ret, the uppermost first.
 * Returns 0; 1 if the image has to be unpacked as one tree; or a negative errno. */
int nspawn_layers_unpack(struct nspawn_fetch *fetch, char *const *blobs, char *const *digests, char ***ret,
			 struct nomad_error **err) NOMAD_MUST_CHECK;
/* The tree of a layer, malloc()ed. */
char *nspawn_layer_path(const char *images_dir, const char *name);

/* ---- cache.c ---- */

/* Removes the layers that no image has, and the images and then their layers that were used longest ago and are not
 * used now, until the rest is small enough.  Does nothing while an image is being made. */
void nspawn_cache_collect(const char *images_dir, int64_t limit_mb);
/* Keeps the layers while an image is made of them: a descriptor to close, or -1 with errno. */
int nspawn_cache_hold(const char *images_dir);
/* Whether a task uses the image. */
bool nspawn_cache_in_use(const char *images_dir, const char *name);

/* ---- registry.c ---- */

/* As nspawn_fetch(), for type docker. *ret_config: the config.json of the image. */
int nspawn_fetch_container(struct nspawn_fetch *fetch, char **ret, char **ret_config,
			   struct nomad_error **err) NOMAD_MUST_CHECK;
/* For the tests: "host:5000/a/b:1" -> "host:5000", malloc()ed; a name without a host is of docker.io. */
char *nspawn_registry_of(const char *reference);
/* The file that skopeo reads credentials from, malloc()ed. */
char *nspawn_auth_text(const struct nspawn_auth *auth, const char *reference);

/* For the tests.  The bytes of all files below `dir`. */
int64_t nspawn_tree_bytes(const char *dir);
/* What it takes on the disk, with all that is not a file. */
int64_t nspawn_tree_use(const char *dir);
/* The digest that a file SHA256SUMS gives for `name`, 64 digits; false if none. */
bool nspawn_sums_find(const char *sums, const char *name, char ret_digest[65]);
/* A qcow2 image may name other files to read from; one from elsewhere may not.  `head` is its first bytes. */
enum { NSPAWN_QCOW2_HEAD = 104 };
bool nspawn_qcow2_is_alone(const unsigned char *head, size_t n);
/* The last part of a URL, without query: "https://h/a/b.tar.xz?x" -> "b.tar.xz", malloc()ed. */
char *nspawn_url_name(const char *url);

#endif
