/* SPDX-License-Identifier: MPL-2.0
 *
 * handle.c: fuzz driver_state, the bytes that Nomad keeps with a task and
 * gives back after a restart: from another version, from a disk that lied,
 * or from somebody who wrote to Nomad's state.  What decodes must encode,
 * and decode again to the same. */
#include "core/handle.h"
#include "fuzz.h"

static int differ(const char *a, const char *b)
{
	return (a == NULL) != (b == NULL) || (a && strcmp(a, b) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nomad__handle handle = { 0 }, again = { 0 };
	struct nomad_error *err = NULL;
	void *bytes = NULL;
	size_t n = 0;

	if (nomad__handle_decode(data, size, &handle, &err) < 0) {
		fuzz_error(err);
		return 0;
	}
	if (nomad__handle_encode(&handle, &bytes, &n, &err) < 0)
		abort();
	if (nomad__handle_decode(bytes, n, &again, &err) < 0)
		abort();
	if (differ(handle.driver, again.driver) || differ(handle.boot_id, again.boot_id) ||
	    differ(handle.state_dir, again.state_dir) || handle.config_size != again.config_size ||
	    (handle.config_size && memcmp(handle.config, again.config, handle.config_size) != 0))
		abort();
	free(bytes);
	nomad__handle_done(&again);
	nomad__handle_done(&handle);
	return 0;
}
