/* SPDX-License-Identifier: MPL-2.0
 *
 * What is sent to the Docker API: the body of a create request, the registry's
 * credentials.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "docker.h"
#include "text.h"

/* All setters note a failure in *bad: text that is no UTF-8, or no memory. */
static void set_text(json_t *to, const char *key, const char *value, int *bad)
{
	if (triton_given(value))
		*bad |= json_object_set_new(to, key, json_string(value));
}

static void set_bool(json_t *to, const char *key, bool value, int *bad)
{
	*bad |= json_object_set_new(to, key, json_boolean(value));
}

static void set_list(json_t *to, const char *key, char *const *list, int *bad)
{
	json_t *array;

	if (!list || !*list)
		return;
	array = json_array();
	for (size_t i = 0; list[i]; i++)
		*bad |= json_array_append_new(array, json_string(list[i]));
	*bad |= json_object_set_new(to, key, array);
}

static void set_map(json_t *to, const char *key, const struct nomad_map *map, int *bad)
{
	json_t *object = json_object();

	for (size_t i = 0; i < map->count; i++)
		*bad |= json_object_set_new(object, map->pairs[i].key, json_string(map->pairs[i].value));
	*bad |= json_object_set_new(to, key, object);
}

static void add_ports(json_t *bindings, json_t *exposed, char *const *ports, const char *protocol, int *bad)
{
	for (size_t i = 0; ports && ports[i]; i++) {
		NOMAD_AUTO_FREE char *key = nomad_strdupf("%s/%s", ports[i], protocol);

		if (!key) {
			*bad = -1;
			return;
		}
		*bad |= json_object_set_new(bindings, key,
					    json_pack("[{s:s, s:s}]", "HostIp", "0.0.0.0", "HostPort", ports[i]));
		*bad |= json_object_set_new(exposed, key, json_object());
	}
}

static void set_restart(json_t *host, const char *policy, int *bad)
{
	const char *name = "no", *colon = triton_given(policy) ? strchr(policy, ':') : NULL;
	json_int_t most = 0;

	if (triton_given(policy)) {
		if (strcasecmp(policy, "always") == 0)
			name = "always";
		else if (strcasecmp(policy, "unless-stopped") == 0)
			name = "unless-stopped"; /* sdc-docker drops it, and restarts nothing */
		else if (strncasecmp(policy, "on", 2) == 0)
			name = "on-failure";
	}
	if (strcmp(name, "on-failure") == 0)
		most = colon ? strtoll(colon + 1, NULL, 10) : 100;
	*bad |= json_object_set_new(host, "RestartPolicy",
				    json_pack("{s:s, s:I}", "Name", name, "MaximumRetryCount", most));
}

static void set_host(json_t *host, const struct triton_docker_spec *spec, json_t *exposed, int *bad)
{
	const struct triton_docker_task *task = spec->task;
	const struct triton_volume *volumes = spec->volumes->items;

	set_text(host, "NetworkMode", task->private_network, bad);
	set_list(host, "Dns", task->dns, bad);
	set_list(host, "DnsSearch", task->dns_search, bad);
	set_list(host, "ExtraHosts", task->extra_hosts, bad);
	set_restart(host, task->restart_policy, bad);
	if (task->ports) {
		json_t *bindings = json_object();

		add_ports(bindings, exposed, task->ports->tcp, "tcp", bad);
		add_ports(bindings, exposed, task->ports->udp, "udp", bad);
		*bad |= json_object_set_new(host, "PortBindings", bindings);
		set_bool(host, "PublishAllPorts", task->ports->publish_all, bad);
	}
	if (task->log_config && triton_given(task->log_config->type)) {
		json_t *log = json_object();

		set_text(log, "Type", task->log_config->type, bad);
		set_map(log, "Config", &task->log_config->config, bad);
		*bad |= json_object_set_new(host, "LogConfig", log);
	}
	if (spec->volumes->count) {
		json_t *binds = json_array();

		for (size_t i = 0; i < spec->volumes->count; i++)
			*bad |= json_array_append_new(
				binds, json_sprintf("%s:%s:%s", volumes[i].name, volumes[i].mountpoint,
						    triton_given(volumes[i].mode) ? volumes[i].mode : "rw"));
		*bad |= json_object_set_new(host, "Binds", binds);
	}
}

static void set_env(json_t *body, const struct triton_docker_spec *spec, int *bad)
{
	json_t *env = json_array();

	for (size_t i = 0; i < spec->env->count; i++)
		*bad |= json_array_append_new(
			env, json_sprintf("%s=%s", spec->env->pairs[i].key, spec->env->pairs[i].value));
	for (size_t i = 0; spec->affinity && spec->affinity[i]; i++)
		*bad |= json_array_append_new(
			env, json_sprintf("%s%s", strncmp(spec->affinity[i], "affinity:", 9) ? "affinity:" : "",
					  spec->affinity[i]));
	*bad |= json_object_set_new(body, "Env", env);
}

static void set_labels(json_t *body, const struct triton_docker_spec *spec, int *bad)
{
	json_t *labels = json_object();

	for (size_t i = 0; i < spec->task->labels.count; i++)
		*bad |= json_object_set_new(labels, spec->task->labels.pairs[i].key,
					    json_string(spec->task->labels.pairs[i].value));
	/* What the driver finds its own by; it wins. */
	set_text(labels, "com.joyent.package", spec->package, bad);
	set_text(labels, "triton.cns.services", spec->cns, bad);
	set_text(labels, "triton.network.public", spec->task->public_network, bad);
	set_text(labels, "nomad.task", spec->task_id, bad);
	set_text(labels, "nomad.alloc", spec->alloc_id, bad);
	set_text(labels, "nomad.driver", "triton", bad);
	set_text(labels, "nomad.node", spec->node_id, bad);
	set_text(labels, "nomad.owner", spec->owner, bad);
	set_text(labels, "nomad.cluster", spec->cluster, bad);
	*bad |= json_object_set_new(body, "Labels", labels);
}

char *triton_docker_reference(const struct triton_docker_image *image)
{
	if (triton_given(image->digest))
		return nomad_strdupf("%s@%s", image->name, image->digest);
	return nomad_strdupf("%s:%s", image->name, triton_given(image->tag) ? image->tag : "latest");
}

int triton_docker_body(const struct triton_docker_spec *spec, json_t **ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *image = triton_docker_reference(spec->task->image);
	const struct triton_docker_task *task = spec->task;
	json_t *body = json_object(), *host = json_object(), *exposed = json_object();
	int bad = !body || !host || !exposed || !image ? -1 : 0;

	if (!bad) {
		set_text(body, "Image", image, &bad);
		set_list(body, "Cmd", task->cmd, &bad);
		set_list(body, "Entrypoint", task->entrypoint, &bad);
		set_bool(body, "OpenStdin", task->openstdin, &bad);
		set_bool(body, "StdinOnce", task->stdinonce, &bad);
		set_bool(body, "Tty", task->tty, &bad);
		set_text(body, "WorkingDir", task->workingdir, &bad);
		set_text(body, "Hostname", task->hostname, &bad);
		set_text(body, "Domainname", task->domain_name, &bad);
		set_text(body, "User", task->user, &bad);
		set_env(body, spec, &bad);
		set_labels(body, spec, &bad);
		set_host(host, spec, exposed, &bad);
		if (json_object_size(exposed))
			bad |= json_object_set(body, "ExposedPorts", exposed);
		bad |= json_object_set(body, "HostConfig", host);
	}
	json_decref(host);
	json_decref(exposed);
	if (bad) {
		json_decref(body);
		return nomad_error_set(err, EINVAL,
				       "describe the container: an option or variable of the task is no UTF-8");
	}
	*ret = body;
	return 0;
}

char *triton_docker_auth(const struct triton_auth *auth)
{
	json_t *json = json_object();
	char *text = NULL, *out = NULL;
	int bad = !json;

	set_text(json, "username", auth->username, &bad);
	set_text(json, "password", auth->password, &bad);
	set_text(json, "email", auth->email, &bad);
	set_text(json, "serveraddress", auth->server_address, &bad);
	if (!bad)
		text = json_dumps(json, JSON_COMPACT);
	if (text && (out = malloc(strlen(text) * 4 / 3 + 8))) {
		EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)text, (int)strlen(text));
		/* The alphabet for URLs, which Docker's own client uses. */
		for (char *p = out; *p; p++)
			*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	}
	if (text)
		OPENSSL_cleanse(text, strlen(text));
	free(text);
	json_decref(json);
	return out;
}
