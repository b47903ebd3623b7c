/* SPDX-License-Identifier: MPL-2.0
 *
 * SetConfig and Init.  A driver that is initialised keeps its configuration:
 * it has pointers into it.  Nomad before 2.0.4 sends no Init: the first call
 * that needs it does it. */
#include "core/parts.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tree.h"
#include "core/options.h"
#include "core/plugin.h"

struct nomad__init {
	pthread_mutex_t lock;
	bool inited;
	void *data; /* the driver's */
};

const struct nomad__part nomad__init_part = NOMAD__PART(struct nomad__init, init);

void nomad__init_fini(struct nomad_plugin *plugin)
{
	if (plugin->init && plugin->init->inited && plugin->driver->fini)
		plugin->driver->fini(plugin, plugin->init->data);
}

int nomad__plugin_configure(struct nomad_plugin *plugin, const void *config, size_t size,
			    const struct nomad__node *node, struct nomad_error **err)
{
	int r;

	pthread_mutex_lock(&plugin->init->lock); /* init() may be reading the present one */
	r = nomad__options_set(plugin, config, size, !plugin->init->inited, node, err);
	pthread_mutex_unlock(&plugin->init->lock);
	return r;
}

/* The plugin trusts the records in there and removes what they name: nobody
 * else may write there. */
static int make_state_dir(const char *dir, struct nomad_error **err)
{
	struct stat st;
	int r = nomad__make_dirs(dir, 0700);

	if (r >= 0 && stat(dir, &st) < 0)
		r = -errno;
	if (r < 0)
		return nomad_error_errno(err, -r, "create the state directory '%s'", dir);
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return nomad_error_set(err, EPERM,
				       "use the state directory '%s': belongs to uid %u with mode %03o; must belong to "
				       "uid %u and be writable only by its owner",
				       dir, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777, (unsigned)geteuid());
	return 0;
}

int nomad__plugin_init(struct nomad_plugin *plugin, struct nomad_error **err)
{
	struct nomad__init *init = plugin->init;
	int r = 0;

	pthread_mutex_lock(&init->lock);
	if (!init->inited) {
		r = make_state_dir(nomad_plugin_state_dir(plugin), err);
		if (r >= 0 && plugin->driver->init)
			r = plugin->driver->init(plugin, &init->data, err);
		if (r < 0)
			(void)nomad_error_wrap(err, "initialise driver '%s'", plugin->driver->name);
		init->inited = r >= 0;
		for (size_t i = 0; init->inited && plugin->on_init[i]; i++)
			plugin->on_init[i](plugin);
	}
	pthread_mutex_unlock(&init->lock);
	return r < 0 ? r : 0;
}

void *nomad_plugin_data(const struct nomad_plugin *plugin)
{
	return plugin->init->data;
}
