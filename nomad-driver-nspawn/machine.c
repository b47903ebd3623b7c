/* SPDX-License-Identifier: MPL-2.0
 *
 * The list of what is bound in a machine. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "argv.h"

int nspawn_machine_bind(struct nspawn_machine *m, const char *host, const char *container, bool read_only,
			struct nomad_error **err)
{
	struct nspawn_bind *binds, *b;
	size_t i;

	/* The later one wins, as it would if both were mounted. */
	for (i = 0; i < m->n_binds; i++)
		if (strcmp(m->binds[i].container, container) == 0)
			break;
	if (i == m->n_binds) {
		binds = realloc(m->binds, (m->n_binds + 1) * sizeof(*binds));
		if (!binds)
			return nomad_error_errno(err, ENOMEM, "bind '%s'", host);
		m->binds = binds;
		m->binds[m->n_binds++] = (struct nspawn_bind){ 0 };
	}
	b = &m->binds[i];
	free(b->host);
	free(b->container);
	*b = (struct nspawn_bind){ .host = strdup(host), .container = strdup(container), .read_only = read_only };
	return b->host && b->container ? 0 : nomad_error_errno(err, ENOMEM, "bind '%s'", host);
}

void nspawn_machine_done(struct nspawn_machine *m)
{
	size_t i;

	for (i = 0; i < m->n_binds; i++) {
		free(m->binds[i].host);
		free(m->binds[i].container);
	}
	free(m->binds);
	m->binds = NULL;
	m->n_binds = 0;
}
