/* SPDX-License-Identifier: MPL-2.0
 *
 * wire/handlers.h: the table of methods, and the handlers that it lists, by file. */
#ifndef NOMAD_WIRE_HANDLERS_H
#define NOMAD_WIRE_HANDLERS_H

#include "wire/call.h"

/* methods.c */
extern const struct nomad__method nomad__methods[];
extern const size_t nomad__n_methods;

typedef void nomad__handler(struct nomad__call *call, const ProtobufCMessage *request);
typedef bool nomad__more_handler(struct nomad__call *call, const ProtobufCMessage *request);

/* services.c: go-plugin's own, health, BasePlugin */
nomad__handler nomad__serve_shutdown_process, nomad__serve_stdio, nomad__serve_broker;
nomad__more_handler nomad__serve_broker_more;
nomad__handler nomad__serve_health_check, nomad__serve_health_watch;
nomad__handler nomad__serve_plugin_info, nomad__serve_config_schema, nomad__serve_set_config;
nomad__handler nomad__serve_task_config_schema;

/* driver.c: facts about the driver, its networks */
nomad__handler nomad__serve_init, nomad__serve_shutdown, nomad__serve_capabilities;
nomad__handler nomad__serve_create_network, nomad__serve_destroy_network;

/* tasks.c */
nomad__handler nomad__serve_start_task, nomad__serve_recover_task, nomad__serve_wait_task, nomad__serve_stop_task;
nomad__handler nomad__serve_destroy_task, nomad__serve_inspect_task, nomad__serve_signal_task;

/* streams.c */
nomad__handler nomad__serve_fingerprint, nomad__serve_task_events, nomad__serve_task_stats;

/* exec.c */
nomad__handler nomad__serve_exec_task, nomad__serve_exec_streaming;
nomad__more_handler nomad__serve_exec_streaming_more;

#endif
