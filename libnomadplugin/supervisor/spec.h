/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/spec.h: a growing list of keys: the specification for a supervisor. */
#ifndef NOMAD_SUPERVISOR_SPEC_H
#define NOMAD_SUPERVISOR_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nomad/driver.h"
#include "nomad/error.h"

struct nomad__supervise;

struct nomad__keys {
	char *data;
	size_t size, room;
	bool failed; /* memory ran out, or a value cannot be: all later calls do nothing */
};

void nomad__keys_add(struct nomad__keys *spec, const char *key, const char *value);
void nomad__keys_num(struct nomad__keys *spec, const char *key, int64_t value);
void nomad__keys_addf(struct nomad__keys *spec, const char *key, const char *fmt, ...) NOMAD_PRINTF(3, 4);
/* Overwritten (it may hold secrets) and freed. */
void nomad__keys_done(struct nomad__keys *spec);
/* An anonymous file with the content; fd or -errno. */
int nomad__keys_file(const struct nomad__keys *spec);

/* Numbers for a user of this host: "name", "uid" or Nomad's dynamic "nomad-N". */
int nomad__spec_user(struct nomad__keys *spec, const char *user, struct nomad_error **err);
/* What to start, without the limits. */
int nomad__spec_start(struct nomad__keys *spec, const struct nomad__supervise *what, struct nomad_error **err);
/* What to run in the task. */
int nomad__spec_exec(struct nomad__keys *spec, const struct nomad_exec *exec, struct nomad_error **err);

#endif
