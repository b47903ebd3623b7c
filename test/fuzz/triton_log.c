/* SPDX-License-Identifier: MPL-2.0
 *
 * The frames of a log: cut anywhere, the same comes out. */
#include "fuzz.h"
#include "nomad-driver-triton/docker.h"

struct sum {
	size_t n[3];
	uint32_t hash[3];
};

static void take(void *ud, int fd, const void *data, size_t size)
{
	struct sum *sum = ud;

	if (fd < 1 || fd > 2)
		abort();
	sum->n[fd] += size;
	for (size_t i = 0; i < size; i++)
		sum->hash[fd] = sum->hash[fd] * 31 + ((const uint8_t *)data)[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct triton_demux whole = { .raw = size && data[0] & 1 }, cut = whole;
	struct sum a = { 0 }, b = { 0 };
	size_t step;
	int r, s = 0;

	if (size < 2)
		return 0;
	step = data[1] % 16 + 1u;
	data += 2;
	size -= 2;
	r = triton_demux_feed(&whole, data, size, take, &a);
	for (size_t at = 0; s == 0 && at < size; at += step)
		s = triton_demux_feed(&cut, data + at, size - at < step ? size - at : step, take, &b);
	if (r != s || (r == 0 && memcmp(&a, &b, sizeof(a)) != 0))
		abort();
	return 0;
}
