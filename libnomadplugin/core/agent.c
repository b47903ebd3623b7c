/* SPDX-License-Identifier: MPL-2.0 */
#include "core/agent.h"

#include <pthread.h>

#include "core/parts.h"
#include "core/plugin.h"

struct nomad__agent {
	pthread_mutex_t lock;
	unsigned streams;
	int64_t came_ns, left_ns;
};

const struct nomad__part nomad__agent_part = NOMAD__PART(struct nomad__agent, agent);

void nomad__agent_comes(struct nomad_plugin *plugin)
{
	pthread_mutex_lock(&plugin->agent->lock);
	if (plugin->agent->streams++ == 0)
		plugin->agent->came_ns = nomad_monotonic_ns();
	pthread_mutex_unlock(&plugin->agent->lock);
}

void nomad__agent_goes(void *arg)
{
	struct nomad_plugin *plugin = arg;

	pthread_mutex_lock(&plugin->agent->lock);
	if (--plugin->agent->streams == 0)
		plugin->agent->left_ns = nomad_monotonic_ns();
	pthread_mutex_unlock(&plugin->agent->lock);
}

int64_t nomad__agent_there_ns(struct nomad_plugin *plugin)
{
	int64_t there = 0;

	pthread_mutex_lock(&plugin->agent->lock);
	if (plugin->agent->streams)
		there = nomad_monotonic_ns() - plugin->agent->came_ns;
	pthread_mutex_unlock(&plugin->agent->lock);
	return there;
}

int64_t nomad__agent_left_ns(struct nomad_plugin *plugin)
{
	int64_t left;

	pthread_mutex_lock(&plugin->agent->lock);
	left = plugin->agent->left_ns;
	pthread_mutex_unlock(&plugin->agent->lock);
	return left;
}
