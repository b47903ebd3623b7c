/* SPDX-License-Identifier: MPL-2.0 */
/* The agent's own program asks, as it knows TLS and every form of address: `nomad operator api PATH`, with the node's
 * secret for a token, which the servers accept for the node itself. */
#include "health.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agentjson.h"
#include "cluster.h"
#include "util.h"

#define AGENT_JSON "/run/nomad/agent.json"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define ANSWER_MAX (4u << 20)

char *health_mark(const char *agent_json, bool *ret_can_ask)
{
	json_t *agent = json_loads(agent_json, 0, NULL), *client = agent_section(agent, "client");
	char boot_id[64] = "", *text;

	*ret_can_ask = agent_is_enabled(agent, "client") || agent_is_enabled(agent, "server");
	util_read_line(BOOT_ID, boot_id, sizeof(boot_id));
	if (agent_is_enabled(agent, "client")) {
		if (!agent_section(client, "meta"))
			json_object_set_new(client, "meta", json_object());
		json_object_set_new(agent_section(client, "meta"), HEALTH_META, json_string(boot_id));
	}
	text = json_dumps(agent, JSON_INDENT(2) | JSON_SORT_KEYS);
	json_decref(agent);
	return text;
}

bool health_is_registered(const json_t *node, const char *boot_id)
{
	return strcmp(agent_text(node, "Status", ""), "ready") == 0 &&
	       strcmp(agent_text(json_object_get(node, "Meta"), HEALTH_META, ""), boot_id) == 0;
}

bool health_is_own_drain(const json_t *node)
{
	const json_t *drain = json_object_get(node, "LastDrain"), *events = json_object_get(node, "Events");
	char self[128];
	size_t i;

	snprintf(self, sizeof(self), "client:%s", agent_text(node, "ID", ""));
	if (strcmp(agent_text(node, "SchedulingEligibility", ""), "ineligible") != 0 ||
	    strcmp(agent_text(drain, "AccessorID", ""), self) != 0 ||
	    strcmp(agent_text(json_object_get(drain, "Meta"), "message", ""), "shutting down") != 0)
		return false;
	/* An operator's last word counts, before our drain or after it.  One who says "ineligible" of a node that is so
	 * already leaves no trace at the servers. */
	for (i = json_array_size(events); i-- > 0;) {
		const char *message = agent_text(json_array_get(events, i), "Message", "");

		if (strncmp(message, "Node marked as ", 15) == 0)
			return strncmp(message + 15, "ineligible", 10) != 0;
	}
	return true;
}

/* ---- The command ------------------------------------------------------------------ */

static void set_environment(const json_t *agent)
{
	const json_t *tls = agent_section(agent, "tls");
	const char *host = agent_text(agent_section(agent, "addresses"), "http", ""),
		   *bind = agent_text(agent, "bind_addr", "");
	json_int_t port = json_integer_value(json_object_get(agent_section(agent, "ports"), "http"));
	bool is_tls = json_is_true(json_object_get(tls, "http"));
	char url[128];

	host = host[0] ? host : bind;
	/* All addresses, a list, or a template: loopback is what the agent listens on in all but odd cases. */
	if (!host[0] || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 || strpbrk(host, " {"))
		host = "127.0.0.1";
	snprintf(url, sizeof(url), "http%s://%s%s%s:%lld", is_tls ? "s" : "", strchr(host, ':') ? "[" : "", host,
		 strchr(host, ':') ? "]" : "", port ? (long long)port : 4646);
	setenv("NOMAD_ADDR", url, 1);
	if (is_tls) {
		setenv("NOMAD_CACERT", agent_text(tls, "ca_file", ""), 1);
		setenv("NOMAD_CLIENT_CERT", agent_text(tls, "cert_file", ""), 1);
		setenv("NOMAD_CLIENT_KEY", agent_text(tls, "key_file", ""), 1);
		/* What is on the certificate of a client and of a server, in that order. */
		snprintf(url, sizeof(url), "%s.%s.nomad", agent_is_enabled(agent, "server") ? "server" : "client",
			 agent_text(agent, "region", "global"));
		setenv("NOMAD_TLS_SERVER_NAME", url, 1);
	}
}

/* The answer, or NULL; the caller frees it.  With a body the request is a PUT. */
static char *ask_text(const char *program, const char *path, const char *body)
{
	const char *get[] = { program, "operator", "api", path, NULL };
	const char *put[] = { program, "operator", "api", "-X", "PUT", path, NULL };
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, status = -1;
	size_t len = 0;
	char *text;
	ssize_t n;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		return NULL;
	pid = fork();
	if (pid == 0) {
		/* A pipe on its stdin makes a request with a body of what was to be a GET. */
		if (body)
			dup2(in[0], 0);
		dup2(out[1], 1);
		close(2);
		open("/dev/null", O_WRONLY);
		execv(program, (char **)(uintptr_t)(body ? put : get));
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	if (body && nomad_write_all(in[1], body, strlen(body)) < 0)
		status = -1;
	close(in[1]);
	text = malloc(ANSWER_MAX + 1);
	while (text && len < ANSWER_MAX && (n = read(out[0], text + len, ANSWER_MAX - len)) > 0)
		len += (size_t)n;
	close(out[0]);
	if (text)
		text[len] = '\0';
	if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
		return text;
	free(text);
	return NULL;
}

static json_t *ask(const char *program, const char *path, const char *body)
{
	char *text = ask_text(program, path, body);
	json_t *answer = text ? json_loads(text, 0, NULL) : NULL;

	free(text);
	return answer;
}

static bool check_client(const char *program, const json_t *agent, const char *boot_id)
{
	char path[256], id[64], secret[64], drain[128];
	json_t *node, *answer;
	bool is_registered;

	snprintf(path, sizeof(path), "%s/client/client-id", agent_text(agent, "data_dir", ""));
	if (util_read_line(path, id, sizeof(id)) <= 0)
		return false;
	snprintf(path, sizeof(path), "%s/client/secret-id", agent_text(agent, "data_dir", ""));
	if (util_read_line(path, secret, sizeof(secret)) <= 0)
		return false;
	setenv("NOMAD_TOKEN", secret, 1);
	snprintf(path, sizeof(path), "/v1/node/%s", id);
	node = ask(program, path, NULL);
	is_registered = health_is_registered(node, boot_id);
	if (is_registered && health_is_own_drain(node)) {
		snprintf(drain, sizeof(drain), "/v1/node/%s/drain", id);
		answer = ask(program, drain, "{\"DrainSpec\":null,\"MarkEligible\":true}");
		printf("%s\n", answer ? "the node takes work again: it had drained itself at the last shutdown"
				      : "cannot end the drain of the last shutdown; trying again");
		is_registered = answer != NULL;
		json_decref(answer);
	}
	json_decref(node);
	return is_registered;
}

static bool check_server(const char *program)
{
	json_t *answer = ask(program, "/v1/agent/health?type=server", NULL);
	bool ok = json_is_true(json_object_get(json_object_get(answer, "server"), "ok"));

	json_decref(answer);
	return ok;
}

/* All servers of a cluster try, with the same token: one of them is the first. */
static bool bootstrap_acls(const char *program)
{
	char token[64], body[128], *text;
	json_t *made;
	bool is_first, ok;

	if (util_read_line(CLUSTER_TOKEN, token, sizeof(token)) <= 0)
		return true;
	snprintf(body, sizeof(body), "{\"BootstrapSecret\":\"%s\"}", token);
	text = ask_text(program, "/v1/acl/bootstrap", body);
	made = text ? json_loads(text, 0, NULL) : NULL;
	is_first = json_object_get(made, "AccessorID") != NULL;
	ok = is_first || (text && strstr(text, "already done"));
	if (is_first)
		printf("the cluster has its first ACL token now\n");
	else if (!ok)
		printf("bootstrap the ACLs: %.200s; trying again\n", text ? text : "no answer");
	json_decref(made);
	free(text);
	return ok;
}

int health_main(int argc, char **argv)
{
	json_t *agent = json_load_file(AGENT_JSON, 0, NULL);
	char boot_id[64];
	bool ok;

	if (argc != 2 || !agent || util_read_line(BOOT_ID, boot_id, sizeof(boot_id)) <= 0)
		return 2;
	set_environment(agent);
	ok = agent_is_enabled(agent, "client") ? check_client(argv[1], agent, boot_id) : check_server(argv[1]);
	if (ok && agent_is_enabled(agent, "server"))
		ok = bootstrap_acls(argv[1]);
	json_decref(agent);
	return ok ? 0 : 1;
}
