/* SPDX-License-Identifier: MPL-2.0
 *
 * Every method over a real connection, on the real core, with a driver whose
 * tasks exist only in memory; and the life of the plugin process.  How Nomad
 * reads the answers is tested with Nomad's own code: test/conformance. */
#include "wire/testing.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/tree.h"
#include "wire/handlers.h"
#include "wire/wire.h"

#define BASE "/hashicorp.nomad.plugins.base.proto.BasePlugin/"
#define DRIVER "/hashicorp.nomad.plugins.drivers.proto.Driver/"

enum { N_PORTS = 13 };

/* ---- The driver ---- */

struct config {
	char *how;
};

static const char *const hows[] = { "", "fail", "ports", NULL };
static const struct nomad_option options[] = {
	NOMAD_OPTION(struct config, how, STRING, .def = "\"\"", .choices = hows, .help = "What start does."),
};
static const struct nomad_schema task_schema = NOMAD_SCHEMA(struct config, options);
static unsigned destroyed; /* atomic */

static void fake_fingerprint(struct nomad_plugin *p, struct nomad_fingerprint *fp)
{
	(void)p;
	nomad_fp_int(fp, "memory", 4, "GiB");
	nomad_fp_string(fp, "version", "1.0");
}

static int fake_start(struct nomad_task *task, struct nomad_error **err)
{
	const struct config *config = nomad_task_config(task);
	struct nomad_int_map ports = { 0 };
	int r = 0;

	if (strcmp(config->how, "fail") == 0)
		return nomad_error_set(err, EACCES, "start it: not allowed");
	if (strcmp(config->how, "ports") != 0)
		return 0;
	for (int i = 0; r >= 0 && i < N_PORTS; i++) {
		char label[16];

		snprintf(label, sizeof(label), "port%02d", i);
		r = nomad_int_map_set(&ports, label, 8080 + i);
	}
	if (r >= 0)
		r = nomad_task_set_network(task, "10.0.0.9", true, &ports);
	nomad_int_map_done(&ports);
	return r < 0 ? nomad_error_errno(err, -r, "set the network") : 0;
}

static void end_task(struct nomad_task *task)
{
	const struct nomad_exit end = { .exit_code = 7 };

	nomad_task_exited(task, &end);
}

static int fake_stop(struct nomad_task *task, int signal, unsigned timeout_ms, struct nomad_error **err)
{
	(void)signal;
	(void)timeout_ms;
	(void)err;
	end_task(task);
	return 0;
}

static int fake_kill(struct nomad_task *task, struct nomad_error **err)
{
	(void)err;
	end_task(task);
	return 0;
}

static int fake_signal(struct nomad_task *task, int signal, struct nomad_error **err)
{
	(void)signal;
	(void)err;
	nomad_task_event_kv(task, "not \xff utf-8 \xe4, this is: \xc3\xa4", "key", "value", NULL);
	return 0;
}

static int fake_destroy(struct nomad_task *task, struct nomad_error **err)
{
	(void)task;
	(void)err;
	__atomic_add_fetch(&destroyed, 1, __ATOMIC_SEQ_CST);
	return 0;
}

/* The library runs the command in this process' own namespaces. */
static int fake_exec(struct nomad_task *task, struct nomad_exec *exec, struct nomad_error **err)
{
	(void)task;
	(void)exec;
	(void)err;
	return 0;
}

static int fake_stats(struct nomad_task *task, struct nomad_stats *ret, struct nomad_error **err)
{
	(void)task;
	(void)err;
	*ret = (struct nomad_stats){ .cpu_percent = 12.5,
				     .rss_bytes = 4096,
				     .measured = NOMAD_STAT_CPU | NOMAD_STAT_RSS };
	return nomad_stats_add_pid(ret, &(struct nomad_pid_stats){ .pid = 4711,
								   .cpu_percent = 2,
								   .swap_bytes = 512,
								   .measured = NOMAD_STAT_CPU | NOMAD_STAT_SWAP });
}

static int fake_create_network(struct nomad_plugin *p, const char *alloc_id, const char *hostname,
			       struct nomad_network_isolation *ret, bool *ret_created, struct nomad_error **err)
{
	(void)p;
	(void)alloc_id;
	(void)err;
	ret->mode = NOMAD_NET_GROUP;
	ret->path = strdup("/run/netns/x");
	ret->hosts_hostname = strdup(hostname);
	*ret_created = true;
	return nomad_map_set(&ret->labels, "l", "v");
}

static int fake_destroy_network(struct nomad_plugin *p, const char *alloc_id,
				const struct nomad_network_isolation *spec, struct nomad_error **err)
{
	(void)p;
	(void)alloc_id;
	if (!spec->path || strcmp(spec->path, "/run/netns/x") != 0)
		return nomad_error_set(err, EINVAL, "not the network that was made");
	return 0;
}

static const struct nomad_driver fake_driver = {
	.name = "fake",
	.version = "0.1.0",
	.capabilities = NOMAD_CAN_SIGNAL | NOMAD_CAN_EXEC | NOMAD_NEEDS_NETWORK | NOMAD_NO_VOLUMES | NOMAD_OWN_LOGS,
	.fs_isolation = NOMAD_FS_IMAGE,
	.task_schema = &task_schema,
	.fingerprint = fake_fingerprint,
	.start = fake_start,
	.stop = fake_stop,
	.kill = fake_kill,
	.signal = fake_signal,
	.destroy = fake_destroy,
	.exec = fake_exec,
	.stats = fake_stats,
	.create_network = fake_create_network,
	.destroy_network = fake_destroy_network,
};

/* ---- Calls ---- */

static char state_dir[64];

/* The msgpack of { key = value }. */
static ProtobufCBinaryData one_option(char *buffer, const char *key, const char *value)
{
	int n = sprintf(buffer, "\x81%c%s\xd9%c%s", (char)(0xa0 | strlen(key)), key, (char)strlen(value), value);

	return (ProtobufCBinaryData){ (size_t)n, (uint8_t *)buffer };
}

static grpc_status_code set_config(const char *key, const char *value, char *ret_text)
{
	Pb__SetConfigRequest set = PB__SET_CONFIG_REQUEST__INIT;
	Pb__NomadConfig nomad = PB__NOMAD_CONFIG__INIT;
	Pb__NomadDriverConfig driver = PB__NOMAD_DRIVER_CONFIG__INIT;
	Pb__ClientTopology topology = PB__CLIENT_TOPOLOGY__INIT;
	Pb__ClientTopologyCore core = PB__CLIENT_TOPOLOGY_CORE__INIT, *cores[] = { &core, &core };
	char buffer[128];

	core.base_speed = 2000;
	topology.cores = cores;
	topology.n_cores = 2;
	driver.topology = &topology;
	nomad.driver = &driver;
	set.nomad_config = &nomad;
	set.msgpack_config = one_option(buffer, key, value);
	return unary(BASE "SetConfig", &set, &pb__set_config_response__descriptor, NULL, ret_text);
}

/* Calls Driver.`method` of a request whose only string is a task's id. */
#define BY_ID(method, Type, type, id, ret, text)                                                                       \
	({                                                                                                             \
		Pb__##Type##Request by_id;                                                                             \
                                                                                                                       \
		pb__##type##_request__init(&by_id);                                                                    \
		by_id.task_id = (char *)(id);                                                                          \
		unary(DRIVER #method, &by_id, &pb__##type##_response__descriptor, ret, text);                          \
	})
#define STOP(id) BY_ID(StopTask, StopTask, stop_task, id, NULL, NULL)
#define WAIT_REQUEST(id)                                                                                               \
	(&(Pb__WaitTaskRequest){ PROTOBUF_C_MESSAGE_INIT(&pb__wait_task_request__descriptor), .task_id = (char *)(id) })

static grpc_status_code start_task(const char *id, const char *how, Pb__StartTaskResponse **ret, char *ret_text)
{
	Pb__StartTaskRequest request = PB__START_TASK_REQUEST__INIT;
	Pb__TaskConfig task = PB__TASK_CONFIG__INIT;
	char buffer[128];

	task.id = (char *)id;
	task.name = (char *)"t";
	task.alloc_id = (char *)"a";
	task.msgpack_driver_config = one_option(buffer, "how", how);
	request.task = &task;
	return unary(DRIVER "StartTask", &request, &pb__start_task_response__descriptor, ret, ret_text);
}

static void must_start(const char *id)
{
	assert_status(OK, start_task(id, "", NULL, NULL));
}

static grpc_status_code signal_task(const char *id, const char *signal)
{
	Pb__SignalTaskRequest request = PB__SIGNAL_TASK_REQUEST__INIT;

	request.task_id = (char *)id;
	request.signal = (char *)signal;
	return unary(DRIVER "SignalTask", &request, &pb__signal_task_response__descriptor, NULL, NULL);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(state_dir, "/tmp/nomad-wire-test-XXXXXX");
	if (!mkdtemp(state_dir))
		return -1;
	serve(&fake_driver, nomad__methods, nomad__n_methods);
	assert_status(OK, set_config("state_dir", state_dir, NULL));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unserve();
	return nomad__remove_tree(state_dir);
}

/* ---- BasePlugin, health, go-plugin ---- */

static void the_plugin_reports_its_facts(void **state)
{
	Pb__Empty empty = PB__EMPTY__INIT;
	Pb__PluginInfoResponse *who;
	Pb__ConfigSchemaResponse *config;
	Pb__TaskConfigSchemaResponse *task;
	Pb__CapabilitiesResponse *can;
	char text[512];

	(void)state;
	assert_status(OK, unary(BASE "PluginInfo", &empty, &pb__plugin_info_response__descriptor, &who, NULL));
	assert_int_equal(who->type, PB__PLUGIN_TYPE__DRIVER);
	assert_string_equal(who->name, "fake");
	assert_string_equal(who->plugin_version, "0.1.0");
	assert_int_equal(who->n_plugin_api_versions, 1);
	assert_string_equal(who->plugin_api_versions[0], "v0.1.0");
	nomad__message_free(&who->base);
	assert_status(OK, unary(BASE "ConfigSchema", &empty, &pb__config_schema_response__descriptor, &config, NULL));
	assert_int_equal(config->spec->block_case, PB__SPEC__BLOCK_OBJECT);
	nomad__message_free(&config->base);
	assert_status(OK, unary(DRIVER "TaskConfigSchema", &empty, &pb__task_config_schema_response__descriptor, &task,
				NULL));
	assert_string_equal(task->spec->object->attributes[0]->key, "how");
	nomad__message_free(&task->base);
	assert_status(INVALID_ARGUMENT, set_config("nothing", "1", text));
	assert_non_null(strstr(text, "[nd-invalid]"));
	assert_status(OK, unary(DRIVER "Init", &empty, &pb__empty__descriptor, NULL, NULL));
	assert_status(OK, unary(DRIVER "Capabilities", &empty, &pb__capabilities_response__descriptor, &can, NULL));
	assert_true(can->capabilities->send_signals && can->capabilities->exec);
	assert_true(can->capabilities->must_create_network && can->capabilities->disable_log_collection);
	assert_false(can->capabilities->dynamic_workload_users);
	assert_int_equal(can->capabilities->fs_isolation, PB__DRIVER_CAPABILITIES__FSISOLATION__IMAGE);
	assert_int_equal(can->capabilities->mount_configs, PB__DRIVER_CAPABILITIES__MOUNT_CONFIGS__NO_MOUNTS);
	assert_int_equal(can->capabilities->n_network_isolation_modes, 2);
	nomad__message_free(&can->base);
	assert_status(OK, unary(DRIVER "Shutdown", &empty, &pb__empty__descriptor, NULL, NULL));
}

static void health_is_served_for_the_plugin_only(void **state)
{
	static const struct {
		const char *service;
		grpc_status_code code;
		int watched;
	} rows[] = {
		{ "", GRPC_STATUS_OK, PB__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING },
		{ "plugin", GRPC_STATUS_OK, PB__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING },
		{ "other", GRPC_STATUS_NOT_FOUND, PB__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN },
	};
	Pb__HealthCheckRequest request = PB__HEALTH_CHECK_REQUEST__INIT;
	Pb__HealthCheckResponse *answer;
	struct rpc rpc;

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		request.service = (char *)rows[i].service;
		assert_int_equal(unary("/grpc.health.v1.Health/Check", &request, &pb__health_check_response__descriptor,
				       NULL, NULL),
				 rows[i].code);
		stream_open(&rpc, "/grpc.health.v1.Health/Watch", &request);
		answer = rpc_receive(&rpc, &pb__health_check_response__descriptor);
		assert_int_equal(answer->status, rows[i].watched);
		nomad__message_free(&answer->base);
		assert_false(rpc_wait(&rpc, STATUS, 30));
		rpc_close(&rpc);
	}
}

static void stdio_and_broker_stay_open(void **state)
{
	Pb__Empty empty = PB__EMPTY__INIT;
	Pb__ConnInfo conn = PB__CONN_INFO__INIT;
	struct rpc stdio, broker;

	(void)state;
	stream_open(&stdio, "/plugin.GRPCStdio/StreamStdio", &empty);
	rpc_open(&broker, "/plugin.GRPCBroker/StartStream");
	rpc_send(&broker, &conn, false);
	rpc_send(&broker, &conn, false);
	assert_false(rpc_wait(&stdio, STATUS, 50));
	assert_false(rpc_wait(&broker, STATUS, 50));
	rpc_half_close(&broker);
	assert_status(OK, rpc_status(&broker));
	rpc_close(&stdio);
	rpc_close(&broker);
	/* An agent that leaves never sent a message. */
	rpc_open(&broker, "/plugin.GRPCBroker/StartStream");
	rpc_half_close(&broker);
	assert_status(OK, rpc_status(&broker));
	rpc_close(&broker);
}

static void the_controller_ends_the_process(void **state)
{
	Pb__Empty empty = PB__EMPTY__INIT;

	(void)state;
	__atomic_store_n(&shutdowns, 0, __ATOMIC_SEQ_CST);
	assert_status(OK, unary("/plugin.GRPCController/Shutdown", &empty, &pb__empty__descriptor, NULL, NULL));
	for (int i = 0; i < PATIENCE_MS && __atomic_load_n(&shutdowns, __ATOMIC_SEQ_CST) == 0; i++)
		usleep(1000);
	assert_int_equal(__atomic_load_n(&shutdowns, __ATOMIC_SEQ_CST), 1);
}

/* ---- Tasks ---- */

static void a_task_lives(void **state)
{
	Pb__RecoverTaskRequest recover = PB__RECOVER_TASK_REQUEST__INIT;
	Pb__ExecTaskRequest exec = PB__EXEC_TASK_REQUEST__INIT;
	char *command[] = { (char *)"/bin/sh", (char *)"-c", (char *)"echo out; exit 3" };
	Pb__StartTaskResponse *started;
	Pb__InspectTaskResponse *inspected;
	Pb__ExecTaskResponse *executed;
	Pb__WaitTaskResponse *waited;
	struct rpc wait;
	char text[512];

	(void)state;
	__atomic_store_n(&destroyed, 0, __ATOMIC_SEQ_CST);
	assert_status(OK, start_task("a/t/1", "ports", &started, NULL));
	assert_int_equal(started->result, PB__START_TASK_RESPONSE__RESULT__SUCCESS);
	assert_int_equal(started->handle->version, 1);
	assert_int_equal(started->handle->state, PB__TASK_STATE__RUNNING);
	assert_string_equal(started->handle->config->id, "a/t/1");
	assert_true(started->handle->driver_state.len > 0);
	assert_string_equal(started->network_override->addr, "10.0.0.9");
	assert_true(started->network_override->auto_advertise);
	assert_int_equal(started->network_override->n_port_map, N_PORTS);
	assert_int_equal(started->network_override->port_map[1]->value, 8081);
	recover.handle = started->handle;
	assert_status(OK, unary(DRIVER "RecoverTask", &recover, &pb__empty__descriptor, NULL, NULL));
	nomad__message_free(&started->base);

	assert_status(OK, BY_ID(InspectTask, InspectTask, inspect_task, "a/t/1", &inspected, NULL));
	assert_string_equal(inspected->task->name, "t");
	assert_int_equal(inspected->task->state, PB__TASK_STATE__RUNNING);
	assert_true(inspected->task->started_at->seconds > 1700000000);
	assert_int_equal(inspected->task->completed_at->seconds, INT64_C(-62135596800));
	assert_non_null(inspected->task->result);
	assert_non_null(inspected->driver);
	assert_string_equal(inspected->network_override->addr, "10.0.0.9");
	nomad__message_free(&inspected->base);

	assert_status(OK, signal_task("a/t/1", "SIGHUP"));
	assert_status(INVALID_ARGUMENT, signal_task("a/t/1", "SIGNONE"));
	exec.task_id = (char *)"a/t/1";
	assert_status(INVALID_ARGUMENT,
		      unary(DRIVER "ExecTask", &exec, &pb__exec_task_response__descriptor, NULL, NULL));
	exec.command = command;
	exec.n_command = 3;
	assert_status(OK, unary(DRIVER "ExecTask", &exec, &pb__exec_task_response__descriptor, &executed, NULL));
	assert_int_equal(executed->result->exit_code, 3);
	assert_int_equal(executed->stdout.len, 4);
	assert_memory_equal(executed->stdout.data, "out\n", 4);
	nomad__message_free(&executed->base);

	stream_open(&wait, DRIVER "WaitTask", WAIT_REQUEST("a/t/1"));
	assert_null(rpc_receive_for(&wait, &pb__wait_task_response__descriptor, 50));
	assert_status(OK, STOP("a/t/1"));
	waited = rpc_receive(&wait, &pb__wait_task_response__descriptor);
	assert_int_equal(waited->result->exit_code, 7);
	nomad__message_free(&waited->base);
	assert_status(OK, rpc_status(&wait));
	rpc_close(&wait);

	assert_status(OK, BY_ID(DestroyTask, DestroyTask, destroy_task, "a/t/1", NULL, NULL));
	assert_int_equal(__atomic_load_n(&destroyed, __ATOMIC_SEQ_CST), 1);
	assert_status(NOT_FOUND, BY_ID(WaitTask, WaitTask, wait_task, "a/t/1", NULL, text));
	assert_non_null(strstr(text, "task not found for given id"));
	assert_status(NOT_FOUND, BY_ID(InspectTask, InspectTask, inspect_task, "a/t/1", NULL, NULL));
	assert_status(NOT_FOUND, signal_task("a/t/1", "SIGHUP"));
	assert_status(OK, STOP("a/t/1"));
}

static void incomplete_requests_are_refused(void **state)
{
	Pb__Empty empty = PB__EMPTY__INIT;
	char text[512];

	(void)state;
	assert_status(INVALID_ARGUMENT, unary(DRIVER "StartTask", &empty, &pb__empty__descriptor, NULL, NULL));
	assert_status(INVALID_ARGUMENT, unary(DRIVER "RecoverTask", &empty, &pb__empty__descriptor, NULL, NULL));
	assert_status(INVALID_ARGUMENT, unary(DRIVER "ExecTaskStreaming", &empty, &pb__empty__descriptor, NULL, NULL));
	assert_status(PERMISSION_DENIED, start_task("a/t/1", "fail", NULL, text));
	assert_non_null(strstr(text, "not allowed [nd-denied]"));
}

/* Fails the allocation of the entries of N_PORTS ports while `no_memory_for_ports` is set. */
static bool no_memory_for_ports;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	if (n == N_PORTS && size > sizeof(Pb__NetworkOverride__PortMapEntry) &&
	    __atomic_load_n(&no_memory_for_ports, __ATOMIC_SEQ_CST))
		return NULL;
	return __real_calloc(n, size);
}

static void a_start_without_memory_for_its_address_fails_and_leaves_nothing(void **state)
{
	grpc_status_code started, inspected;

	(void)state;
	__atomic_store_n(&destroyed, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&no_memory_for_ports, true, __ATOMIC_SEQ_CST);
	started = start_task("a/t/1", "ports", NULL, NULL);
	__atomic_store_n(&no_memory_for_ports, false, __ATOMIC_SEQ_CST);
	assert_status(RESOURCE_EXHAUSTED, started);
	assert_int_equal(__atomic_load_n(&destroyed, __ATOMIC_SEQ_CST), 1);
	assert_status(NOT_FOUND, BY_ID(InspectTask, InspectTask, inspect_task, "a/t/1", NULL, NULL));

	assert_status(OK, start_task("a/t/2", "ports", NULL, NULL));
	__atomic_store_n(&no_memory_for_ports, true, __ATOMIC_SEQ_CST);
	inspected = BY_ID(InspectTask, InspectTask, inspect_task, "a/t/2", NULL, NULL);
	__atomic_store_n(&no_memory_for_ports, false, __ATOMIC_SEQ_CST);
	assert_status(RESOURCE_EXHAUSTED, inspected);
}

static void waits_end_with_their_task_or_their_caller(void **state)
{
	enum { N = 60 };
	struct rpc rpcs[N];

	(void)state;
	must_start("a/t/1");
	for (int i = 0; i < N; i++)
		stream_open(&rpcs[i], DRIVER "WaitTask", WAIT_REQUEST("a/t/1"));
	for (int i = 0; i < N; i += 5)
		grpc_call_cancel(rpcs[i].call, NULL);
	assert_status(OK, STOP("a/t/1"));
	for (int i = 0; i < N; i++) {
		nomad__message_free(rpc_receive(&rpcs[i], &pb__wait_task_response__descriptor));
		assert_int_equal(rpc_status(&rpcs[i]), i % 5 == 0 ? GRPC_STATUS_CANCELLED : GRPC_STATUS_OK);
		rpc_close(&rpcs[i]);
	}
}

static void networks_come_and_go(void **state)
{
	Pb__CreateNetworkRequest create = PB__CREATE_NETWORK_REQUEST__INIT;
	Pb__DestroyNetworkRequest destroy = PB__DESTROY_NETWORK_REQUEST__INIT;
	Pb__CreateNetworkResponse *answer;

	(void)state;
	create.alloc_id = (char *)"a";
	create.hostname = (char *)"web";
	assert_status(OK,
		      unary(DRIVER "CreateNetwork", &create, &pb__create_network_response__descriptor, &answer, NULL));
	assert_true(answer->created);
	assert_string_equal(answer->isolation_spec->path, "/run/netns/x");
	assert_string_equal(answer->isolation_spec->hostsconfig->hostname, "web");
	assert_string_equal(answer->isolation_spec->labels[0]->value, "v");
	destroy.isolation_spec = answer->isolation_spec;
	assert_status(OK, unary(DRIVER "DestroyNetwork", &destroy, &pb__empty__descriptor, NULL, NULL));
	destroy.isolation_spec = NULL;
	assert_status(INVALID_ARGUMENT, unary(DRIVER "DestroyNetwork", &destroy, &pb__empty__descriptor, NULL, NULL));
	nomad__message_free(&answer->base);
}

/* ---- Streams ---- */

static void the_fingerprint_has_typed_attributes(void **state)
{
	Pb__Empty empty = PB__EMPTY__INIT;
	Pb__FingerprintResponse *fp;
	unsigned found = 0;
	struct rpc rpc;

	(void)state;
	stream_open(&rpc, DRIVER "Fingerprint", &empty);
	fp = rpc_receive(&rpc, &pb__fingerprint_response__descriptor);
	assert_int_equal(fp->health, PB__FINGERPRINT_RESPONSE__HEALTH_STATE__HEALTHY);
	assert_true(*fp->health_description);
	for (size_t i = 0; i < fp->n_attributes; i++) {
		const char *key = fp->attributes[i]->key;
		const Pb__Attribute *value = fp->attributes[i]->value;

		if (strcmp(key, "driver.fake") == 0)
			found += value->value_case == PB__ATTRIBUTE__VALUE_BOOL_VAL && value->bool_val;
		else if (strcmp(key, "driver.fake.memory") == 0)
			found += value->int_val == 4 && strcmp(value->unit, "GiB") == 0;
		else if (strcmp(key, "driver.fake.version") == 0)
			found += strcmp(value->string_val, "1.0") == 0;
	}
	assert_int_equal(found, 3);
	nomad__message_free(&fp->base);
	assert_false(rpc_wait(&rpc, STATUS, 50));
	rpc_close(&rpc);
}

static void events_are_utf8_whatever_a_driver_writes(void **state)
{
	Pb__Empty empty = PB__EMPTY__INIT;
	Pb__DriverTaskEvent *event;
	struct rpc rpc;
	bool found;

	(void)state;
	must_start("a/t/1");
	stream_open(&rpc, DRIVER "TaskEvents", &empty);
	do { /* until the subscription is there */
		assert_status(OK, signal_task("a/t/1", "SIGHUP"));
		event = rpc_receive_for(&rpc, &pb__driver_task_event__descriptor, 100);
		found = event && strcmp(event->message, "not ? utf-8 ?, this is: \xc3\xa4") == 0;
		if (found) {
			assert_string_equal(event->task_id, "a/t/1");
			assert_string_equal(event->task_name, "t");
			assert_true(event->timestamp->seconds > 1700000000);
			assert_string_equal(event->annotations[0]->value, "value");
		}
		if (event)
			nomad__message_free(&event->base);
	} while (!found);
	rpc_close(&rpc);
}

static void statistics_name_what_was_measured_and_end_with_the_task(void **state)
{
	Pb__TaskStatsRequest request = PB__TASK_STATS_REQUEST__INIT;
	Pb__Duration interval = PB__DURATION__INIT;
	Pb__TaskStatsResponse *sample;
	Pb__CPUUsage *cpu;
	struct rpc rpc;

	(void)state;
	must_start("a/t/1");
	interval.nanos = 100000000;
	request.task_id = (char *)"a/t/1";
	request.collection_interval = &interval;
	stream_open(&rpc, DRIVER "TaskStats", &request);
	for (int i = 0; i < 3; i++) {
		sample = rpc_receive(&rpc, &pb__task_stats_response__descriptor);
		assert_string_equal(sample->stats->id, "a/t/1");
		cpu = sample->stats->agg_resource_usage->cpu;
		assert_true(cpu->percent == 12.5);
		assert_true(cpu->total_ticks == 250.0); /* of cores of 2000 MHz */
		assert_int_equal(cpu->n_measured_fields, 2);
		assert_int_equal(sample->stats->agg_resource_usage->memory->rss, 4096);
		assert_int_equal(sample->stats->agg_resource_usage->memory->n_measured_fields, 1);
		assert_int_equal(sample->stats->n_resource_usage_by_pid, 1);
		assert_string_equal(sample->stats->resource_usage_by_pid[0]->key, "4711");
		cpu = sample->stats->resource_usage_by_pid[0]->value->cpu;
		assert_true(cpu->percent == 2 && cpu->total_ticks == 40);
		assert_int_equal(sample->stats->resource_usage_by_pid[0]->value->memory->swap, 512);
		assert_int_equal(sample->stats->resource_usage_by_pid[0]->value->memory->n_measured_fields, 1);
		nomad__message_free(&sample->base);
	}
	assert_status(OK, STOP("a/t/1"));
	assert_status(OK, BY_ID(DestroyTask, DestroyTask, destroy_task, "a/t/1", NULL, NULL));
	while ((sample = rpc_receive(&rpc, &pb__task_stats_response__descriptor)))
		nomad__message_free(&sample->base);
	assert_status(OK, rpc_status(&rpc));
	rpc_close(&rpc);
}

/* ---- Streaming exec ---- */

static void exec_open(struct rpc *rpc, const char *script, bool tty)
{
	Pb__ExecTaskStreamingRequest request = PB__EXEC_TASK_STREAMING_REQUEST__INIT;
	Pb__ExecTaskStreamingRequest__Setup setup = PB__EXEC_TASK_STREAMING_REQUEST__SETUP__INIT;
	char *command[] = { (char *)"/bin/sh", (char *)"-c", (char *)script };

	setup.task_id = (char *)"a/t/1";
	setup.command = command;
	setup.n_command = 3;
	setup.tty = tty;
	request.setup = &setup;
	rpc_open(rpc, DRIVER "ExecTaskStreaming");
	rpc_send(rpc, &request, false);
}

/* False: the input is not taken within `ms`. */
static bool exec_feed(struct rpc *rpc, const void *data, size_t size, bool end, int64_t ms)
{
	Pb__ExecTaskStreamingRequest request = PB__EXEC_TASK_STREAMING_REQUEST__INIT;
	Pb__ExecTaskStreamingIOOperation operation = PB__EXEC_TASK_STREAMING_IOOPERATION__INIT;
	NOMAD_AUTO_FREE uint8_t *packed = malloc(size + 64);

	assert_non_null(packed);
	operation.data = (ProtobufCBinaryData){ size, (uint8_t *)data };
	operation.close = end;
	request.stdin = &operation;
	return rpc_send_for(rpc, packed, pb__exec_task_streaming_request__pack(&request, packed), false, ms);
}

/* Reads to the end; returns the bytes of stdout, the first of them in ret_text (64 bytes). */
static size_t exec_drain(struct rpc *rpc, int expected_code, char *ret_text)
{
	Pb__ExecTaskStreamingResponse *answer;
	bool exited = false, closed = false;
	size_t size = 0;

	while ((answer = rpc_receive(rpc, &pb__exec_task_streaming_response__descriptor))) {
		assert_int_equal(!!answer->stdout + !!answer->stderr + !!answer->exited, 1);
		assert_false(exited);
		if (answer->stdout) {
			for (size_t i = 0; ret_text && i < answer->stdout->data.len && size + i < 63; i++)
				ret_text[size + i] = (char)answer->stdout->data.data[i];
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
	char text[64] = "";
	struct rpc rpc;

	(void)state;
	must_start("a/t/1");
	exec_open(&rpc, "cat; exit 43", false);
	assert_true(exec_feed(&rpc, "hello ", 6, false, PATIENCE_MS));
	rpc_send(&rpc, &request, false); /* heartbeat */
	size.height = 100;
	size.width = 80;
	request.tty_size = &size;
	rpc_send(&rpc, &request, false);
	assert_true(exec_feed(&rpc, "bye", 3, true, PATIENCE_MS));
	assert_int_equal(exec_drain(&rpc, 43, text), 9);
	assert_string_equal(text, "hello bye");
	rpc_close(&rpc);
	/* A half-close ends the input, too; a client that leaves ends the command. */
	exec_open(&rpc, "cat; exit 44", false);
	rpc_half_close(&rpc);
	assert_int_equal(exec_drain(&rpc, 44, NULL), 0);
	rpc_close(&rpc);
	exec_open(&rpc, "exec sleep 1000", false);
	assert_false(rpc_wait(&rpc, STATUS, 50));
	rpc_close(&rpc);
}

static void exec_output_that_nobody_reads_waits_and_is_whole(void **state)
{
	struct rpc rpc;

	(void)state;
	must_start("a/t/1");
	exec_open(&rpc, "head -c 33554432 /dev/zero; exit 5", false);
	assert_false(rpc_wait(&rpc, STATUS, 200));
	assert_int_equal(exec_drain(&rpc, 5, NULL), 32 << 20);
	rpc_close(&rpc);
}

static void exec_input_pauses_while_the_command_does_not_read(void **state)
{
	enum { BLOCK = 256 << 10, MOST = 64 << 20 };
	NOMAD_AUTO_FREE char *fifo = nomad_strdupf("%s/fifo", state_dir);
	NOMAD_AUTO_FREE char *script = nomad_strdupf("read x <%s; wc -c", fifo);
	static char block[BLOCK];
	char text[64] = "";
	size_t sent = 0;
	struct rpc rpc;
	int fd;

	(void)state;
	assert_int_equal(mkfifo(fifo, 0600), 0);
	must_start("a/t/1");
	exec_open(&rpc, script, false);
	do
		sent += BLOCK;
	while (sent < MOST && exec_feed(&rpc, block, BLOCK, false, 300));
	assert_true(sent < MOST);
	fd = open(fifo, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, "\n", 1), 1);
	close(fd);
	assert_true(exec_feed(&rpc, "", 0, true, PATIENCE_MS));
	exec_drain(&rpc, 0, text);
	assert_int_equal(atol(text), sent);
	rpc_close(&rpc);
}

/* ---- The process: this program again, with SMOKE_SERVE in its environment ---- */

struct process {
	pid_t pid;
	int out; /* its stdout */
	char path[128];
};

static grpc_channel *connect_to(const struct process *process)
{
	grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
	char target[160];
	grpc_channel *made;

	snprintf(target, sizeof(target), "unix:%s", process->path);
	made = grpc_channel_create(target, credentials, NULL);
	grpc_channel_credentials_release(credentials);
	return made;
}

static void process_start(struct process *process)
{
	int out[2];
	char line[256] = "";

	assert_int_equal(pipe(out), 0);
	process->pid = fork();
	assert_true(process->pid >= 0);
	if (process->pid == 0) {
		dup2(out[1], 1);
		close(out[0]);
		close(out[1]);
		setenv("SMOKE_SERVE", "1", 1);
		execl("/proc/self/exe", "smoke", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	process->out = out[0];
	assert_true(read(process->out, line, sizeof(line) - 1) > 0);
	assert_int_equal(sscanf(line, "1|2|unix|%127[^|]|grpc|\n", process->path), 1);
	channel = connect_to(process);
}

static void process_ended_well(const struct process *process)
{
	int status;

	grpc_channel_destroy(channel);
	assert_int_equal(waitpid(process->pid, &status, 0), process->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(access(process->path, F_OK), -1);
}

static void a_shutdown_ends_open_streams_and_the_process(void **state)
{
	Pb__Empty empty = PB__EMPTY__INIT;
	struct process process;
	struct rpc rpc;
	void *left;

	(void)state;
	process_start(&process);
	stream_open(&rpc, DRIVER "Fingerprint", &empty);
	nomad__message_free(rpc_receive(&rpc, &pb__fingerprint_response__descriptor));
	assert_status(OK, unary("/plugin.GRPCController/Shutdown", &empty, &pb__empty__descriptor, NULL, NULL));
	while ((left = rpc_receive(&rpc, &pb__fingerprint_response__descriptor)))
		nomad__message_free(left);
	assert_status(UNAVAILABLE, rpc_status(&rpc));
	assert_string_equal(rpc.text, "the plugin is shutting down");
	rpc_close(&rpc);
	process_ended_well(&process);
	close(process.out);
}

static void a_plugin_without_host_ends_when_nobody_calls(void **state)
{
	Pb__Empty empty = PB__EMPTY__INIT;
	struct process process;
	grpc_channel *second;
	struct rpc rpc;

	(void)state;
	process_start(&process);
	/* The host dies; another one takes the plugin over. */
	close(process.out);
	second = connect_to(&process);
	grpc_channel_destroy(channel);
	channel = second;
	stream_open(&rpc, "/plugin.GRPCStdio/StreamStdio", &empty);
	assert_false(rpc_wait(&rpc, STATUS, 7000));
	rpc_close(&rpc);
	process_ended_well(&process);
}

static int serve_process(void)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	int r = nomad__wire_serve(&fake_driver, &err);

	if (r < 0)
		fprintf(stderr, "serve: %s\n", nomad_error_message(err));
	return r < 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_plugin_reports_its_facts),
		TEST(health_is_served_for_the_plugin_only),
		TEST(stdio_and_broker_stay_open),
		TEST(the_controller_ends_the_process),
		TEST(a_task_lives),
		TEST(incomplete_requests_are_refused),
		TEST(a_start_without_memory_for_its_address_fails_and_leaves_nothing),
		TEST(waits_end_with_their_task_or_their_caller),
		TEST(networks_come_and_go),
		TEST(the_fingerprint_has_typed_attributes),
		TEST(events_are_utf8_whatever_a_driver_writes),
		TEST(statistics_name_what_was_measured_and_end_with_the_task),
		TEST(exec_streams_both_ways),
		TEST(exec_output_that_nobody_reads_waits_and_is_whole),
		TEST(exec_input_pauses_while_the_command_does_not_read),
		cmocka_unit_test(a_shutdown_ends_open_streams_and_the_process),
		cmocka_unit_test(a_plugin_without_host_ends_when_nobody_calls),
	};
	int r;

	if (getenv("SMOKE_SERVE"))
		return serve_process();
	grpc_init();
	r = cmocka_run_group_tests_name("wire", tests, NULL, NULL);
	grpc_shutdown_blocking();
	return r;
}
