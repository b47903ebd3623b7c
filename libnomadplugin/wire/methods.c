/* SPDX-License-Identifier: MPL-2.0
 *
 * The table of methods. */
#include "wire/handlers.h"

#define BASE "/hashicorp.nomad.plugins.base.proto.BasePlugin/"
#define DRIVER "/hashicorp.nomad.plugins.drivers.proto.Driver/"

#define ROW(service, name, kind, type, ...)                                                                            \
	{                                                                                                              \
		service name, NOMAD__##kind, .request = &pb__##type##__descriptor, __VA_ARGS__                         \
	}
#define AT_ONCE(f) .handle = nomad__serve_##f
#define ON_WORKER(f) .handle = nomad__serve_##f, .blocks = true

const struct nomad__method nomad__methods[] = {
	ROW("/plugin.GRPCController/", "Shutdown", UNARY, empty, AT_ONCE(shutdown_process)),
	ROW("/plugin.GRPCStdio/", "StreamStdio", STREAM, empty, AT_ONCE(stdio)),
	ROW("/plugin.GRPCBroker/", "StartStream", BIDI, conn_info, AT_ONCE(broker), .more = nomad__serve_broker_more,
	    .may_be_empty = true),
	ROW("/grpc.health.v1.Health/", "Check", UNARY, health_check_request, AT_ONCE(health_check)),
	ROW("/grpc.health.v1.Health/", "Watch", STREAM, health_check_request, AT_ONCE(health_watch)),

	ROW(BASE, "PluginInfo", UNARY, plugin_info_request, AT_ONCE(plugin_info)),
	ROW(BASE, "ConfigSchema", UNARY, config_schema_request, AT_ONCE(config_schema)),
	ROW(BASE, "SetConfig", UNARY, set_config_request, ON_WORKER(set_config)),

	ROW(DRIVER, "Init", UNARY, init_request, ON_WORKER(init)),
	ROW(DRIVER, "Shutdown", UNARY, shutdown_request, ON_WORKER(shutdown)),
	ROW(DRIVER, "TaskConfigSchema", UNARY, task_config_schema_request, AT_ONCE(task_config_schema)),
	ROW(DRIVER, "Capabilities", UNARY, capabilities_request, AT_ONCE(capabilities)),
	ROW(DRIVER, "Fingerprint", STREAM, fingerprint_request, AT_ONCE(fingerprint)),
	ROW(DRIVER, "TaskEvents", STREAM, task_events_request, AT_ONCE(task_events)),
	ROW(DRIVER, "TaskStats", STREAM, task_stats_request, AT_ONCE(task_stats)),
	ROW(DRIVER, "StartTask", UNARY, start_task_request, ON_WORKER(start_task)),
	ROW(DRIVER, "RecoverTask", UNARY, recover_task_request, ON_WORKER(recover_task)),
	ROW(DRIVER, "WaitTask", UNARY, wait_task_request, AT_ONCE(wait_task), .waits = true),
	ROW(DRIVER, "StopTask", UNARY, stop_task_request, AT_ONCE(stop_task)),
	ROW(DRIVER, "DestroyTask", UNARY, destroy_task_request, ON_WORKER(destroy_task)),
	ROW(DRIVER, "InspectTask", UNARY, inspect_task_request, ON_WORKER(inspect_task)),
	ROW(DRIVER, "SignalTask", UNARY, signal_task_request, ON_WORKER(signal_task)),
	ROW(DRIVER, "ExecTask", UNARY, exec_task_request, AT_ONCE(exec_task)),
	ROW(DRIVER, "ExecTaskStreaming", BIDI, exec_task_streaming_request, ON_WORKER(exec_streaming),
	    .more = nomad__serve_exec_streaming_more),
	ROW(DRIVER, "CreateNetwork", UNARY, create_network_request, ON_WORKER(create_network)),
	ROW(DRIVER, "DestroyNetwork", UNARY, destroy_network_request, ON_WORKER(destroy_network)),
};

const size_t nomad__n_methods = NOMAD_ARRAY_LEN(nomad__methods);
