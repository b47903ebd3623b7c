/* SPDX-License-Identifier: MPL-2.0
 *
 * plugin-test/test.h: what the checks share. */
#ifndef NOMAD_PLUGIN_TEST_H
#define NOMAD_PLUGIN_TEST_H

#include <pthread.h>

#include <grpc/grpc.h>

#define CLIENT_MUST(condition)                                                                                         \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			printf("Bail out! gRPC, or the plugin for two minutes, gave no answer: %s\n", #condition);     \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)
extern grpc_channel *channel;

#include "plugin-test/host.h"
#include "wire/client.h"

#define BASE "/hashicorp.nomad.plugins.base.proto.BasePlugin/"
#define DRIVER "/hashicorp.nomad.plugins.drivers.proto.Driver/"
#define STREAM_MS 15000 /* for what comes by itself */

/* One at a time; all that the checks share. */
extern struct test {
	struct host host;
	const char *job_path, *config_path;
	char *dir; /* the plugin's records, if it has an option for that */
	char *name;
	Pb__ConfigSchemaResponse *schema;
	Pb__TaskConfigSchemaResponse *task_schema;
	Pb__DriverCapabilities caps;
	struct nomad__job job;
	struct nomad__alloc alloc;
	void *config, *plugin_config;
	size_t config_size, plugin_config_size;
	struct task_message message;
	Pb__StartTaskResponse *started;
	int ran, failed;
	pthread_t drain;
} t;

/* A line of TAP. */
void check(bool ok, const char *fmt, ...) NOMAD_PRINTF(2, 3);
void skip(const char *what, const char *why);
/* Ends the test. */
void bail(const char *why) __attribute__((noreturn));

extern char said[512]; /* the message of the last call's status */

#define CALL(path, request, type, ret) unary(path, request, &pb__##type##__descriptor, ret, said)
#define BY_ID(method, Type, type, id, ret)                                                                             \
	({                                                                                                             \
		Pb__##Type##Request by_id;                                                                             \
                                                                                                                       \
		pb__##type##_request__init(&by_id);                                                                    \
		by_id.task_id = (char *)(id);                                                                          \
		CALL(DRIVER #method, &by_id, type##_response, ret);                                                    \
	})

/* Connects to the address in the handshake; false if that fails. */
bool connect_plugin(void);
/* Launches the plugin and connects. */
void launch(void);
/* As the client does, or as in an agent's trial launch. */
grpc_status_code set_config(bool as_client);
/* Launches the plugin, configures it and calls Init, as a client does. */
void begin(void);
void disconnect(void);
/* Ends the plugin; whether it went by itself, soon, with status 0. */
bool shut_down(void);

/* ---- task.c ---- */

/* The life of one task, with the plugin's death in it, to the plugin's end. */
void check_task(void);

#endif
