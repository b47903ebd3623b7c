/* SPDX-License-Identifier: MPL-2.0
 *
 * The driver table, and how the parts are called.
 *
 *	Nomad --gRPC--> nomad-driver-nspawn --exec--> supervisor --exec-->
 *		nspawn-init launch --exec--> systemd-nspawn --clone--> nspawn-init, PID 1
 *		of the container --fork--> the command, PID 2
 *
 * What people may write is in config.c, a start in start.c and files.c, the
 * command line in argv.c, where images are in image.c and download.c,
 * networks in network.c, users in users.c, all else of a task's life in life.c.  What
 * a task leaves on the host beyond its state directory are its network and its leases; they are
 * recorded before they are made, and destroy() removes them.  All mounts live in the
 * mount namespace of systemd-nspawn and go with it. */
#include <stdlib.h>

#include "download.h"
#include "driver.h"
#include "start.h"

static int nspawn_init(struct nomad_plugin *plugin, void **ret_data, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *images = NULL;
	struct nspawn_data *data;
	int r = nspawn_data_new(nomad_plugin_state_dir(plugin), &data, err);

	if (r < 0)
		return r;
	nspawn_users_sweep();
	nspawn_network_sweep(nomad_plugin_state_dir(plugin));
	images = nspawn_images_dir(plugin);
	if (images)
		nspawn_download_sweep(images);
	*ret_data = data;
	return 0;
}

static void nspawn_fini(struct nomad_plugin *plugin, void *data)
{
	(void)plugin;
	nspawn_data_free(data);
}

const struct nomad_driver nspawn_driver = {
	.name = "nspawn",
	.version = NOMAD_VERSION,
	.summary = "tasks in containers of systemd-nspawn",
	.capabilities = NOMAD_CAN_SIGNAL | NOMAD_CAN_EXEC | NOMAD_JOIN_GROUP_NETWORK,
	.fs_isolation = NOMAD_FS_IMAGE,
	.config_schema = &nspawn_plugin_schema,
	.task_schema = &nspawn_task_schema,
	.init = nspawn_init,
	.fini = nspawn_fini,
	.fingerprint = nspawn_fingerprint,
	.start = nspawn_start,
	.recover = nspawn_recover,
	.stop = nspawn_stop,
	.signal = nspawn_signal,
	.destroy = nspawn_destroy,
	.inspect = nspawn_inspect,
};
