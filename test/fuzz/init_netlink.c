/* SPDX-License-Identifier: MPL-2.0
 *
 * The kernel's messages of links, addresses, and what routers advertise. */
#include <sys/socket.h>

#include "fuzz.h"
#include "nomadinit/netlink.h"

static void link_changed(void *data, const struct net_link *link, bool is_gone)
{
	(void)data;
	(void)is_gone;
	fuzz_must(link->name[0] && strlen(link->name) < sizeof(link->name));
}

static void name_servers(void *data, int index, const uint8_t (*servers)[16], size_t n, uint32_t lifetime_s)
{
	unsigned *sum = data;

	(void)index;
	(void)lifetime_s;
	for (size_t i = 0; i < n; i++)
		*sum += servers[i][0] + servers[i][15];
}

static void routers_say(void *data, int index, bool managed, bool other)
{
	unsigned *sum = data;

	(void)index;
	*sum += managed + other;
}

static void address_usable(void *data, int index, int family)
{
	(void)data;
	(void)index;
	(void)family;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct netlink_events events = {
		.link = link_changed,
		.rdnss = name_servers,
		.routers = routers_say,
		.address = address_usable,
	};
	struct fuzz_input in = { data, size };
	uint8_t *bytes = fuzz_bytes(&in, in.size, &size);
	unsigned sum = 0;

	netlink_parse(bytes, size, &events, &sum);
	free(bytes);
	return 0;
}
