/* SPDX-License-Identifier: MPL-2.0
 *
 * config.h: what people may write, as C structs.  See config.c. */
#ifndef BUILD_CONFIG_H
#define BUILD_CONFIG_H

#include "nomad/plugin.h"

/* The plugin block. */
struct build_plugin_config {
	char *engine;
	char *storage_root;
	char *storage_driver;
	char **insecure_registries;
	char *registries_conf;
	int64_t concurrency;
	int64_t registry_timeout;
	int64_t cache_mb;
	int64_t cache_max_age;
};

struct build_output {
	char *type;
	char *path;
	char *reference;
};

struct build_push {
	char *reference;
	bool tls_verify;
	int64_t retry;
};

/* The config block of a task. */
struct build_config {
	char *containerfile;
	char *dockerfile;
	char *context;
	char *ignorefile;
	char *target;
	struct nomad_map args;
	struct nomad_map build_contexts;
	struct nomad_map labels;
	struct nomad_map annotations;
	char **tags;
	char *platform;
	char **platforms;
	char *format;
	char *compression;
	char *network;
	char *isolation;
	struct nomad_map secrets;
	struct nomad_map ssh;
	int layers;
	char *cache;
	char *cache_from;
	char *cache_to;
	int64_t timestamp;
	bool squash;
	bool verify;
	char *pull;
	bool tls_verify;
	struct nomad_map ulimits;
	int64_t pids_limit;
	int64_t storage_mb;
	int64_t timeout;
	struct nomad_block_list output; /* of struct build_output */
	struct nomad_block_list push;	/* of struct build_push */
	char *metadata_file;
	char *sbom_file;
	char *provenance_file;
};

extern const struct nomad_schema build_plugin_schema;
extern const struct nomad_schema build_task_schema;

#endif
