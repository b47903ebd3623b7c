/* SPDX-License-Identifier: MPL-2.0
 *
 * plugin-test/host.h: Nomad's side of a plugin: its process, and a task as an agent would describe it. */
#ifndef NOMAD_PLUGIN_TEST_HOST_H
#define NOMAD_PLUGIN_TEST_HOST_H

#include <stdint.h>

#include "cli/alloc.h"
#include "wire/message.h"

struct host {
	const char *exe;
	bool verbose; /* the plugin's log goes to our stderr */
	int pid, out; /* its stdout */
	char line[512], address[256];
};

/* Starts the plugin, with Nomad's environment or as a person would, and reads its first line within 10 s; line[0] is 0
 * if none comes.  0 or -errno. */
int host_launch(struct host *host, bool as_plugin);
/* Whether the process ends within `ms`; its wait status. */
bool host_ends(struct host *host, int ms, int *ret_status);
/* Kills it if it is there. */
void host_kill(struct host *host);
/* What is on stdout behind the handshake. */
bool host_said_more(const struct host *host);
int host_descriptors(const struct host *host);

/* The processes of the host that have the allocation's id in their environment; how many. */
int host_task_pids(const char *alloc_id, int *ret, int max);
/* How many of them have a parent outside the list: one for each program that was started for the task. */
int host_task_roots(const char *alloc_id);
bool host_has_mounts(const char *below);

/* The message of a task; its parts are borrowed from `info` and freed by task_message_done(). */
struct task_message {
	Pb__TaskConfig task;
	Pb__Resources resources;
	Pb__AllocatedTaskResources allocated;
	Pb__AllocatedCpuResources cpu;
	Pb__AllocatedMemoryResources memory;
	Pb__LinuxResources linux_part;
	Pb__PortMapping *ports, **port_list;
};
int task_message_new(const struct nomad_task_info *info, const void *config, size_t size, struct task_message *ret);
void task_message_done(struct task_message *message);

/* ---- config.c ---- */

/* What Nomad makes of a job's `config` (NULL: none) by the plugin's schema: msgpack, malloc()ed. */
int config_pack(const Pb__Spec *spec, const json_t *config, void **ret, size_t *ret_size, struct nomad_error **err);
/* NULL, or what Nomad would not understand in a schema. */
const char *config_spec_fault(const Pb__Spec *spec, int depth);

#endif
