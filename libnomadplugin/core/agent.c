/* SPDX-License-Identifier: MPL-2.0 */
#include "core/agent.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/options.h"
#include "core/parts.h"
#include "core/plugin.h"

struct nomad__agent {
	pthread_mutex_t lock;
	unsigned streams;
	int64_t came_ns, left_ns;
	char *node;
	char *memory; /* a symbolic link to its name, which survives this process; or NULL.  Set by init */
};

static void tear_down(void *part)
{
	struct nomad__agent *agent = part;

	free(agent->node);
	free(agent->memory);
}

const struct nomad__part nomad__agent_part = NOMAD__PART(struct nomad__agent, agent, .tear_down = tear_down);

/* Two agents of a host differ in their arguments: no two can have the same configuration.  One without arguments to be
 * seen is not remembered. */
static char *memory_of(struct nomad_plugin *plugin)
{
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s/agents", nomad_plugin_state_dir(plugin));
	char arguments[4096];
	ssize_t size = nomad__process_arguments(getppid(), arguments, sizeof(arguments));

	if (!dir || size <= 0 || (mkdir(dir, 0700) < 0 && errno != EEXIST))
		return NULL;
	return nomad_strdupf("%s/%016" PRIx64, dir, nomad_hash64(arguments, (size_t)size));
}

void nomad__agent_remember(struct nomad_plugin *plugin)
{
	struct nomad__agent *agent = plugin->agent;
	struct nomad__node configured;
	char node[256];
	ssize_t size;

	if (!nomad__options_node(plugin, &configured))
		return;
	agent->memory = memory_of(plugin);
	size = agent->memory ? readlink(agent->memory, node, sizeof(node)) : -1;
	if (size > 0 && size < (ssize_t)sizeof(node))
		agent->node = strndup(node, (size_t)size);
}

/* Without the memory, the next plugin waits for a task of this node. */
static void memorize(const char *memory, const char *node)
{
	NOMAD_AUTO_FREE char *temporary = memory ? nomad_strdupf("%s.new", memory) : NULL;

	if (!temporary)
		return;
	(void)unlink(temporary);
	if (symlink(node, temporary) == 0)
		(void)rename(temporary, memory);
}

void nomad__agent_is_of(struct nomad_plugin *plugin, const char *node)
{
	struct nomad__agent *agent = plugin->agent;
	char *copy = NULL;

	pthread_mutex_lock(&agent->lock);
	if (*node && (!agent->node || strcmp(agent->node, node) != 0) && (copy = strdup(node))) {
		free(agent->node);
		agent->node = copy;
	}
	pthread_mutex_unlock(&agent->lock);
	if (copy)
		memorize(agent->memory, node);
}

bool nomad__agent_is_node(struct nomad_plugin *plugin, const char *node)
{
	bool is;

	pthread_mutex_lock(&plugin->agent->lock);
	is = plugin->agent->node && strcmp(plugin->agent->node, node) == 0;
	pthread_mutex_unlock(&plugin->agent->lock);
	return is;
}

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
