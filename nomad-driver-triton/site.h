/* SPDX-License-Identifier: MPL-2.0
 *
 * site.h: the data centre and the account, as this plugin uses them: what all
 * tasks share. */
#ifndef TRITON_SITE_H
#define TRITON_SITE_H

#include "cloudapi.h"
#include "docker.h"
#include "fwshare.h"

struct triton_site {
	/* The configuration, completed from the environment. */
	char *url, *account, *user, *key_id, *key_file, *key_material, *passphrase_file, *agent_socket, *ca_file;
	char *docker_url, *docker_cert_path, *datacenter;
	char *act_as;	 /* the account to work in, where it is another one */
	char *as_roles;	 /* "a,b", escaped; or NULL */
	char *role_tags; /* "Role-Tag: a,b"; or NULL */
	char *problem;	 /* why the configuration is not complete; NULL: it is */
	char *cluster;	 /* NULL: none */
	char *owner;	 /* this plugin's name in tags, see lease.h; NULL in commands */
	char *nomad_address, *nomad_token_file, *nomad_ca_file, *nomad_cert_file, *nomad_key_file;
	bool insecure, docker_insecure;
	int64_t request_timeout_ms, provision_timeout_ms, poll_interval_ms, lease_ms;

	struct triton_budget budget;
	pthread_mutex_t lock; /* of what is made when it is first needed: */
	char *account_escaped;
	struct triton_signer *signer;
	struct triton_http *cloud, *docker;

	struct triton_fwshare *rules;
};

/* Complete the configuration; nothing is connected yet. */
int triton_site_new(const struct triton_config *config, struct triton_site **ret, struct nomad_error **err);
/* Whoever uses it has to be freed before. */
void triton_site_free(struct triton_site *site);

/* The APIs, tried for a minute a call.  An error tells what is missing (no
 * key, no agent, no certificate); a later call tries again. */
int triton_site_cloud(struct triton_site *site, struct triton_cloud *ret, struct nomad_error **err);
int triton_site_docker(struct triton_site *site, struct triton_docker *ret, struct nomad_error **err);

/* Wait; -ESHUTDOWN with *err when the plugin ends. */
int triton_site_sleep(struct triton_site *site, int64_t ms, struct nomad_error **err);

#endif
