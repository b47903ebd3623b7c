/* SPDX-License-Identifier: MPL-2.0
 *
 * config.h: what users may write, as the structs that the option tables fill. */
#ifndef POT_CONFIG_H
#define POT_CONFIG_H

#include "nomad/option.h"

/* The `plugin` block of the agent. */
struct pot_config {
	bool enabled;
	char *pot_path;
	char *path;
	bool env_files;
	int64_t prepare_timeout; /* seconds, as all three */
	int64_t start_timeout;
	int64_t command_timeout;
	int64_t image_gc_hours; /* 0: never */
};

/* The `config` block of a task. */
struct pot_task_config {
	/* Those of the Go driver, under the same names. */
	char *image, *pot, *tag;
	char *command;
	char **args;
	char *network_mode;
	struct nomad_map port_map;
	char **copy, **mount, **mount_read_only;
	char **extra_hosts;
	char **attributes;
	/* New. */
	char **ports;
	char **ip;
	char *bridge;
	char *network_stack;
	char *dns;
	char *signature_key;
	int64_t cpus;
	bool cpu_hard_limit;
	bool memory_kill;
	struct nomad_map limits;
};

extern const struct nomad_schema pot_config_schema;
extern const struct nomad_schema pot_task_schema;

/* "[tcp:|udp:]REST": true for udp; *ret_rest (if not NULL) points behind the protocol. */
bool pot_is_udp(const char *value, const char **ret_rest);
/* What rctl does beyond a limit of this resource, or NULL: not a resource of option limits. */
const char *pot_limit_action(const char *resource);
/* Whether this network mode has a network of its own, so that ports are mapped to it. */
bool pot_has_own_network(const struct pot_task_config *config);

#endif
