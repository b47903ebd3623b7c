/* SPDX-License-Identifier: MPL-2.0
 *
 * core/options.h: the plugin's configuration: the driver's options, and those
 * that every driver has. */
#ifndef NOMAD_CORE_OPTIONS_H
#define NOMAD_CORE_OPTIONS_H

#include "core/core.h"

/* The options that every driver has. */
struct nomad__library_config {
	char *state_dir;
	char *log_collection;
	int64_t log_max_files;
	int64_t log_max_file_size_mb;
	int64_t gc_grace_s;
	struct nomad__metrics_config *metrics; /* or NULL */
	struct nomad__policy *policy;	       /* or NULL; its schema is that of nomad__options_policy() */
};

/* Decodes a configuration and, if `use`, takes it instead of the present one, which is freed.  Keeps `node`, which may
 * be NULL. */
int nomad__options_set(struct nomad_plugin *plugin, const void *config, size_t size, bool use,
		       const struct nomad__node *node, struct nomad_error **err);
/* Valid until nomad__options_set() takes another one: for good once init ran. */
const struct nomad__library_config *nomad__library_config(const struct nomad_plugin *plugin);
struct nomad__policy_table;
/* The rules of this driver.  NULL: it has none, or nomad__options_ignore_policy() was called, because the caller
 * is the operator. */
const struct nomad__policy_table *nomad__options_policy(const struct nomad_plugin *plugin);
void nomad__options_ignore_policy(struct nomad_plugin *plugin);
/* Whether an agent has configured the plugin, not a trial launch; then *ret is the node. */
bool nomad__options_node(struct nomad_plugin *plugin, struct nomad__node *ret);

#endif
