/* SPDX-License-Identifier: MPL-2.0
 *
 * The head of a qcow2 image. */
#include "fuzz.h"
#include "nomad-driver-nspawn/download.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	uint8_t *head = fuzz_bytes(&in, NSPAWN_QCOW2_HEAD, &size);

	if (nspawn_qcow2_is_alone(head, size))
		fuzz_must(size == NSPAWN_QCOW2_HEAD && memcmp(head + 8, "\0\0\0\0\0\0\0", 8) == 0);
	free(head);
	return 0;
}
