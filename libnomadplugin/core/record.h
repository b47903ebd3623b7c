/* SPDX-License-Identifier: MPL-2.0
 *
 * core/record.h: the journal of one task: keys and values, appended line by
 * line and synced, read back whole.  A line that was cut by a crash is
 * ignored: what it announced had not been created yet. */
#ifndef NOMAD_RECORD_H
#define NOMAD_RECORD_H

#include "nomad/base.h"
#include "nomad/error.h"

enum { NOMAD__RECORD_MAX_VALUE = 4096, NOMAD__RECORD_MAX_SIZE = 1 << 20 };

struct nomad__record {
	int fd;			/* of the journal; -1 before open */
	char *path;
	struct nomad_map map;
};

#define NOMAD__RECORD_INIT { .fd = -1 }

/* Open or create `path` and read what is there. */
int nomad__record_open(struct nomad__record *record, const char *path, bool create, struct nomad_error **err);
int nomad__record_put(struct nomad__record *record, const char *key, const char *value, struct nomad_error **err);
/* Write all that is in the map, at once. */
int nomad__record_put_all(struct nomad__record *record, struct nomad_error **err);
void nomad__record_forget(struct nomad__record *record, const char *key);
void nomad__record_close(struct nomad__record *record);

#endif
