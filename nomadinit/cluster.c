/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agentjson.h"
#include "helper.h"
#include "log.h"
#include "loop.h"
#include "util.h"

#define AGENT_JSON "/run/nomad/agent.json"
#define SECRET "/run/nomad/cluster-secret"
#define PROGRAM "/sbin/nomadinit-keys"
#define KEYS_MS 60000
#define RETRY_MS 10000

static struct {
	const struct config *config;
	void (*done)(void);
	bool is_ready, is_busy;
	struct loop_timer retry;
} cluster;

int cluster_fill(json_t *agent)
{
	json_t *defaults = json_pack("{s:{s:b}, s:{s:b, s:b, s:b, s:b, s:s, s:s, s:s}}", "acl", "enabled", 1, "tls",
				     "http", 1, "rpc", 1, "verify_server_hostname", 1, "verify_https_client", 1,
				     "ca_file", CLUSTER_DIR "/ca.pem", "cert_file", CLUSTER_DIR "/cert.pem", "key_file",
				     CLUSTER_DIR "/key.pem");
	const char *name;
	json_t *section;
	int r = defaults ? 0 : -ENOMEM;

	json_object_foreach(defaults, name, section)
	{
		json_t *given = agent_section(agent, name);

		if (!given)
			r = json_object_set(agent, name, section);
		else if (json_is_object(given))
			r = json_object_update_missing(given, section);
		if (r < 0)
			break;
	}
	json_decref(defaults);
	return r < 0 ? -ENOMEM : 0;
}

static void make(void *data);

static void on_made(void *data, int status)
{
	(void)data;
	cluster.is_busy = false;
	unlink(SECRET);
	if (status == 0) {
		cluster.is_ready = true;
		cluster.done();
		return;
	}
	log_error("make the cluster's keys: '" PROGRAM "': %s; trying again in %d s",
		  status < 0	  ? strerror(-status)
		  : status == 127 ? "not in the image, which was built without mbed TLS"
				  : "failed",
		  RETRY_MS / 1000);
	cluster.retry.fn = make;
	loop_timer_set(&cluster.retry, RETRY_MS);
}

static void make(void *data)
{
	json_t *agent = json_load_file(AGENT_JSON, 0, NULL);
	bool is_server = agent_is_enabled(agent, "server");
	const char *secret = cluster.config->cluster.secret;
	char host[65] = "";
	int r;

	(void)data;
	gethostname(host, sizeof(host) - 1);
	const char *const argv[] = { PROGRAM,
				     "node",
				     SECRET,
				     CLUSTER_DIR,
				     agent_text(agent, "region", "global"),
				     host,
				     is_server ? "server" : "client",
				     is_server ? agent_text(agent, "data_dir", "") : NULL,
				     NULL };

	cluster.is_busy = true;
	r = util_replace_file(SECRET, secret, strlen(secret), 0600);
	if (r == 0)
		r = helper_run(argv, KEYS_MS, on_made, NULL);
	if (r < 0)
		on_made(NULL, r);
	json_decref(agent);
}

void cluster_make_keys(const struct config *c, void (*done)(void))
{
	cluster.config = c;
	cluster.done = done;
	if (!c->cluster.secret) {
		cluster.is_ready = true;
		done();
	} else if (!cluster.is_busy) {
		loop_timer_stop(&cluster.retry);
		make(NULL);
	}
}

bool cluster_is_ready(void)
{
	return cluster.is_ready;
}
