/* SPDX-License-Identifier: MPL-2.0
 *
 * nomadinit's DHCP client and what answers it: each answer is a byte of how, a length of two bytes, and bytes that
 * are a frame, a packet, or the address and the options of one that is for us. */
#include "fuzz.h"
#include "nomadinit/dhcp.c"
#include "nomadinit/packet.h"

static void send_nothing(void *data, const void *packet, size_t len, uint32_t from, uint32_t to)
{
	(void)data;
	(void)from;
	(void)to;
	fuzz_must(len <= DHCP_PACKET_MAX && nomad__dhcp_is_packet(packet, len, 1));
}

static void changed(void *data, const struct dhcp_lease *l)
{
	(void)data;
	if (!l)
		return;
	fuzz_must(is_host_address(l->address) && l->prefix >= 1 && l->prefix <= 32 && l->lease_s >= LEASE_MIN);
	fuzz_must(l->t1_s < l->t2_s && l->t2_s < l->lease_s && l->n_routes <= NOMAD_ARRAY_LEN(l->routes));
	fuzz_must((!l->hostname[0] || util_is_hostname(l->hostname)) && (!l->domain[0] || util_is_hostname(l->domain)));
}

static void receive(struct dhcp_client *c, struct fuzz_input *in)
{
	unsigned how = fuzz_byte(in), n = fuzz_byte(in) << 8;
	uint8_t packet[DHCP_PACKET_MAX], *bytes;
	size_t size, at = 0;
	const char *why;

	n |= fuzz_byte(in);
	bytes = fuzz_bytes(in, n, &size);
	if (how & 8)
		on_timer(c);
	if (how & 4) {
		if (packet_unwrap(bytes, size, how & 2, &at, &size) == 0)
			(void)dhcp_input(c, bytes + at, size, &why);
	} else if (how & 1 && size >= 4 && size - 4 <= sizeof(packet) - NOMAD__DHCP_OPTIONS) {
		uint8_t *p = nomad__dhcp_begin(packet, sizeof(packet), 2);

		memcpy(packet + NOMAD__DHCP_XID, &c->xid, 4);
		memcpy(packet + NOMAD__DHCP_CHADDR, c->mac, 6);
		memcpy(packet + NOMAD__DHCP_YIADDR, bytes, 4);
		memcpy(p, bytes + 4, size - 4);
		(void)dhcp_input(c, packet, NOMAD__DHCP_OPTIONS + size - 4, &why);
	} else {
		(void)dhcp_input(c, bytes, size, &why);
	}
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct dhcp_client c = {
		.mac = { 2, 1, 2, 3, 4, 5 }, .hostname = "node", .send = send_nothing, .changed = changed
	};

	dhcp_start(&c);
	on_timer(&c);
	for (int i = 0; in.size && i < 16; i++)
		receive(&c, &in);
	dhcp_stop(&c);
	return 0;
}
