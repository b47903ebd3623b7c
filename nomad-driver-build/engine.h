/* SPDX-License-Identifier: MPL-2.0
 *
 * engine.h: the command lines of buildah and podman.  See engine.c. */
#ifndef BUILD_ENGINE_H
#define BUILD_ENGINE_H

#include "config.h"
#include "containerfile.h"

/* In an argument, this stands for the id of the image, which is known once it is built. */
#define BUILD_IMAGE "{image}"

/* Of the jail. */
#define BUILD_ROOT "/build/root"
#define BUILD_ROOTFS "/build/image"	  /* the files of the image, where something is to read them */
#define BUILD_ROOTFS_NAMES "/build/names" /* what is in it, a zero behind each */
#define BUILD_CACHE "/cache"
#define BUILD_CACHED "/cached"
#define BUILD_USED_FILE "/build/used"
#define BUILD_CONTAINERFILE "/Containerfile"
#define BUILD_IID_FILE "/build/iid"
#define BUILD_AUTH_FILE "/build/auth.json"
#define BUILD_SECRET_DIR "/run/build-secrets"

/* The list of images of several platforms, in the store. */
#define BUILD_LIST "localhost/nomad-build:list"

struct build_engine {
	char *path;
	bool is_podman;
	char version[32];
	int major, minor;
	char platform[32];	    /* of the node; "" if it has no known name */
	const char *storage_driver; /* "overlay" or "vfs" */
	uint64_t nofile, nproc;	    /* limits of the node that nothing can raise; 0: it can */
	bool cached;		    /* the build reads the store of a cache */
};

/* What a build is made of, as paths in the jail. */
struct build_inputs {
	char *containerfile, *context, *ignorefile;
	struct nomad_map contexts;     /* name: argument */
	struct nomad_map secrets, ssh; /* id: path */
	bool no_cache;		       /* layers that are kept are not used */
	bool pulled;		       /* all images are there that the node was asked for */
	bool name_platform;	       /* though it is the node's */
};
void build_inputs_done(struct build_inputs *inputs);

/* Each instruction becomes a layer of its own, which stays in the store. */
bool build_engine_keeps_layers(const struct build_config *config);
/* The version of this engine that puts what such mounts hold into the key of a layer; NULL if this one does. */
const char *build_engine_lacks_keys(const struct build_engine *engine, const struct build_binds *binds);
/* The image goes to `destination`, which buildah alone can do, or with NULL to the store under the tags. */
int build_engine_build(const struct build_engine *engine, const struct build_config *config,
		       const struct build_inputs *inputs, const char *destination, char ***ret_argv) NOMAD_MUST_CHECK;
/* "TYPE:PATH[:REFERENCE]", of a path in the jail; malloc()ed. */
char *build_engine_destination(const char *type, const char *path, const char *reference);
/* Write the image there; the digest of its manifest goes to `digest_file`. */
int build_engine_write(const struct build_engine *engine, const struct build_config *config, const char *destination,
		       const char *digest_file, char ***ret_argv) NOMAD_MUST_CHECK;
int build_engine_push(const struct build_engine *engine, const struct build_config *config, const char *reference,
		      bool tls_verify, const char *digest_file, char ***ret_argv) NOMAD_MUST_CHECK;
/* Not the engine: copies BUILD_ROOTFS to a directory or, if `tar`, an archive; the same tree gives the same bytes. */
int build_engine_export(bool tar, const char *path, char ***ret_argv) NOMAD_MUST_CHECK;
/* Look into a new store in `dir`, which takes finding out what the kernel can do; added to `*argv`. */
int build_engine_try(const struct build_engine *engine, const char *dir, char ***argv) NOMAD_MUST_CHECK;
int build_engine_pull(const struct build_engine *engine, const struct build_config *config, const char *name,
		      char ***ret_argv) NOMAD_MUST_CHECK;
/* Whether a step can have any directory of the jail mounted, by a bind mount or what an image of a registry says. */
bool build_engine_follows_links(const struct build_engine *engine);

/* platforms.c: why programs of `platform` do not run on a node of platform `node`, and what to do; NULL: they do, or
 * nothing is known.  `dir` is BUILD_BINFMT. */
#define BUILD_BINFMT "/proc/sys/fs/binfmt_misc"
const char *build_platform_lacks(const char *dir, const char *platform, const char *node);
/* Those that run, such as "linux/amd64,linux/386"; malloc()ed. */
char *build_platforms_of(const char *dir, const char *node);

/* A configuration file for the engine, malloc()ed: which images it may pull, by their full names or repositories. */
char *build_engine_policy(bool any, char *const *allowed);

#endif
