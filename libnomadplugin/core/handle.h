/* SPDX-License-Identifier: MPL-2.0
 *
 * core/handle.h: driver_state, the bytes that Nomad keeps with a task and
 * gives back in RecoverTask, possibly to a newer or older plugin. */
#ifndef NOMAD_HANDLE_H
#define NOMAD_HANDLE_H

#include <stddef.h>
#include <stdint.h>

#include "nomad/error.h"

enum { NOMAD__HANDLE_VERSION = 1, NOMAD__HANDLE_MAX_SIZE = 8 << 20 };

struct nomad__handle {
	uint64_t version;
	char *driver; /* name */
	char *boot_id;
	char *state_dir; /* of the task */
	void *config;	 /* msgpack without secrets */
	size_t config_size;
};

int nomad__handle_encode(const struct nomad__handle *handle, void **ret_data, size_t *ret_size,
			 struct nomad_error **err);
/* Bytes from anywhere: -EINVAL with a reason.  Unknown keys are ignored. */
int nomad__handle_decode(const void *data, size_t size, struct nomad__handle *ret, struct nomad_error **err);
void nomad__handle_done(struct nomad__handle *handle);

#endif
