/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/metrics.h: counters that a driver adds to those of the library.
 *
 * The plugin option `metrics` shows them; without it a counter costs an atomic
 * addition.  Names and label values must be constants of the driver, never
 * text from a job: each value makes a series that is never removed. */
#ifndef NOMAD_METRICS_H
#define NOMAD_METRICS_H

#include "nomad/base.h"

NOMAD_BEGIN_DECLS

struct nomad_counter;
struct nomad_error;
struct nomad_plugin;

/* Creates the counter nomad_driver_DRIVER_`name`_total with the value 0, or
 * returns an existing one.  It lives as long as the plugin.  `name` consists
 * of lower-case letters, digits and underscores and does not end with
 * "_total".  `help` is a sentence.  Counters of the same name differ by the
 * value of one `label`; both are NULL for a single counter.  Best called in
 * init().  A plugin has at most 64 counters; one more is NULL with ENOSPC. */
struct nomad_counter *nomad_counter_new(struct nomad_plugin *plugin, const char *name, const char *help,
					const char *label, const char *value, struct nomad_error **err);
/* Adds `n`.  Safe from any thread.  NULL is a counter that could not be created; the call then does nothing. */
void nomad_counter_add(struct nomad_counter *counter, uint64_t n);

NOMAD_END_DECLS

#endif
