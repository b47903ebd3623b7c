/* SPDX-License-Identifier: MPL-2.0 */
#include "base/file.h"

#include <string.h>

const struct dirent *nomad__entries_next(struct nomad__entries *e)
{
	const struct dirent *d;

	do {
		if (e->at >= e->size) {
			e->at = 0;
			e->size = nomad__getdents(e->fd, e->buf, sizeof(e->buf));
			if (e->size <= 0)
				return NULL;
		}
		d = (const struct dirent *)(const void *)(e->buf + e->at);
		e->at += d->d_reclen;
	} while (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0);
	return d;
}
