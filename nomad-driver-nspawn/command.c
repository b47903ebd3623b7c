/* SPDX-License-Identifier: MPL-2.0
 *
 * The program of a container, by the rules of docker:
 *
 *	entrypoint of the job, else of the image
 *	command and args of the job; if there are neither, the image's command, unless the job has an entrypoint
 *
 * A bundle, and an image that an earlier version unpacked, has one list for
 * both, which command replaces.  For a system that boots, all are words of
 * its init. */
#include <errno.h>
#include <stdlib.h>

#include "command.h"

static int add_all(char ***list, char **words)
{
	int r = 0;

	for (; words && *words && r >= 0; words++)
		r = nomad_strv_add(list, *words);
	return r;
}

int nspawn_command(const struct nspawn_config *config, const struct nspawn_oci *oci, char ***ret)
{
	const bool says = config->command || config->args, image = !config->boot;
	char **list = calloc(1, sizeof(char *));
	char **first = config->entrypoint ? config->entrypoint : image ? oci->entrypoint : NULL;
	char **rest = says || config->entrypoint || !image ? NULL : oci->has_image ? oci->cmd : oci->args;
	int r = list ? add_all(&list, first) : -ENOMEM;

	if (r >= 0)
		r = add_all(&list, rest);
	if (r >= 0)
		r = add_all(&list, config->command);
	if (r >= 0)
		r = add_all(&list, config->args);
	if (r < 0)
		nomad_strv_free(list);
	else
		*ret = list;
	return r;
}
