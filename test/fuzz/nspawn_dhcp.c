/* SPDX-License-Identifier: MPL-2.0
 *
 * nspawn's answers to DHCP clients in a container: a packet of theirs. */
#include "fuzz.h"
#include "nomad-driver-nspawn/init/common.c"
#include "nomad-driver-nspawn/init/dhcp.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct lease lease = { .mac = { 2, 110, 1, 2, 3, 4 }, .bits = fuzz_byte(&in) % 33 };
	uint8_t reply[PACKET], *packet = fuzz_bytes(&in, PACKET, &size);
	size_t n;

	inet_pton(AF_INET, "10.88.0.2", &lease.address);
	inet_pton(AF_INET, "10.88.0.1", &lease.gateway);
	n = answer(&lease, packet, size, reply);
	fuzz_must(n <= sizeof(reply));
	if (n)
		fuzz_must(nomad__dhcp_is_packet(reply, n, 2) && option(reply, n, NOMAD__DHCP_TYPE, 1));
	free(packet);
	return 0;
}
