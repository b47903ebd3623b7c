/* SPDX-License-Identifier: MPL-2.0
 *
 * The services of every go-plugin process (controller, stdio, broker, health)
 * and Nomad's BasePlugin. */
#include "wire/handlers.h"

#include <errno.h>
#include <string.h>

#include "wire/spec.h"

#define API_VERSION "v0.1.0"

/* ---- go-plugin ---- */

void nomad__serve_shutdown_process(struct nomad__call *call, const ProtobufCMessage *request)
{
	Pb__Empty answer = PB__EMPTY__INIT;

	(void)request;
	nomad__call_then_shutdown(call);
	nomad__call_reply(call, &answer.base);
}

/* Held open until the host ends it.  Nothing is sent: our stdout is /dev/null,
 * and the host reads stderr from its pipe. */
void nomad__serve_stdio(struct nomad__call *call, const ProtobufCMessage *request)
{
	(void)call;
	(void)request;
}

/* Held open too: Nomad's drivers do not use the broker. */
void nomad__serve_broker(struct nomad__call *call, const ProtobufCMessage *request)
{
	(void)call;
	(void)request;
}

bool nomad__serve_broker_more(struct nomad__call *call, const ProtobufCMessage *request)
{
	if (!request)
		nomad__call_finish(call);
	return true;
}

/* ---- Health ---- */

static bool is_served(const char *service)
{
	return !*service || strcmp(service, "plugin") == 0;
}

void nomad__serve_health_check(struct nomad__call *call, const ProtobufCMessage *request)
{
	const Pb__HealthCheckRequest *check = (const Pb__HealthCheckRequest *)request;
	Pb__HealthCheckResponse answer = PB__HEALTH_CHECK_RESPONSE__INIT;

	if (!is_served(check->service)) {
		nomad__call_fail_status(call, GRPC_STATUS_NOT_FOUND, "unknown service");
		return;
	}
	answer.status = PB__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
	nomad__call_reply(call, &answer.base);
}

/* A stream reports an unknown service as a status and stays open. */
void nomad__serve_health_watch(struct nomad__call *call, const ProtobufCMessage *request)
{
	const Pb__HealthCheckRequest *check = (const Pb__HealthCheckRequest *)request;
	Pb__HealthCheckResponse answer = PB__HEALTH_CHECK_RESPONSE__INIT;

	answer.status = is_served(check->service) ? PB__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
						  : PB__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
	nomad__call_send(call, &answer.base, NOMAD__SEND_LATEST);
}

/* ---- BasePlugin ---- */

void nomad__serve_plugin_info(struct nomad__call *call, const ProtobufCMessage *request)
{
	const struct nomad_driver *driver = nomad__plugin_driver(nomad__call_plugin(call));
	char *versions[] = { (char *)API_VERSION };
	Pb__PluginInfoResponse answer = PB__PLUGIN_INFO_RESPONSE__INIT;

	(void)request;
	answer.type = PB__PLUGIN_TYPE__DRIVER;
	answer.plugin_api_versions = versions;
	answer.n_plugin_api_versions = 1;
	answer.plugin_version = (char *)driver->version;
	answer.name = (char *)driver->name;
	nomad__call_reply(call, &answer.base);
}

/* The caller frees both, the message first: it shares the tree's strings. */
static int make_spec(const struct nomad_schema *schema, struct nomad__spec **ret_tree, Pb__Spec **ret_spec,
		     struct nomad_error **err)
{
	struct nomad__spec *tree = nomad__spec_new(schema, err);
	int r;

	if (!tree)
		return -nomad_error_code(*err);
	r = nomad__spec_to_message(tree, ret_spec, err);
	if (r < 0) {
		nomad__spec_free(tree);
		return r;
	}
	*ret_tree = tree;
	return 0;
}

void nomad__serve_config_schema(struct nomad__call *call, const ProtobufCMessage *request)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	Pb__ConfigSchemaResponse answer = PB__CONFIG_SCHEMA_RESPONSE__INIT;
	struct nomad__spec *tree = NULL;

	(void)request;
	if (make_spec(nomad__plugin_config_schema(nomad__call_plugin(call)), &tree, &answer.spec, &err) < 0) {
		nomad__call_fail(call, err);
		return;
	}
	nomad__call_reply(call, &answer.base);
	nomad__spec_message_free(answer.spec);
	nomad__spec_free(tree);
}

void nomad__serve_task_config_schema(struct nomad__call *call, const ProtobufCMessage *request)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	Pb__TaskConfigSchemaResponse answer = PB__TASK_CONFIG_SCHEMA_RESPONSE__INIT;
	struct nomad__spec *tree = NULL;

	(void)request;
	if (make_spec(nomad__plugin_driver(nomad__call_plugin(call))->task_schema, &tree, &answer.spec, &err) < 0) {
		nomad__call_fail(call, err);
		return;
	}
	nomad__call_reply(call, &answer.base);
	nomad__spec_message_free(answer.spec);
	nomad__spec_free(tree);
}

/* The node's MHz are the sum of the cores' speeds, unless the operator set
 * a number. */
static void node_facts(const Pb__NomadDriverConfig *config, struct nomad__node *node)
{
	const Pb__ClientTopology *topology = config->topology;

	*node = (struct nomad__node){ .min_port = config->clientminport, .max_port = config->clientmaxport };
	if (!topology)
		return;
	node->cores = topology->n_cores;
	for (size_t i = 0; i < topology->n_cores; i++) {
		const Pb__ClientTopologyCore *core = topology->cores[i];

		node->total_compute_mhz += core->base_speed  ? core->base_speed
					   : core->max_speed ? core->max_speed
							     : core->guess_speed;
	}
	if (topology->override_total_compute > 0)
		node->total_compute_mhz = topology->override_total_compute;
}

void nomad__serve_set_config(struct nomad__call *call, const ProtobufCMessage *request)
{
	const Pb__SetConfigRequest *set = (const Pb__SetConfigRequest *)request;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	Pb__SetConfigResponse answer = PB__SET_CONFIG_RESPONSE__INIT;
	struct nomad__node node, *real = NULL;

	if (set->nomad_config && set->nomad_config->driver) {
		node_facts(set->nomad_config->driver, &node);
		real = &node;
	}
	if (nomad__plugin_configure(nomad__call_plugin(call), set->msgpack_config.data, set->msgpack_config.len, real,
				    &err) < 0)
		nomad__call_fail(call, err);
	else
		nomad__call_reply(call, &answer.base);
}
