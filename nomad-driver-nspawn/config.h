/* SPDX-License-Identifier: MPL-2.0
 *
 * config.h: what people may write for this driver: the plugin block and the
 * task's config block, as C structs. */
#ifndef NSPAWN_CONFIG_H
#define NSPAWN_CONFIG_H

#include "nomad/plugin.h"

struct nspawn_plugin_config {
	bool enabled;
	bool volumes;
	char *machined;
	char *network_pool;
	char *network_pool6;
	int64_t image_cache_mb;
	int64_t download_idle_s;
	int64_t download_max_mb;
	char *layer_dir;
};

struct nspawn_download {
	char *url;
	char *type;
	char *verify;
	char *checksum;
	bool force;
};

struct nspawn_auth {
	char *username, *password, *server_address;
	bool tls_verify;
};

struct nspawn_healthchecks {
	bool disable;
};

struct nspawn_tmpfs {
	int64_t size, mode;
};

struct nspawn_mount {
	char *type, *target, *source;
	bool readonly;
	struct nspawn_tmpfs *tmpfs_options;
};

struct nspawn_config {
	/* What to run. */
	char *image;
	struct nspawn_download *image_download;
	struct nspawn_auth *auth;
	bool force_pull;
	char *image_pull_timeout;
	bool oci_bundle;
	bool boot;
	bool process_two;
	bool init;
	bool notify_ready;
	bool journal;
	struct nspawn_healthchecks *healthchecks;
	char **entrypoint;
	char **command;
	char **args;
	char *user;
	char **group_add;
	char *working_directory;
	struct nomad_map environment;
	char *hostname;

	/* Its root file system. */
	bool ephemeral;
	bool read_only;
	bool writable_image;
	char *root;
	int64_t storage_mb;
	char *volatile_mode;
	char *pivot_root;
	struct nomad_map bind;
	struct nomad_map bind_read_only;
	char **volumes;
	struct nomad_block_list mount;
	char **tmpfs;
	int64_t shm_size;
	char **overlay;
	char **overlay_read_only;
	char **devices;
	char *device_policy;
	char *resolv_conf;
	char *timezone;
	char *console;

	/* What it may. */
	bool user_namespacing;
	char *private_users;
	char *private_users_ownership;
	char **capability;
	char **drop_capability;
	char **system_call_filter;
	bool no_new_privileges;
	struct nomad_map rlimits;
	struct nomad_map ulimit;
	struct nomad_map sysctl;
	char *ipc_mode;
	bool cpu_hard_limit;
	int64_t cpu_cfs_period;
	int64_t oom_score_adj;
	int64_t pids_limit;

	/* Its network. */
	bool network_veth;
	char *network_bridge;
	char *network_zone;
	bool dhcp;
	char **extra_hosts;
	char **ports;
	struct nomad_int_map port_map;
};

extern const struct nomad_schema nspawn_plugin_schema;
extern const struct nomad_schema nspawn_task_schema;

/* What the schema cannot know: settings that systemd `version` of this host
 * lacks are refused by name. */
int nspawn_config_check_version(const struct nspawn_config *config, int version, struct nomad_error **err);

/* "1h30m", "90s" -> seconds; 0 for NULL, -1 if it is none. */
int64_t nspawn_duration_s(const char *text);

#endif
