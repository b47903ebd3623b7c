/* SPDX-License-Identifier: MPL-2.0
 *
 * core/journal.h: the journal of one task: keys and values, appended line by
 * line, read back whole.  A line that was cut by a crash is ignored: what it
 * announced had not been created yet.
 *
 * Who the task is outlives any process as soon as it is written.  A power
 * cut takes all that is local, so nothing waits for the disk until something is noted
 * that may be left even then: that is synced, with all before it and the journal's name. */
#ifndef NOMAD_CORE_JOURNAL_H
#define NOMAD_CORE_JOURNAL_H

#include <stdbool.h>
#include <sys/types.h>

#include "nomad/base.h"
#include "nomad/error.h"

enum { NOMAD__JOURNAL_MAX_VALUE = 4096, NOMAD__JOURNAL_MAX_SIZE = 1 << 20 };

struct nomad__journal {
	int fd; /* of the journal; -1 before open */
	char *path;
	struct nomad_map map;
	off_t torn_at; /* where half a line begins that a crash left; -1: none */
	bool named;    /* its name, and that of its directory, are on the disk */
	bool broken;   /* half a line could not be taken back: nothing is written behind it */
};

#define NOMAD__JOURNAL_INIT                                                                                            \
	{                                                                                                              \
		.fd = -1, .torn_at = -1                                                                                \
	}

/* Open or create `path` and read its lines.  Writes nothing: other processes may have it open. */
int nomad__journal_open(struct nomad__journal *record, const char *path, bool create, struct nomad_error **err);
int nomad__journal_put(struct nomad__journal *record, const char *key, const char *value, struct nomad_error **err);
/* Without waiting for the disk: for what means nothing after a power cut, since the boot is another one then. */
int nomad__journal_note(struct nomad__journal *record, const char *key, const char *value, struct nomad_error **err);
/* Write all that is in the map, at once; not synced. */
int nomad__journal_put_all(struct nomad__journal *record, struct nomad_error **err);
void nomad__journal_forget(struct nomad__journal *record, const char *key);
/* Claim the task: lock the journal until the record is closed or the process
 * ends, see core/tasks_on_disk.h.  Waits up to `patience_ms` for another
 * holder.  Returns 0; -EWOULDBLOCK if another process holds the claim; -ESTALE
 * if the journal was removed meanwhile: open it again. */
int nomad__journal_claim(struct nomad__journal *record, int patience_ms);
void nomad__journal_close(struct nomad__journal *record);

/* What the key "started" says of a task without a supervisor: it runs
 * elsewhere and outlives this host's boot. */
#define NOMAD__STARTED_REMOTE "remote"
bool nomad__journal_is_remote(const struct nomad_map *map);

#endif
