/* SPDX-License-Identifier: MPL-2.0
 *
 * The partition table of a raw image, as nspawn-init reads it in the container. */
#include "fuzz.h"
#include "nomad-driver-nspawn/init/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = fuzz_file(data, size);
	uint64_t offset, length;

	/* What the kernel is asked for does not wrap around. */
	if (partition_find(fd, &offset, &length) == 0)
		fuzz_must(offset <= UINT64_C(1) << 60 && length <= UINT64_C(1) << 60);
	close(fd);
	return 0;
}
