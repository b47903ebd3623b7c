/* SPDX-License-Identifier: MPL-2.0
 *
 * Answers of time servers, one after the other, with our cookie in them unless the first byte is odd. */
#include "fuzz.h"
#include "nomadinit/ntp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t now = 1700000000000000000, built = 1650000000000000000;
	const uint64_t cookie = 0x0123456789abcdef;
	struct fuzz_input in = { data, size };
	unsigned how = fuzz_byte(&in);
	int64_t offset, last = 0;
	bool has_last = false;

	while (in.size) {
		uint8_t *packet = fuzz_bytes(&in, NTP_PACKET, &size);

		if (!(how & 1) && size == NTP_PACKET)
			memcpy(packet + 24, &cookie, 8);
		if (ntp_parse(packet, size, cookie, now, now + 5000000, how & 2 ? built : 0, &offset) == 0) {
			(void)ntp_agrees(has_last, last, offset);
			has_last = true;
			last = offset;
		}
		free(packet);
	}
	return 0;
}
