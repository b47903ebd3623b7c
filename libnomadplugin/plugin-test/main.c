/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad-plugin-test: plays Nomad's client to a driver plugin and says, as TAP,
 * what it does otherwise than Nomad expects.  Its task has to run until it is
 * stopped.  Facts of the protocol: Nomad's plugins/drivers and client/. */
#include <ctype.h>
#include <getopt.h>
#include <signal.h>
#include <unistd.h>

#include "base/tree.h"
#include "cli/load.h"
#include "plugin-test/test.h"

/* ---- Handshake, schema, configuration ---- */

static void check_handshake(void)
{
	int status;

	if (host_launch(&t.host, false) < 0)
		bail("the plugin cannot be executed");
	check(strncmp(t.host.line, "1|", 2) != 0, "without Nomad's cookie there is no handshake");
	host_kill(&t.host);
	launch();
	check(true, "the handshake is understood");
	disconnect();
	check(connect_plugin(), "a second connection is possible");
	check(!host_ends(&t.host, 0, &status), "the plugin outlives a lost connection");
}

static void check_base(void)
{
	Pb__PluginInfoRequest info = PB__PLUGIN_INFO_REQUEST__INIT;
	Pb__ConfigSchemaRequest schema = PB__CONFIG_SCHEMA_REQUEST__INIT;
	Pb__PluginInfoResponse *who = NULL;
	bool version = false;

	if (CALL(BASE "PluginInfo", &info, plugin_info_response, &who) != GRPC_STATUS_OK || !who)
		bail(said);
	for (size_t i = 0; i < who->n_plugin_api_versions; i++)
		version |= strcmp(who->plugin_api_versions[i] + (who->plugin_api_versions[i][0] == 'v'), "0.1.0") == 0;
	check(who->type == PB__PLUGIN_TYPE__DRIVER && version && *who->name &&
		      isdigit((unsigned char)who->plugin_version[who->plugin_version[0] == 'v']),
	      "PluginInfo: a driver of interface v0.1.0, with a name and a version");
	t.name = strdup(who->name);
	nomad__message_free(&who->base);
	check(CALL(BASE "ConfigSchema", &schema, config_schema_response, &t.schema) == GRPC_STATUS_OK, "ConfigSchema");
	if (t.schema && t.schema->spec)
		check(!config_spec_fault(t.schema->spec, 0), "Nomad can use the schema of the plugin block");
}

static void make_plugin_config(void)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	json_t *config = t.config_path ? nomad__load_config(t.config_path, t.name, &err) : json_object();
	const Pb__Spec *spec = t.schema ? t.schema->spec : NULL;

	if (!config)
		bail(nomad_error_message(err));
	for (size_t i = 0; spec && spec->block_case == PB__SPEC__BLOCK_OBJECT && i < spec->object->n_attributes; i++)
		if (strcmp(spec->object->attributes[i]->key, "state_dir") == 0 && !json_object_get(config, "state_dir"))
			json_object_set_new(config, "state_dir", json_string(t.dir));
	if (spec && config_pack(spec, config, &t.plugin_config, &t.plugin_config_size, &err) < 0)
		bail(nomad_error_message(err));
	json_decref(config);
}

/* The second launch of an agent: it only validates. */
static void check_trial(void)
{
	if (t.schema && t.schema->spec)
		check(set_config(false) == GRPC_STATUS_OK && set_config(false) == GRPC_STATUS_OK,
		      "SetConfig in a trial launch, twice: %s", said);
	check(!host_said_more(&t.host), "stdout has only the handshake");
	check(shut_down(), "GRPCController.Shutdown ends the process within 2 s, with status 0");
}

static void check_streams(void)
{
	Pb__FingerprintRequest look = PB__FINGERPRINT_REQUEST__INIT;
	Pb__TaskEventsRequest events = PB__TASK_EVENTS_REQUEST__INIT;
	Pb__FingerprintResponse *fp;
	struct rpc rpc, rpc2;

	stream_open(&rpc, DRIVER "Fingerprint", &look);
	stream_open(&rpc2, DRIVER "TaskEvents", &events);
	fp = rpc_receive_for(&rpc, &pb__fingerprint_response__descriptor, STREAM_MS);
	check(fp != NULL, "Fingerprint answers at once");
	check(fp && fp->health == PB__FINGERPRINT_RESPONSE__HEALTH_STATE__HEALTHY && !*fp->err,
	      "the driver is healthy: %s", fp ? fp->health_description : "");
	if (fp)
		nomad__message_free(&fp->base);
	(void)rpc_wait(&rpc2, STATUS, 1000);
	check(!(rpc.done & STATUS) && !rpc_wait(&rpc, STATUS, 10), "Fingerprint stays open (Nomad loops if it ends)");
	check(!(rpc2.done & STATUS), "TaskEvents stays open");
	rpc_close(&rpc);
	rpc_close(&rpc2);
}

static void check_driver(void)
{
	Pb__TaskConfigSchemaRequest schema = PB__TASK_CONFIG_SCHEMA_REQUEST__INIT;
	Pb__CapabilitiesRequest what = PB__CAPABILITIES_REQUEST__INIT;
	Pb__CapabilitiesResponse *caps = NULL;
	const char *fault;

	(void)CALL(DRIVER "TaskConfigSchema", &schema, task_config_schema_response, &t.task_schema);
	if (!t.task_schema || !t.task_schema->spec)
		bail("TaskConfigSchema returns no schema: no allocation can start");
	fault = config_spec_fault(t.task_schema->spec, 0);
	check(!fault, "Nomad can use the schema of tasks%s%s", fault ? ": " : "", fault ? fault : "");
	(void)CALL(DRIVER "Capabilities", &what, capabilities_response, &caps);
	check(caps && caps->capabilities, "Capabilities");
	if (caps && caps->capabilities)
		t.caps = *caps->capabilities; /* numbers only are used */
	if (caps)
		nomad__message_free(&caps->base);
}

/* ---- */

static int usage(const char *name)
{
	fprintf(stderr, "usage: %s [--config FILE] [--verbose] PLUGIN JOB\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
						 { "verbose", no_argument, NULL, 'v' },
						 { 0 } };
	char dir[] = "/tmp/nomad-plugin-test-XXXXXX";
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return usage(argv[0]);
		if (c == 'c')
			t.config_path = optarg;
		t.host.verbose |= c == 'v';
	}
	if (argc - optind != 2 || !mkdtemp(dir))
		return usage(argv[0]);
	t.host.exe = argv[optind];
	t.job_path = argv[optind + 1];
	t.dir = dir;
	t.alloc.stdout_fd = t.alloc.stderr_fd = -1;
	(void)signal(SIGPIPE, SIG_IGN);
	grpc_init();
	check_handshake();
	check_base();
	make_plugin_config();
	check_trial();
	begin();
	check_streams();
	check_driver();
	check_task();
	nomad__alloc_done(&t.alloc);
	(void)nomad__remove_tree(dir);
	printf("1..%d\n", t.ran);
	return t.failed != 0;
}
