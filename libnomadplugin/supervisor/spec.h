/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/spec.h: a list of keys that grows: what a supervisor is told. */
#ifndef NOMAD_SUPERVISOR_SPEC_H
#define NOMAD_SUPERVISOR_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nomad/driver.h"
#include "nomad/error.h"

struct nomad__supervise;

struct nomad__spec {
	char *data;
	size_t size, room;
	bool failed; /* memory ran out, or a value cannot be: all later calls do nothing */
};

void nomad__spec_add(struct nomad__spec *spec, const char *key, const char *value);
void nomad__spec_num(struct nomad__spec *spec, const char *key, int64_t value);
void nomad__spec_addf(struct nomad__spec *spec, const char *key, const char *fmt, ...) NOMAD_PRINTF(3, 4);
/* Overwritten (it may hold secrets) and freed. */
void nomad__spec_done(struct nomad__spec *spec);
/* An anonymous file with the content; fd or -errno. */
int nomad__spec_file(const struct nomad__spec *spec);

/* Numbers for a user of this host: "name", "uid" or Nomad's dynamic "nomad-N". */
int nomad__spec_user(struct nomad__spec *spec, const char *user, struct nomad_error **err);
/* What to start, without the limits. */
int nomad__spec_start(struct nomad__spec *spec, const struct nomad__supervise *what, struct nomad_error **err);
/* What to run in the task. */
int nomad__spec_exec(struct nomad__spec *spec, const struct nomad_exec *exec, struct nomad_error **err);

#endif
