/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/metrics.h: counters of a driver's own, beside those that every
 * driver has.
 *
 * They are shown where the plugin option `metrics` is set, and cost an atomic
 * addition where it is not.  What they are called and told apart by is fixed
 * in the driver: never a name that a job gives, or each job would make a
 * series that lasts for ever. */
#ifndef NOMAD_METRICS_H
#define NOMAD_METRICS_H

#include "nomad/base.h"

NOMAD_BEGIN_DECLS

struct nomad_counter;
struct nomad_error;
struct nomad_plugin;

/* The counter nomad_driver_DRIVER_`name`_total, at 0, for as long as the plugin
 * lives.  `name` has lower-case letters, digits and underscores and does not
 * end with "_total"; `help` is a sentence.  Counters of one name differ by the
 * value of one `label`; both NULL: there is only one.  Asked for again, the
 * same counter is given.  At most 64 in all: -ENOSPC, NULL.  Best made in init(). */
struct nomad_counter *nomad_counter_new(struct nomad_plugin *plugin, const char *name, const char *help,
					const char *label, const char *value, struct nomad_error **err);
/* Count `n` more.  Any thread; NULL, a counter that could not be made, counts nothing. */
void nomad_counter_add(struct nomad_counter *counter, uint64_t n);

NOMAD_END_DECLS

#endif
