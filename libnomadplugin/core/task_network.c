/* SPDX-License-Identifier: MPL-2.0
 *
 * The address and ports of a task that Nomad does not know by itself.
 *
 * Recorded as lines: the address, 0 or 1, then label=port each.  A start that
 * is adopted by another process has to answer with the same network. */
#include "core/task_network.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/task_journal.h"

struct nomad__task_network {
	pthread_mutex_t lock;
	struct nomad__started known; /* its network only */
};

struct nomad__task_network *nomad__task_network_new(void)
{
	struct nomad__task_network *network = calloc(1, sizeof(*network));

	if (network)
		pthread_mutex_init(&network->lock, NULL);
	return network;
}

void nomad__task_network_free(struct nomad__task_network *network)
{
	if (!network)
		return;
	nomad__started_done(&network->known);
	pthread_mutex_destroy(&network->lock);
	free(network);
}

static int copy(struct nomad__started *to, const char *addr, bool auto_advertise, const struct nomad_int_map *port_map)
{
	int r = 0;

	if (addr && *addr && !(to->addr = strdup(addr)))
		r = -ENOMEM;
	for (size_t i = 0; r >= 0 && port_map && i < port_map->count; i++)
		r = nomad_int_map_set(&to->port_map, port_map->pairs[i].key, port_map->pairs[i].value);
	to->auto_advertise = auto_advertise;
	to->has_network = to->addr || to->port_map.count || auto_advertise;
	return r;
}

static int set_network(struct nomad_task *task, const char *addr, bool auto_advertise,
		       const struct nomad_int_map *port_map)
{
	struct nomad__task_network *network = task->network;
	struct nomad__started known = { 0 };
	int r = copy(&known, addr, auto_advertise, port_map);

	if (r >= 0) {
		struct nomad__started before;

		pthread_mutex_lock(&network->lock);
		before = network->known;
		network->known = known;
		pthread_mutex_unlock(&network->lock);
		known = before;
	}
	nomad__started_done(&known);
	return r;
}

int nomad__task_network_copy(struct nomad_task *task, struct nomad__started *ret)
{
	const struct nomad__started *known = &task->network->known;
	int r;

	pthread_mutex_lock(&task->network->lock);
	r = copy(ret, known->addr, known->auto_advertise, &known->port_map);
	pthread_mutex_unlock(&task->network->lock);
	return r;
}

int nomad_task_set_network(struct nomad_task *task, const char *addr, bool auto_advertise,
			   const struct nomad_int_map *port_map)
{
	NOMAD_AUTO_FREE char *text = nomad_strdupf("%s\n%d\n", addr ? addr : "", auto_advertise);
	int r = text ? set_network(task, addr, auto_advertise, port_map) : -ENOMEM;

	for (size_t i = 0; r >= 0 && port_map && i < port_map->count; i++) {
		char *longer =
			nomad_strdupf("%s%s=%lld\n", text, port_map->pairs[i].key, (long long)port_map->pairs[i].value);

		r = longer ? 0 : -ENOMEM;
		free(text);
		text = longer;
	}
	return r < 0 ? r : nomad__task_record_network(task, text);
}

int nomad__task_network_restore(struct nomad_task *task)
{
	const char *recorded = nomad__task_fact(task, "network");
	NOMAD_AUTO_FREE char *text = recorded ? strdup(recorded) : NULL;
	struct nomad_int_map ports = { 0 };
	char *rest = text, *addr = strsep(&rest, "\n"), *line = strsep(&rest, "\n");
	bool advertise;
	int r = 0;

	if (!line)
		return recorded && !text ? -ENOMEM : 0;
	advertise = strcmp(line, "1") == 0;
	while (r >= 0 && (line = strsep(&rest, "\n"))) {
		char *equals = strrchr(line, '=');

		if (!equals)
			continue;
		*equals = 0;
		r = nomad_int_map_set(&ports, line, strtoll(equals + 1, NULL, 10));
	}
	if (r >= 0)
		r = set_network(task, addr, advertise, &ports);
	nomad_int_map_done(&ports);
	return r;
}
