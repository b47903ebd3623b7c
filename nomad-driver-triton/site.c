/* SPDX-License-Identifier: MPL-2.0
 *
 * The data centre and the account: the configuration completed from the
 * environment, and the two APIs, which are made when they are first needed. A
 * missing key or agent is so an error of that moment and not of the start.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "profile.h"
#include "site.h"
#include "text.h"

enum { RETRY_MS = 60000 };

static int keep(char **ret, const char *configured, const char *otherwise)
{
	return triton_keep(ret, triton_given(configured) ? configured : otherwise);
}

/* What a header or a parameter says of a list. */
static char *joined(char *const *list, const char *front, bool escape)
{
	NOMAD_AUTO_FREE char *all = triton_join(list), *escaped = NULL;

	if (!all)
		return NULL;
	escaped = escape ? triton_url_escape(all) : NULL;
	return escape && !escaped ? NULL : nomad_strdupf("%s%s", front, escape ? escaped : all);
}

static bool insecure_by_env(void)
{
	static const char *const names[] = { "INSECURE", "SKIP_TLS_VERIFY", "TLS_INSECURE" };

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(names); i++)
		if (triton_parse_bool(triton_getenv(names[i])) == 1)
			return true;
	return triton_given(getenv("SDC_TESTING"));
}

/* A profile is whole: nothing of the environment is mixed into it. */
static int keep_account(struct triton_site *site, const struct triton_config *config,
			const struct triton_profile *profile)
{
	int r = keep(&site->url, config->url, profile->url ? profile->url : triton_getenv("URL"));

	r |= keep(&site->account, config->account, profile->url ? profile->account : triton_getenv("ACCOUNT"));
	r |= keep(&site->user, config->user, profile->url ? profile->user : triton_getenv("USER"));
	r |= keep(&site->key_id, config->key_id, profile->url ? profile->key_id : triton_getenv("KEY_ID"));
	r |= keep(&site->act_as, config->act_as, profile->url ? profile->act_as : triton_getenv("ACT_AS"));
	site->as_roles = joined(config->as_roles, "", true);
	site->role_tags = joined(config->role_tags, "Role-Tag: ", false);
	return (config->as_roles && *config->as_roles && !site->as_roles) ||
			       (config->role_tags && *config->role_tags && !site->role_tags)
		       ? -ENOMEM
		       : r;
}

static int keep_nomad(struct triton_site *site, const struct triton_config *config)
{
	int r = keep(&site->nomad_address, config->nomad_address,
		     triton_given(getenv("NOMAD_ADDR")) ? getenv("NOMAD_ADDR") : "http://127.0.0.1:4646");

	r |= keep(&site->nomad_token_file, config->nomad_token_file, NULL);
	r |= keep(&site->nomad_ca_file, config->nomad_ca_file, getenv("NOMAD_CACERT"));
	r |= keep(&site->nomad_cert_file, config->nomad_cert_file, getenv("NOMAD_CLIENT_CERT"));
	return r | keep(&site->nomad_key_file, config->nomad_key_file, getenv("NOMAD_CLIENT_KEY"));
}

int triton_site_new(const struct triton_config *config, struct triton_site **ret, struct nomad_error **err)
{
	struct triton_site *site = calloc(1, sizeof(*site));
	const char *material = triton_getenv("KEY_MATERIAL"), *verify = getenv("DOCKER_TLS_VERIFY");
	bool is_text = material && strstr(material, "-----BEGIN");
	struct triton_profile profile = { .insecure = -1 };
	NOMAD_AUTO_ERROR struct nomad_error *why = NULL;
	int r = 0;

	if (!site || triton_budget_init(&site->budget, config->requests_per_second) < 0) {
		free(site);
		return nomad_error_errno(err, ENOMEM, "prepare the driver");
	}
	pthread_mutex_init(&site->lock, NULL);
	if (triton_given(config->key_file) || triton_given(config->key_material))
		material = NULL;
	/* A wrong one is told when it is used: doctor and the fingerprint say so. */
	if (triton_given(config->profile) && triton_profile_load(config->profile, &profile, &why) < 0)
		r = triton_keep(&site->problem, nomad_error_message(why));
	r |= keep_account(site, config, &profile);
	r |= keep(&site->key_file, config->key_file, is_text ? NULL : material);
	r |= keep(&site->key_material, config->key_material, is_text ? material : NULL);
	r |= keep(&site->passphrase_file, config->key_passphrase_file, NULL);
	r |= keep(&site->agent_socket, config->ssh_auth_sock, getenv("SSH_AUTH_SOCK"));
	r |= keep(&site->ca_file, config->ca_file, NULL);
	r |= keep(&site->docker_url, config->docker_url, getenv("DOCKER_HOST"));
	r |= keep(&site->docker_cert_path, config->docker_cert_path, getenv("DOCKER_CERT_PATH"));
	r |= keep(&site->datacenter, config->datacenter, NULL);
	r |= keep(&site->cluster, config->cluster, NULL);
	r |= keep_nomad(site, config);
	site->rules = triton_fwshare_new();
	if (r < 0 || !site->rules) {
		triton_profile_done(&profile);
		triton_site_free(site);
		return nomad_error_errno(err, ENOMEM, "prepare the driver");
	}
	site->insecure = config->insecure >= 0	 ? config->insecure
			 : profile.insecure >= 0 ? profile.insecure
						 : insecure_by_env();
	triton_profile_done(&profile);
	site->docker_insecure =
		config->docker_insecure < 0 ? site->insecure && !triton_given(verify) : config->docker_insecure;
	site->request_timeout_ms = config->request_timeout * 1000;
	site->provision_timeout_ms = config->provision_timeout * 1000;
	site->poll_interval_ms = config->poll_interval * 1000;
	site->lease_ms = config->lease_timeout * 1000;
	*ret = site;
	return 0;
}

void triton_site_free(struct triton_site *site)
{
	if (!site)
		return;
	triton_http_free(site->cloud);
	triton_http_free(site->docker);
	triton_signer_free(site->signer);
	triton_fwshare_free(site->rules);
	if (site->key_material)
		OPENSSL_cleanse(site->key_material, strlen(site->key_material));
	free(site->url);
	free(site->account);
	free(site->user);
	free(site->key_id);
	free(site->key_file);
	free(site->key_material);
	free(site->passphrase_file);
	free(site->agent_socket);
	free(site->ca_file);
	free(site->docker_url);
	free(site->docker_cert_path);
	free(site->datacenter);
	free(site->act_as);
	free(site->as_roles);
	free(site->role_tags);
	free(site->problem);
	free(site->cluster);
	free(site->owner);
	free(site->nomad_address);
	free(site->nomad_token_file);
	free(site->nomad_ca_file);
	free(site->nomad_cert_file);
	free(site->nomad_key_file);
	free(site->account_escaped);
	pthread_mutex_destroy(&site->lock);
	triton_budget_done(&site->budget);
	free(site);
}

static int connect_cloud(struct triton_site *site, struct nomad_error **err)
{
	static const char *const headers[] = { "Accept-Version: ~9||~8", NULL };
	struct triton_signer_options key = {
		.account = site->account,
		.user = site->user,
		.key_id = site->key_id,
		.key_file = site->key_file,
		.key_material = site->key_material,
		.passphrase_file = site->passphrase_file,
		.agent_socket = site->agent_socket,
	};
	struct triton_http_options options = {
		.what = "CloudAPI",
		.base_url = site->url,
		.ca_file = site->ca_file,
		.insecure = site->insecure,
		.budget = &site->budget,
		.timeout_ms = site->request_timeout_ms,
		.headers = headers,
	};
	int r;

	if (site->problem)
		return nomad_error_set(err, EINVAL, "%s", site->problem);
	if (!site->url)
		return nomad_error_set(err, EINVAL, "no data centre: set url, TRITON_URL or SDC_URL");
	/* Options are checked by their table, the environment is not. */
	if ((site->account && !triton_is_login(site->account)) || (site->user && !triton_is_login(site->user)) ||
	    (site->act_as && !triton_is_login(site->act_as)))
		return nomad_error_set(
			err, EINVAL,
			"TRITON_ACCOUNT, TRITON_USER, TRITON_ACT_AS or their SDC_ forms: not a login name");
	if (!site->signer) {
		r = triton_signer_new(&key, &site->signer, err);
		if (r < 0)
			return r;
	}
	if (!site->account_escaped &&
	    !(site->account_escaped = triton_url_escape(site->act_as ? site->act_as : site->account)))
		return nomad_error_errno(err, ENOMEM, "prepare requests to CloudAPI");
	options.signer = site->signer;
	return triton_http_new(&options, &site->cloud, err);
}

int triton_site_cloud(struct triton_site *site, struct triton_cloud *ret, struct nomad_error **err)
{
	int r = 0;

	pthread_mutex_lock(&site->lock);
	if (!site->cloud)
		r = connect_cloud(site, err);
	pthread_mutex_unlock(&site->lock);
	if (r >= 0)
		*ret = (struct triton_cloud){ .http = site->cloud,
					      .account = site->account_escaped,
					      .as_roles = site->as_roles,
					      .role_tags = site->role_tags,
					      .retry_ms = RETRY_MS };
	return r;
}

/* Where the data centre says that its Docker API is. */
static int ask_docker_url(struct triton_site *site, struct nomad_error **err)
{
	struct triton_cloud cloud;
	struct triton_answer answer;
	const char *url;
	int r = triton_site_cloud(site, &cloud, err);

	if (r < 0)
		return r;
	cloud.retry_ms = 0;
	r = triton_cloud_call(&cloud, "GET", NULL, &answer, err, "/services");
	if (r < 0)
		return nomad_error_wrap(err, "ask where the Docker API is");
	url = triton_json_text(answer.json, "docker");
	pthread_mutex_lock(&site->lock);
	if (!triton_given(url))
		r = nomad_error_set(err, ENOENT,
				    "the data centre has no Docker API; set docker_url or DOCKER_HOST if it has");
	else if (!site->docker_url && !(site->docker_url = strdup(url)))
		r = nomad_error_errno(err, ENOMEM, "prepare requests to the Docker API");
	pthread_mutex_unlock(&site->lock);
	triton_answer_done(&answer);
	return r;
}

static int connect_docker(struct triton_site *site, struct nomad_error **err)
{
	struct triton_http_options options = {
		.what = "the Docker API",
		.base_url = site->docker_url,
		.insecure = site->docker_insecure,
		.budget = &site->budget,
		.timeout_ms = site->request_timeout_ms,
	};
	NOMAD_AUTO_FREE char *ca = NULL, *cert = NULL, *key = NULL;

	if (strncmp(site->docker_url, "http://", 7) != 0) {
		if (!site->docker_cert_path)
			return nomad_error_set(err, ENOENT,
					       "no certificate for the Docker API: set docker_cert_path or "
					       "DOCKER_CERT_PATH to the folder with key.pem, cert.pem and ca.pem");
		ca = nomad_strdupf("%s/ca.pem", site->docker_cert_path);
		cert = nomad_strdupf("%s/cert.pem", site->docker_cert_path);
		key = nomad_strdupf("%s/key.pem", site->docker_cert_path);
		if (!ca || !cert || !key)
			return nomad_error_errno(err, ENOMEM, "prepare requests to the Docker API");
		if (access(cert, R_OK) < 0 || access(key, R_OK) < 0)
			return nomad_error_errno(err, errno, "read cert.pem and key.pem in '%s', for the Docker API",
						 site->docker_cert_path);
		options.cert_file = cert;
		options.key_file = key;
		/* Without one the system's authorities count. */
		options.ca_file = access(ca, R_OK) == 0 ? ca : NULL;
	}
	return triton_http_new(&options, &site->docker, err);
}

int triton_site_docker(struct triton_site *site, struct triton_docker *ret, struct nomad_error **err)
{
	bool known;
	int r = 0;

	pthread_mutex_lock(&site->lock);
	known = site->docker_url != NULL;
	pthread_mutex_unlock(&site->lock);
	if (!known)
		r = ask_docker_url(site, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&site->lock);
	if (!site->docker)
		r = connect_docker(site, err);
	pthread_mutex_unlock(&site->lock);
	if (r >= 0)
		*ret = (struct triton_docker){ .http = site->docker, .retry_ms = RETRY_MS };
	return r;
}

int triton_site_sleep(struct triton_site *site, int64_t ms, struct nomad_error **err)
{
	if (triton_budget_sleep(&site->budget, ms) < 0)
		return nomad_error_set(err, ESHUTDOWN, "the plugin is being shut down");
	return 0;
}
