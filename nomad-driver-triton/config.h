/* SPDX-License-Identifier: MPL-2.0
 *
 * config.h: what users may write: the plugin's block and a task's config
 * block, as the structs that the option tables of site_options.c and config.c
 * fill. */
#ifndef TRITON_CONFIG_H
#define TRITON_CONFIG_H

#include "nomad/option.h"

/* ---- The plugin's block ---- */

struct triton_config {
	char *url;
	char *account;
	char *user;
	char *key_id;
	char *key_file; /* path of a private key file; or the PEM text (key_material) */
	char *key_material;
	char *key_passphrase_file;
	char *ssh_auth_sock;
	char *ca_file;
	int insecure; /* tristate */
	char *docker_url;
	char *docker_cert_path;
	int docker_insecure; /* tristate */
	char *datacenter;
	int64_t requests_per_second;
	int64_t poll_interval;	   /* seconds */
	int64_t request_timeout;   /* seconds */
	int64_t provision_timeout; /* seconds, where a task names none */
	int64_t max_instances;	   /* 0: no maximum */
	char *act_as, **as_roles, **role_tags;
	char *profile;
	char *cluster;
	int64_t lease_timeout; /* seconds; 0: leave the instances of others alone */
	char *nomad_address, *nomad_token_file, *nomad_ca_file, *nomad_cert_file, *nomad_key_file;
};

extern const struct nomad_schema triton_config_schema;

/* ---- A task's config ---- */

enum triton_api {
	TRITON_CLOUD,
	TRITON_DOCKER,
};

struct triton_package {
	char *name, *uuid, *version;
};

struct triton_image {
	char *name, *uuid, *version, *owner, *os, *type, *state, *published_after;
	int public; /* tristate */
	struct nomad_map tags;
	bool most_recent;
};

struct triton_network {
	char *name, *uuid, *ip;
};

struct triton_disk {
	char *size; /* MiB, "remaining", or "": as the image */
	int64_t block_size;
};

struct triton_cloud_task {
	struct triton_image *image;
	struct nomad_block_list networks; /* of struct triton_network */
	char *user_data, *user_script, *cloud_config;
	char *user_data_file, *user_script_file, *cloud_config_file;
	char *brand;
	struct nomad_block_list disks; /* of struct triton_disk */
	bool delegate_dataset, encrypted, allow_shared_images;
};

struct triton_docker_image {
	char *name, *tag, *digest;
	bool auto_pull;
};

struct triton_auth {
	char *username, *password, *email, *server_address;
};

struct triton_ports {
	char **tcp, **udp; /* numbers, as text: see config.c */
	bool publish_all;
};

struct triton_log_config {
	char *type;
	struct nomad_map config;
};

struct triton_docker_task {
	struct triton_docker_image *image;
	struct triton_auth *auth;
	char **cmd, **entrypoint;
	bool openstdin, stdinonce, tty;
	char *workingdir, *hostname, *domain_name, *user;
	struct nomad_map labels;
	char *public_network, *private_network;
	char **dns, **dns_search, **extra_hosts;
	struct triton_ports *ports;
	struct triton_log_config *log_config;
	char *restart_policy;
};

struct triton_volume {
	char *name, *mountpoint, *mode, *type;
	int64_t size; /* MiB; with it the volume is made if it is not there */
	bool keep;
};

struct triton_task {
	char *api_type;
	struct triton_cloud_task *cloud_api;
	struct triton_docker_task *docker_api;
	struct triton_package *package;
	struct nomad_map tags;
	struct nomad_map metadata, metadata_files;
	char **affinity;
	char **cns;
	bool deletion_protection;
	bool fwenabled;
	struct nomad_map fwrules;
	char *exit_strategy;
	struct nomad_block_list volumes; /* of struct triton_volume */
	int64_t provision_timeout;
	int64_t stop_timeout;
};

extern const struct nomad_schema triton_task_schema, triton_cloud_schema;

/* Checks of options: NULL, or what is expected.  A file is a path of the task, see files.h. */
const char *triton_check_uuid(const char *value);
const char *triton_check_file(const char *value);

enum triton_api triton_task_api(const struct triton_task *task);
/* exit_strategy = "deleted". */
bool triton_task_ends_deleted(const struct triton_task *task);

#endif
