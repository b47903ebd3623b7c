/* SPDX-License-Identifier: MPL-2.0
 *
 * Bytes from the wire into the decoder, over a table that has every type.
 * Beyond "no crash": an error is one printable line, what was accepted can
 * be redacted, and what was redacted can be read again. */
#include <errno.h>

#include "base/log.h"
#include "fuzz.h"
#include "schema/everything.h"

/* Warnings about deprecated options are of no interest. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	nomad__log_setup(NOMAD__LOG_TEXT, "fuzz", NOMAD_LOG_ERROR);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nomad_error *err = NULL;
	void *config = NULL, *stored = NULL;
	size_t stored_size = 0;
	int r;

	r = nomad__config_decode(&everything_schema, "task config", data, size, 0, &config, &err);
	if (r < 0) {
		fuzz_must(r == -EINVAL || r == -ENOMEM);
		fuzz_error(err);
		return 0;
	}
	nomad__config_free(&everything_schema, config);
	if (nomad__config_redact(&everything_schema, data, size, &stored, &stored_size, &err) < 0)
		abort();
	if (nomad__config_decode(&everything_schema, "stored config", stored, stored_size, NOMAD__DECODE_STORED,
				 &config, &err) < 0)
		abort();
	nomad__config_free(&everything_schema, config);
	free(stored);
	return 0;
}
