/* SPDX-License-Identifier: MPL-2.0
 *
 * Every method once, over a real socket, by gRPC's own client, against a
 * plugin process with a core of tests (smoke_core.h).  What Nomad makes of
 * the answers is tested with Nomad's own code elsewhere (test/lib). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "wire/smoke_client.h"
#include "wire/smoke_core.h"
#include "wire/wire.h"

static const struct nomad_driver fake_driver = {
	.name = "fake",
	.version = "0.1.0",
	.capabilities = NOMAD_CAN_SIGNAL | NOMAD_CAN_EXEC | NOMAD_NEEDS_NETWORK | NOMAD_NO_VOLUMES | NOMAD_OWN_LOGS,
	.fs_isolation = NOMAD_FS_IMAGE,
	.task_schema = &fake_schema,
};

static struct server server;

#define assert_status(expected, ...) assert_int_equal(GRPC_STATUS_##expected, (__VA_ARGS__))

static int start_server(void **state)
{
	(void)state;
	server_start(&server);
	return 0;
}

static grpc_status_code shut_down(struct server *s)
{
	Pb__Empty request = PB__EMPTY__INIT;
	struct rpc rpc;
	grpc_status_code code =
		unary(s, &rpc, "/plugin.GRPCController/Shutdown", &request, &pb__empty__descriptor, NULL);

	rpc_close(&rpc);
	return code;
}

static int stop_server(void **state)
{
	int status;

	(void)state;
	assert_status(OK, shut_down(&server));
	status = server_wait(&server);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(access(server.path, F_OK), -1);
	return 0;
}

/* ---- Helpers for tasks ---- */

static grpc_status_code start_task(const char *id, const char *config, struct rpc *rpc, Pb__StartTaskResponse **ret)
{
	Pb__StartTaskRequest request = PB__START_TASK_REQUEST__INIT;
	Pb__TaskConfig task = PB__TASK_CONFIG__INIT;

	task.id = (char *)id;
	task.msgpack_driver_config.data = (uint8_t *)config;
	task.msgpack_driver_config.len = strlen(config);
	request.task = &task;
	return unary(&server, rpc, DRIVER "StartTask", &request, &pb__start_task_response__descriptor, ret);
}

static void must_start(const char *id)
{
	struct rpc rpc;

	assert_status(OK, start_task(id, "", &rpc, NULL));
	rpc_close(&rpc);
}

static grpc_status_code stop_task(const char *id, const char *signal)
{
	Pb__StopTaskRequest request = PB__STOP_TASK_REQUEST__INIT;
	struct rpc rpc;
	grpc_status_code code;

	request.task_id = (char *)id;
	request.signal = (char *)signal;
	code = unary(&server, &rpc, DRIVER "StopTask", &request, &pb__stop_task_response__descriptor, NULL);
	rpc_close(&rpc);
	return code;
}

static grpc_status_code signal_task(const char *id, const char *signal)
{
	Pb__SignalTaskRequest request = PB__SIGNAL_TASK_REQUEST__INIT;
	struct rpc rpc;
	grpc_status_code code;

	request.task_id = (char *)id;
	request.signal = (char *)signal;
	code = unary(&server, &rpc, DRIVER "SignalTask", &request, &pb__signal_task_response__descriptor, NULL);
	rpc_close(&rpc);
	return code;
}

static void wait_open(struct rpc *rpc, const char *id, int64_t deadline_ms)
{
	Pb__WaitTaskRequest request = PB__WAIT_TASK_REQUEST__INIT;

	request.task_id = (char *)id;
	rpc_open(rpc, server.channel, DRIVER "WaitTask", deadline_ms);
	rpc_send(rpc, &request.base, true);
}

/* A fact that smoke_core.h tells. */
static long fact(const char *key)
{
	Pb__InspectTaskRequest request = PB__INSPECT_TASK_REQUEST__INIT;
	Pb__InspectTaskResponse *answer;
	struct rpc rpc;
	long value = -2;

	request.task_id = (char *)"facts";
	assert_status(OK, unary(&server, &rpc, DRIVER "InspectTask", &request, &pb__inspect_task_response__descriptor,
				&answer));
	for (size_t i = 0; i < answer->driver->n_attributes; i++)
		if (strcmp(answer->driver->attributes[i]->key, key) == 0)
			value = atol(answer->driver->attributes[i]->value);
	nomad__message_free(&answer->base);
	rpc_close(&rpc);
	return value;
}

static void wait_for_fact(const char *key, long value)
{
	for (int i = 0; i < TIMEOUT_S * 50 && fact(key) != value; i++)
		usleep(20000);
	assert_int_equal(fact(key), value);
}

/* ---- Base, health, go-plugin ---- */

static void base_plugin_tells_who_it_is(void **state)
{
	Pb__PluginInfoRequest info = PB__PLUGIN_INFO_REQUEST__INIT;
	Pb__ConfigSchemaRequest schema = PB__CONFIG_SCHEMA_REQUEST__INIT;
	Pb__SetConfigRequest set = PB__SET_CONFIG_REQUEST__INIT;
	Pb__NomadConfig nomad = PB__NOMAD_CONFIG__INIT;
	Pb__NomadDriverConfig driver = PB__NOMAD_DRIVER_CONFIG__INIT;
	Pb__ClientTopology topology = PB__CLIENT_TOPOLOGY__INIT;
	Pb__ClientTopologyCore core = PB__CLIENT_TOPOLOGY_CORE__INIT, *cores[] = { &core, &core };
	Pb__PluginInfoResponse *who;
	Pb__ConfigSchemaResponse *spec;
	struct rpc rpc;

	(void)state;
	assert_status(OK, unary(&server, &rpc, BASE "PluginInfo", &info, &pb__plugin_info_response__descriptor, &who));
	assert_int_equal(who->type, PB__PLUGIN_TYPE__DRIVER);
	assert_string_equal(who->name, "fake");
	assert_string_equal(who->plugin_version, "0.1.0");
	assert_int_equal(who->n_plugin_api_versions, 1);
	assert_string_equal(who->plugin_api_versions[0], "v0.1.0");
	nomad__message_free(&who->base);
	rpc_close(&rpc);

	assert_status(
		OK, unary(&server, &rpc, BASE "ConfigSchema", &schema, &pb__config_schema_response__descriptor, &spec));
	assert_int_equal(spec->spec->block_case, PB__SPEC__BLOCK_OBJECT);
	nomad__message_free(&spec->base);
	rpc_close(&rpc);

	must_start("facts");
	set.plugin_api_version = (char *)"v0.1.0";
	assert_status(OK, unary(&server, &rpc, BASE "SetConfig", &set, &pb__set_config_response__descriptor, NULL));
	rpc_close(&rpc);
	assert_int_equal(fact("cores"), -1);

	core.base_speed = 2000;
	topology.cores = cores;
	topology.n_cores = 2;
	driver.topology = &topology;
	nomad.driver = &driver;
	set.nomad_config = &nomad;
	assert_status(OK, unary(&server, &rpc, BASE "SetConfig", &set, &pb__set_config_response__descriptor, NULL));
	rpc_close(&rpc);
	assert_int_equal(fact("cores"), 2);
	assert_int_equal(fact("mhz"), 4000);

	set.msgpack_config.data = (uint8_t *)"!";
	set.msgpack_config.len = 1;
	assert_status(INVALID_ARGUMENT,
		      unary(&server, &rpc, BASE "SetConfig", &set, &pb__set_config_response__descriptor, NULL));
	assert_string_equal(rpc.text, "option 'x': there is no such option [nd-invalid]");
	rpc_close(&rpc);
}

static void health_knows_its_services(void **state)
{
	Pb__HealthCheckRequest request = PB__HEALTH_CHECK_REQUEST__INIT;
	Pb__HealthCheckResponse *answer;
	const char *const names[] = { "", "plugin" };
	struct rpc rpc;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		request.service = (char *)names[i];
		assert_status(OK, unary(&server, &rpc, "/grpc.health.v1.Health/Check", &request,
					&pb__health_check_response__descriptor, &answer));
		assert_int_equal(answer->status, PB__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING);
		nomad__message_free(&answer->base);
		rpc_close(&rpc);
	}
	request.service = (char *)"other";
	assert_status(NOT_FOUND, unary(&server, &rpc, "/grpc.health.v1.Health/Check", &request,
				       &pb__health_check_response__descriptor, NULL));
	rpc_close(&rpc);

	request.service = (char *)"plugin";
	rpc_open(&rpc, server.channel, "/grpc.health.v1.Health/Watch", TIMEOUT_S * 1000);
	rpc_send(&rpc, &request.base, true);
	answer = rpc_receive(&rpc, &pb__health_check_response__descriptor);
	assert_int_equal(answer->status, PB__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING);
	nomad__message_free(&answer->base);
	assert_null(rpc_receive_for(&rpc, &pb__health_check_response__descriptor, 100));
	rpc_close(&rpc);
}

static void stdio_and_broker_stay_open(void **state)
{
	Pb__Empty empty = PB__EMPTY__INIT;
	Pb__ConnInfo conn = PB__CONN_INFO__INIT;
	struct rpc stdio, broker;

	(void)state;
	rpc_open(&stdio, server.channel, "/plugin.GRPCStdio/StreamStdio", TIMEOUT_S * 1000);
	rpc_send(&stdio, &empty.base, true);
	rpc_open(&broker, server.channel, "/plugin.GRPCBroker/StartStream", TIMEOUT_S * 1000);
	rpc_send(&broker, &conn.base, false);
	rpc_send(&broker, &conn.base, false);
	assert_false(rpc_wait(&stdio, STATUS, 100));
	assert_false(rpc_wait(&broker, STATUS, 100));
	rpc_half_close(&broker);
	assert_status(OK, rpc_status(&broker));
	rpc_cancel(&stdio);
	assert_status(CANCELLED, rpc_status(&stdio));
	rpc_close(&stdio);
	rpc_close(&broker);
	/* An agent that goes has never sent a word. */
	rpc_open(&broker, server.channel, "/plugin.GRPCBroker/StartStream", TIMEOUT_S * 1000);
	rpc_half_close(&broker);
	assert_status(OK, rpc_status(&broker));
	rpc_close(&broker);
}

static void what_is_wrong_is_refused(void **state)
{
	Pb__Empty empty = PB__EMPTY__INIT;
	struct rpc rpc;
	char *huge;

	(void)state;
	assert_status(UNIMPLEMENTED, unary(&server, &rpc, DRIVER "NoSuch", &empty, &pb__empty__descriptor, NULL));
	rpc_close(&rpc);

	rpc_open(&rpc, server.channel, DRIVER "StartTask", TIMEOUT_S * 1000);
	rpc_send_bytes(&rpc, "\x0a\xff\xff\xff\xff", 5, true);
	assert_status(INVALID_ARGUMENT, rpc_status(&rpc));
	assert_non_null(strstr(rpc.text, "StartTaskRequest"));
	rpc_close(&rpc);

	/* Half-closed without a message. */
	rpc_open(&rpc, server.channel, DRIVER "StartTask", TIMEOUT_S * 1000);
	rpc_half_close(&rpc);
	assert_status(INVALID_ARGUMENT, rpc_status(&rpc));
	rpc_close(&rpc);

	/* A start without a task, a recovery without a handle, an exec without a command. */
	assert_status(INVALID_ARGUMENT, unary(&server, &rpc, DRIVER "StartTask", &empty, &pb__empty__descriptor, NULL));
	rpc_close(&rpc);
	assert_status(INVALID_ARGUMENT,
		      unary(&server, &rpc, DRIVER "RecoverTask", &empty, &pb__empty__descriptor, NULL));
	rpc_close(&rpc);
	assert_status(INVALID_ARGUMENT,
		      unary(&server, &rpc, DRIVER "ExecTaskStreaming", &empty, &pb__empty__descriptor, NULL));
	rpc_close(&rpc);

	huge = calloc(1, NOMAD__MESSAGE_MAX_SIZE + 1);
	assert_non_null(huge);
	rpc_open(&rpc, server.channel, DRIVER "StartTask", TIMEOUT_S * 1000);
	rpc_send_bytes(&rpc, huge, NOMAD__MESSAGE_MAX_SIZE + 1, true);
	free(huge);
	assert_status(RESOURCE_EXHAUSTED, rpc_status(&rpc));
	rpc_close(&rpc);
}

/* ---- Driver ---- */

static void driver_tells_its_facts(void **state)
{
	Pb__Empty empty = PB__EMPTY__INIT;
	Pb__CapabilitiesResponse *answer;
	Pb__TaskConfigSchemaResponse *schema;
	struct rpc rpc;

	(void)state;
	assert_status(OK, unary(&server, &rpc, DRIVER "Init", &empty, &pb__empty__descriptor, NULL));
	rpc_close(&rpc);
	assert_status(OK, unary(&server, &rpc, DRIVER "Capabilities", &empty, &pb__capabilities_response__descriptor,
				&answer));
	assert_true(answer->capabilities->send_signals);
	assert_true(answer->capabilities->exec);
	assert_int_equal(answer->capabilities->fs_isolation, PB__DRIVER_CAPABILITIES__FSISOLATION__IMAGE);
	assert_true(answer->capabilities->must_create_network);
	assert_true(answer->capabilities->disable_log_collection);
	assert_false(answer->capabilities->dynamic_workload_users);
	assert_int_equal(answer->capabilities->mount_configs, PB__DRIVER_CAPABILITIES__MOUNT_CONFIGS__NO_MOUNTS);
	assert_int_equal(answer->capabilities->n_network_isolation_modes, 2);
	nomad__message_free(&answer->base);
	rpc_close(&rpc);
	assert_status(OK, unary(&server, &rpc, DRIVER "TaskConfigSchema", &empty,
				&pb__task_config_schema_response__descriptor, &schema));
	assert_int_equal(schema->spec->block_case, PB__SPEC__BLOCK_OBJECT);
	assert_string_equal(schema->spec->object->attributes[0]->key, "count");
	nomad__message_free(&schema->base);
	rpc_close(&rpc);
	assert_status(OK, unary(&server, &rpc, DRIVER "Shutdown", &empty, &pb__empty__descriptor, NULL));
	rpc_close(&rpc);
}

static void networks_come_and_go(void **state)
{
	Pb__CreateNetworkRequest create = PB__CREATE_NETWORK_REQUEST__INIT;
	Pb__DestroyNetworkRequest destroy = PB__DESTROY_NETWORK_REQUEST__INIT;
	Pb__CreateNetworkResponse *answer;
	struct rpc rpc, second;

	(void)state;
	create.alloc_id = (char *)"a";
	create.hostname = (char *)"web";
	assert_status(OK, unary(&server, &rpc, DRIVER "CreateNetwork", &create,
				&pb__create_network_response__descriptor, &answer));
	assert_true(answer->created);
	assert_string_equal(answer->isolation_spec->path, "/run/netns/x");
	assert_string_equal(answer->isolation_spec->hostsconfig->hostname, "web");
	assert_string_equal(answer->isolation_spec->labels[0]->value, "v");
	destroy.isolation_spec = answer->isolation_spec;
	assert_status(OK, unary(&server, &second, DRIVER "DestroyNetwork", &destroy, &pb__empty__descriptor, NULL));
	nomad__message_free(&answer->base);
	rpc_close(&rpc);
	rpc_close(&second);
}

static void streams_tell_and_stay_open(void **state)
{
	Pb__Empty empty = PB__EMPTY__INIT;
	Pb__TaskStatsRequest stats = PB__TASK_STATS_REQUEST__INIT;
	Pb__FingerprintResponse *fp;
	Pb__DriverTaskEvent *event;
	Pb__TaskStatsResponse *sample;
	struct rpc rpc[3];

	(void)state;
	must_start("s");
	rpc_open(&rpc[0], server.channel, DRIVER "Fingerprint", TIMEOUT_S * 1000);
	rpc_send(&rpc[0], &empty.base, true);
	fp = rpc_receive(&rpc[0], &pb__fingerprint_response__descriptor);
	assert_int_equal(fp->health, PB__FINGERPRINT_RESPONSE__HEALTH_STATE__HEALTHY);
	assert_string_equal(fp->health_description, "Healthy");
	assert_int_equal(fp->n_attributes, 3);
	assert_true(fp->attributes[0]->value->bool_val);
	assert_int_equal(fp->attributes[1]->value->int_val, 4);
	assert_string_equal(fp->attributes[1]->value->unit, "GiB");
	assert_string_equal(fp->attributes[2]->value->string_val, "1.0");
	nomad__message_free(&fp->base);

	rpc_open(&rpc[1], server.channel, DRIVER "TaskEvents", TIMEOUT_S * 1000);
	rpc_send(&rpc[1], &empty.base, true);
	event = rpc_receive(&rpc[1], &pb__driver_task_event__descriptor);
	assert_string_equal(event->message, "subscribed");
	assert_string_equal(event->annotations[0]->value, "v");
	assert_int_equal(event->timestamp->seconds, 1700000000);
	assert_int_equal(event->timestamp->nanos, 123);
	nomad__message_free(&event->base);
	/* What is not UTF-8 would make Go refuse the message. */
	assert_status(OK, signal_task("s", "EVENT"));
	event = rpc_receive(&rpc[1], &pb__driver_task_event__descriptor);
	assert_string_equal(event->message, "not ? utf-8 ?, this is: \xc3\xa4");
	nomad__message_free(&event->base);

	stats.task_id = (char *)"s";
	rpc_open(&rpc[2], server.channel, DRIVER "TaskStats", TIMEOUT_S * 1000);
	rpc_send(&rpc[2], &stats.base, true);
	sample = rpc_receive(&rpc[2], &pb__task_stats_response__descriptor);
	assert_string_equal(sample->stats->id, "s");
	assert_int_equal(sample->stats->timestamp->seconds, 1700000000);
	assert_int_equal(sample->stats->agg_resource_usage->memory->rss, 4096);
	assert_int_equal(sample->stats->agg_resource_usage->memory->n_measured_fields, 1);
	assert_int_equal(sample->stats->agg_resource_usage->cpu->n_measured_fields, 2);
	assert_true(sample->stats->agg_resource_usage->cpu->total_ticks == 250.0);
	nomad__message_free(&sample->base);

	wait_for_fact("subs", 3);
	for (int i = 0; i < 2; i++) {
		assert_null(rpc_receive_for(&rpc[i], &pb__empty__descriptor, 50));
		assert_false(rpc_wait(&rpc[i], STATUS, 0));
	}
	/* The task goes: its statistics end well. */
	assert_status(OK, stop_task("s", ""));
	assert_status(OK, rpc_status(&rpc[2]));
	for (int i = 0; i < 3; i++)
		rpc_close(&rpc[i]);
	wait_for_fact("subs", 0);
}

static void a_slow_reader_gets_the_latest_sample(void **state)
{
	Pb__TaskStatsRequest stats = PB__TASK_STATS_REQUEST__INIT;
	Pb__TaskStatsResponse *sample;
	struct rpc rpc;
	double ticks = 0;
	int n = 0;

	(void)state;
	must_start("flood");
	stats.task_id = (char *)"flood";
	rpc_open(&rpc, server.channel, DRIVER "TaskStats", TIMEOUT_S * 1000);
	rpc_send(&rpc, &stats.base, true);
	wait_for_fact("subs", 1);
	while (ticks < 20000) {
		sample = rpc_receive(&rpc, &pb__task_stats_response__descriptor);
		assert_non_null(sample);
		assert_true(sample->stats->agg_resource_usage->cpu->total_ticks >= ticks);
		ticks = sample->stats->agg_resource_usage->cpu->total_ticks;
		n++;
		nomad__message_free(&sample->base);
	}
	assert_true(n < 20000);
	rpc_close(&rpc);
	wait_for_fact("subs", 0);
}

/* ---- Tasks ---- */

static void a_task_lives(void **state)
{
	Pb__RecoverTaskRequest recover = PB__RECOVER_TASK_REQUEST__INIT;
	Pb__DestroyTaskRequest destroy = PB__DESTROY_TASK_REQUEST__INIT;
	Pb__InspectTaskRequest inspect = PB__INSPECT_TASK_REQUEST__INIT;
	Pb__ExecTaskRequest exec = PB__EXEC_TASK_REQUEST__INIT;
	char *command[] = { (char *)"true", (char *)"x" };
	Pb__StartTaskResponse *started;
	Pb__InspectTaskResponse *inspected;
	Pb__ExecTaskResponse *executed;
	Pb__WaitTaskResponse *waited;
	struct rpc rpc, wait[2];

	(void)state;
	assert_status(OK, start_task("live", "config", &rpc, &started));
	assert_int_equal(started->handle->version, 1);
	assert_int_equal(started->handle->state, PB__TASK_STATE__RUNNING);
	assert_string_equal(started->handle->config->id, "live");
	assert_memory_equal(started->handle->config->msgpack_driver_config.data, "config", 6);
	assert_memory_equal(started->handle->driver_state.data, "our state", 9);
	assert_string_equal(started->network_override->addr, "10.0.0.9");
	assert_int_equal(started->network_override->port_map[0]->value, 8080);
	rpc_close(&rpc);

	recover.handle = started->handle;
	assert_status(OK, unary(&server, &rpc, DRIVER "RecoverTask", &recover, &pb__empty__descriptor, NULL));
	rpc_close(&rpc);
	recover.handle->config->id[0] = 'L';
	assert_status(NOT_FOUND, unary(&server, &rpc, DRIVER "RecoverTask", &recover, &pb__empty__descriptor, NULL));
	rpc_close(&rpc);
	nomad__message_free(&started->base);

	inspect.task_id = (char *)"live";
	assert_status(OK, unary(&server, &rpc, DRIVER "InspectTask", &inspect, &pb__inspect_task_response__descriptor,
				&inspected));
	assert_int_equal(inspected->task->state, PB__TASK_STATE__RUNNING);
	assert_int_equal(inspected->task->started_at->seconds, 1);
	assert_int_equal(inspected->task->started_at->nanos, 500000000);
	assert_int_equal(inspected->task->completed_at->seconds, INT64_C(-62135596800));
	assert_non_null(inspected->task->result);
	assert_non_null(inspected->driver);
	nomad__message_free(&inspected->base);
	rpc_close(&rpc);

	assert_status(OK, signal_task("live", "SIGHUP"));
	assert_status(INVALID_ARGUMENT, signal_task("live", "SIGNONE"));
	assert_status(NOT_FOUND, signal_task("nobody", "SIGHUP"));

	exec.task_id = (char *)"live";
	assert_status(INVALID_ARGUMENT,
		      unary(&server, &rpc, DRIVER "ExecTask", &exec, &pb__exec_task_response__descriptor, NULL));
	rpc_close(&rpc);
	exec.command = command;
	exec.n_command = 2;
	assert_status(OK,
		      unary(&server, &rpc, DRIVER "ExecTask", &exec, &pb__exec_task_response__descriptor, &executed));
	assert_int_equal(executed->result->exit_code, 3);
	assert_memory_equal(executed->stdout.data, "out", 3);
	assert_memory_equal(executed->stderr.data, "err", 3);
	nomad__message_free(&executed->base);
	rpc_close(&rpc);
	command[0] = (char *)"no-such";
	assert_status(NOT_FOUND,
		      unary(&server, &rpc, DRIVER "ExecTask", &exec, &pb__exec_task_response__descriptor, NULL));
	assert_string_equal(rpc.text, "run 'no-such': no such file or directory [nd-missing]");
	rpc_close(&rpc);

	assert_status(INVALID_ARGUMENT, stop_task("live", "SIGNONE"));
	for (int i = 0; i < 2; i++)
		wait_open(&wait[i], "live", TIMEOUT_S * 1000);
	assert_null(rpc_receive_for(&wait[0], &pb__wait_task_response__descriptor, 50));
	assert_status(OK, stop_task("live", "SIGTERM"));
	assert_status(OK, stop_task("nobody", ""));
	for (int i = 0; i < 2; i++) {
		waited = rpc_receive(&wait[i], &pb__wait_task_response__descriptor);
		assert_int_equal(waited->result->exit_code, 7);
		nomad__message_free(&waited->base);
		assert_status(OK, rpc_status(&wait[i]));
		rpc_close(&wait[i]);
	}
	/* And after its end. */
	wait_open(&wait[0], "live", TIMEOUT_S * 1000);
	waited = rpc_receive(&wait[0], &pb__wait_task_response__descriptor);
	assert_int_equal(waited->result->exit_code, 7);
	nomad__message_free(&waited->base);
	rpc_close(&wait[0]);

	destroy.task_id = (char *)"live";
	destroy.force = true;
	assert_status(OK, unary(&server, &rpc, DRIVER "DestroyTask", &destroy, &pb__empty__descriptor, NULL));
	rpc_close(&rpc);
	wait_open(&wait[0], "nobody", TIMEOUT_S * 1000);
	assert_status(NOT_FOUND, rpc_status(&wait[0]));
	assert_string_equal(wait[0].text, "task not found for given id [nd-missing]");
	rpc_close(&wait[0]);
}

static void a_failed_start_says_whether_to_try_again(void **state)
{
	struct rpc rpc;
	bool found = false;

	(void)state;
	assert_status(PERMISSION_DENIED, start_task("f", "fail", &rpc, NULL));
	assert_string_equal(rpc.text, "start it: not allowed [nd-denied]");
	rpc_close(&rpc);
	assert_status(FAILED_PRECONDITION, start_task("f", "retry", &rpc, NULL));
	assert_string_equal(rpc.text, "pull failed [nd-failed]");
	for (size_t i = 0; i < rpc.trailing.count; i++)
		if (grpc_slice_str_cmp(rpc.trailing.metadata[i].key, "grpc-status-details-bin") == 0)
			found = GRPC_SLICE_LENGTH(rpc.trailing.metadata[i].value) == 110;
	assert_true(found);
	rpc_close(&rpc);
}

static void hundreds_of_waits_take_no_threads(void **state)
{
	enum { N = 500 };
	struct rpc *rpcs = calloc(N, sizeof(*rpcs));
	Pb__WaitTaskResponse *answer;
	unsigned before, with;

	(void)state;
	assert_non_null(rpcs);
	must_start("many");
	wait_for_fact("subs", 0);
	before = server_threads(&server);
	for (int i = 0; i < N; i++)
		wait_open(&rpcs[i], "many", TIMEOUT_S * 1000);
	wait_for_fact("subs", N);
	with = server_threads(&server);
	print_message("# %u threads before, %u with %d waits\n", before, with, N);
	assert_true(with <= before + 6); /* gRPC's own pool breathes */

	/* One in five is cancelled, one in five runs out of time at the others' expense not at all. */
	for (int i = 0; i < N; i += 5)
		rpc_cancel(&rpcs[i]);
	wait_for_fact("subs", N - N / 5);
	assert_status(OK, stop_task("many", ""));
	for (int i = 0; i < N; i++) {
		answer = rpc_receive(&rpcs[i], &pb__wait_task_response__descriptor);
		assert_int_equal(!answer, i % 5 == 0);
		if (answer) {
			assert_int_equal(answer->result->exit_code, 7);
			nomad__message_free(&answer->base);
		}
		assert_int_equal(rpc_status(&rpcs[i]), i % 5 == 0 ? GRPC_STATUS_CANCELLED : GRPC_STATUS_OK);
		rpc_close(&rpcs[i]);
	}
	free(rpcs);
	wait_for_fact("subs", 0);
}

static void a_deadline_ends_a_call(void **state)
{
	struct rpc rpc;

	(void)state;
	must_start("late");
	wait_open(&rpc, "late", 200);
	assert_status(DEADLINE_EXCEEDED, rpc_status(&rpc));
	rpc_close(&rpc);
	wait_for_fact("subs", 0);
}

static void five_megabytes_pass(void **state)
{
	size_t size = 5 << 20;
	char *config = malloc(size + 1);
	Pb__StartTaskResponse *answer;
	struct rpc rpc;

	(void)state;
	assert_non_null(config);
	memset(config, 'x', size);
	config[size] = '\0';
	assert_status(OK, start_task("big", config, &rpc, &answer));
	assert_int_equal(answer->handle->config->msgpack_driver_config.len, size);
	nomad__message_free(&answer->base);
	rpc_close(&rpc);
	free(config);
}

/* ---- Streaming exec ---- */

static void exec_open(struct rpc *rpc, const char *a, const char *b)
{
	Pb__ExecTaskStreamingRequest request = PB__EXEC_TASK_STREAMING_REQUEST__INIT;
	Pb__ExecTaskStreamingRequest__Setup setup = PB__EXEC_TASK_STREAMING_REQUEST__SETUP__INIT;
	char *command[] = { (char *)a, (char *)b };

	setup.task_id = (char *)"facts";
	setup.command = command;
	setup.n_command = b ? 2 : 1;
	request.setup = &setup;
	rpc_open(rpc, server.channel, DRIVER "ExecTaskStreaming", TIMEOUT_S * 1000);
	rpc_send(rpc, &request.base, false);
}

static void exec_feed(struct rpc *rpc, const void *data, size_t size, bool end)
{
	Pb__ExecTaskStreamingRequest request = PB__EXEC_TASK_STREAMING_REQUEST__INIT;
	Pb__ExecTaskStreamingIOOperation operation = PB__EXEC_TASK_STREAMING_IOOPERATION__INIT;

	operation.data.data = (uint8_t *)data;
	operation.data.len = size;
	operation.close = end;
	request.stdin = &operation;
	rpc_send(rpc, &request.base, false);
}

/* Read to the end; the bytes of stdout. */
static size_t exec_drain(struct rpc *rpc, int expected_code)
{
	Pb__ExecTaskStreamingResponse *answer;
	bool exited = false, closed = false;
	size_t size = 0;

	while ((answer = rpc_receive(rpc, &pb__exec_task_streaming_response__descriptor))) {
		assert_int_equal(!!answer->stdout + !!answer->stderr + !!answer->exited, 1);
		assert_false(exited);
		if (answer->stdout) {
			size += answer->stdout->data.len;
			closed = answer->stdout->close;
		}
		if (answer->exited) {
			assert_true(closed);
			assert_int_equal(answer->result->exit_code, expected_code);
			exited = true;
		}
		nomad__message_free(&answer->base);
	}
	assert_true(exited);
	assert_status(OK, rpc_status(rpc));
	return size;
}

static void exec_streams_both_ways(void **state)
{
	Pb__ExecTaskStreamingRequest request = PB__EXEC_TASK_STREAMING_REQUEST__INIT;
	Pb__ExecTaskStreamingRequest__TerminalSize size = PB__EXEC_TASK_STREAMING_REQUEST__TERMINAL_SIZE__INIT;
	char *megabyte = calloc(1, 1 << 20);
	long closed = fact("exec_closed");
	struct rpc rpc;

	(void)state;
	assert_non_null(megabyte);
	exec_open(&rpc, "cat", NULL);
	exec_feed(&rpc, "hello", 5, false);
	rpc_send(&rpc, &request.base, false); /* heartbeat */
	size.height = 100;
	size.width = 80;
	request.tty_size = &size;
	rpc_send(&rpc, &request.base, false);
	exec_feed(&rpc, "bye", 3, true);
	assert_int_equal(exec_drain(&rpc, 43), 5 + 8 + 3);
	rpc_close(&rpc);

	/* 32 MiB each way, the output read only after the command is done with what fits. */
	exec_open(&rpc, "flood", "32768");
	assert_false(rpc_wait(&rpc, STATUS, 100));
	assert_int_equal(exec_drain(&rpc, 43), 32 << 20);
	rpc_close(&rpc);
	free(megabyte);

	/* The user goes away: the command is closed. */
	exec_open(&rpc, "hold", NULL);
	assert_false(rpc_wait(&rpc, STATUS, 100));
	rpc_close(&rpc);
	wait_for_fact("exec_closed", closed + 3);
}

/* Far more input than fits, to a command whose output nobody reads: input
 * has to stop being taken, and to go on later. */
static void exec_input_is_bounded(void **state)
{
	enum { BLOCK = 256 << 10, BLOCKS = 64 };
	static char block[BLOCK];
	Pb__ExecTaskStreamingResponse *answer;
	size_t got = 0;
	struct rpc rpc;

	(void)state;
	exec_open(&rpc, "cat", NULL);
	for (int i = 0; i < BLOCKS; i++) {
		exec_feed(&rpc, block, BLOCK, i == BLOCKS - 1);
		/* Read little by little, or both sides would wait. */
		while ((answer = (void *)rpc_receive_for(&rpc, &pb__exec_task_streaming_response__descriptor,
							 i < BLOCKS - 1 ? 1 : 10))) {
			got += answer->stdout ? answer->stdout->data.len : 0;
			nomad__message_free(&answer->base);
		}
	}
	if (!(rpc.done & STATUS))
		got += exec_drain(&rpc, 43);
	assert_int_equal(got, (size_t)BLOCK * BLOCKS);
	rpc_close(&rpc);
}

/* ---- The end ---- */

static void shutdown_ends_open_streams(void **state)
{
	Pb__Empty empty = PB__EMPTY__INIT;
	struct server own = { 0 }, saved = server;
	struct rpc rpc[3];
	int status;

	(void)state;
	server_start(&own);
	server = own;
	must_start("facts");
	wait_open(&rpc[0], "facts", TIMEOUT_S * 1000);
	rpc_open(&rpc[1], own.channel, DRIVER "Fingerprint", TIMEOUT_S * 1000);
	rpc_send(&rpc[1], &empty.base, true);
	exec_open(&rpc[2], "hold", NULL);
	wait_for_fact("subs", 2);
	assert_status(OK, shut_down(&own));
	for (int i = 0; i < 3; i++) {
		ProtobufCMessage *left;

		/* The status comes behind what was not read yet. */
		while ((left = rpc_receive(&rpc[i], &pb__empty__descriptor)))
			nomad__message_free(left);
		assert_status(UNAVAILABLE, rpc_status(&rpc[i]));
		assert_string_equal(rpc[i].text, "the plugin is shutting down");
		rpc_close(&rpc[i]);
	}
	status = server_wait(&own);
	server = saved;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(access(own.path, F_OK), -1);
}

static void a_plugin_without_host_ends_when_nobody_calls(void **state)
{
	struct server own = { 0 }, saved = server;
	grpc_channel *second;
	struct rpc rpc;
	int status;

	(void)state;
	server_start(&own);
	/* The host dies; another one takes the plugin over. */
	close(own.out);
	second = client_connect(own.path);
	grpc_channel_destroy(own.channel);
	own.channel = second;
	server = own;
	must_start("facts");
	wait_open(&rpc, "facts", TIMEOUT_S * 1000);
	sleep(7);
	assert_int_equal(waitpid(own.pid, &status, WNOHANG), 0);
	assert_int_equal(fact("subs"), 1);
	rpc_close(&rpc);
	own.out = open("/dev/null", O_RDONLY);
	status = server_wait(&own);
	server = saved;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(access(own.path, F_OK), -1);
}

static void the_socket_is_private(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(server.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static int serve(void)
{
	struct nomad_error *err = NULL;
	int r = nomad__wire_serve(&fake_driver, &err);

	if (r < 0)
		fprintf(stderr, "serve: %s\n", nomad_error_message(err));
	nomad_error_free(err);
	return r < 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base_plugin_tells_who_it_is),
		cmocka_unit_test(the_socket_is_private),
		cmocka_unit_test(health_knows_its_services),
		cmocka_unit_test(stdio_and_broker_stay_open),
		cmocka_unit_test(what_is_wrong_is_refused),
		cmocka_unit_test(driver_tells_its_facts),
		cmocka_unit_test(networks_come_and_go),
		cmocka_unit_test(streams_tell_and_stay_open),
		cmocka_unit_test(a_slow_reader_gets_the_latest_sample),
		cmocka_unit_test(a_task_lives),
		cmocka_unit_test(a_failed_start_says_whether_to_try_again),
		cmocka_unit_test(hundreds_of_waits_take_no_threads),
		cmocka_unit_test(a_deadline_ends_a_call),
		cmocka_unit_test(five_megabytes_pass),
		cmocka_unit_test(exec_streams_both_ways),
		cmocka_unit_test(exec_input_is_bounded),
		cmocka_unit_test(shutdown_ends_open_streams),
		cmocka_unit_test(a_plugin_without_host_ends_when_nobody_calls),
	};
	int r;

	if (getenv("SMOKE_SERVE"))
		return serve();
	grpc_init();
	r = cmocka_run_group_tests_name("wire", tests, start_server, stop_server);
	grpc_shutdown_blocking();
	return r;
}
