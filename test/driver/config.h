/* SPDX-License-Identifier: MPL-2.0
 *
 * config.h: what the test driver can be told.  Every type of option is here,
 * with and without default, bounds, choices and checks, so that the tests
 * can send all that Nomad may send. */
#ifndef TEST_CONFIG_H
#define TEST_CONFIG_H

#include "nomad/plugin.h"

struct testdriver_config {
	char *greeting;
	int64_t limit;
	double ratio;
	bool flag;
	int tristate;
	char **tags;
	struct nomad_map labels;
	char *token;
	char *health_file;
	bool init_fails;
	struct testdriver_auth *auth;
};

struct testdriver_auth {
	char *user;
	char *password;
};

struct testdriver_size {
	int64_t width;
	int64_t height;
};

struct testdriver_init {
	char *name;
	bool enabled;
	struct testdriver_size *size;
};

struct testdriver_mount {
	char *source;
	char *target;
	bool readonly;
	struct nomad_map options;
};

struct testdriver_task_config {
	char *command;
	char **args;
	char *mode;
	int64_t delay_ms;
	int64_t exit_code;
	bool notify;
	int64_t ready_timeout_ms;
	char *stop_signal;
	int64_t pids_max;
	bool cpu_hard_limit;
	int64_t cpu_period;
	char *device_policy;
	char **devices;
	struct nomad_map ulimit;
	int64_t oom_score_adj;
	char *user;
	/* Only to be sent, and shown by InspectTask. */
	char *path;
	int64_t count;
	int64_t big;
	double number;
	bool flag;
	int tristate;
	char **words;
	struct nomad_map labels;
	struct nomad_int_map weights;
	struct testdriver_init *init;
	struct nomad_block_list mount;
	char *secret;
	char *old;
};

extern const struct nomad_schema testdriver_config_schema;
extern const struct nomad_schema testdriver_task_schema;

/* One attribute per option, "config.<option>", but no secrets. */
int testdriver_show_config(const struct testdriver_task_config *config, struct nomad_map *attributes);

#endif
