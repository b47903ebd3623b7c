/* SPDX-License-Identifier: MPL-2.0
 *
 * core/fingerprint.h: one look at the host, for the stream and for `doctor`. */
#ifndef NOMAD_FINGERPRINT_H
#define NOMAD_FINGERPRINT_H

#include "core/core.h"

struct nomad__check {
	char *what, *finding, *remedy;
	bool ok;
	enum nomad_health otherwise;
};

struct nomad_fingerprint {
	char *prefix; /* "driver.<name>" */
	enum nomad_health health;
	char *description;
	struct nomad__attribute *attributes; /* sorted by key when finished */
	size_t n_attributes;
	struct nomad__check *checks;
	size_t n_checks;
	bool failed; /* out of memory */
};

/* Calls the driver's fingerprint(); -ENOMEM at worst. */
int nomad__fingerprint_look(struct nomad_plugin *plugin, struct nomad_fingerprint **ret);
void nomad__fingerprint_free(struct nomad_fingerprint *fp);
bool nomad__fingerprint_equal(const struct nomad_fingerprint *a, const struct nomad_fingerprint *b);

#endif
