/* SPDX-License-Identifier: MPL-2.0
 *
 * What a change feed sends: frames within bounds, messages without a fault. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of its own, so that a read beyond the end is seen. */
	uint8_t *copy = malloc(size ? size : 1);
	struct triton_frame frame;
	size_t at = 0;
	ssize_t n;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	while ((n = triton_frame_parse(copy + at, size - at, &frame)) > 0) {
		if ((size_t)n > size - at || frame.data < copy + at || frame.data + frame.size > copy + at + n)
			abort();
		free(triton_feed_machine((const char *)frame.data, frame.size));
		at += (size_t)n;
	}
	free(copy);
	return 0;
}
