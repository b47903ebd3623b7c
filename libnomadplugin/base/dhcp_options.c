/* SPDX-License-Identifier: MPL-2.0 */
#include "base/dhcp_options.h"

#include <errno.h>
#include <string.h>

static const uint8_t cookie[4] = { 99, 130, 83, 99 };

bool nomad__dhcp_is_packet(const uint8_t *packet, size_t size, unsigned op)
{
	return size >= NOMAD__DHCP_OPTIONS && packet[NOMAD__DHCP_OP] == op && packet[1] == 1 && packet[2] == 6 &&
	       memcmp(packet + NOMAD__DHCP_COOKIE, cookie, sizeof(cookie)) == 0;
}

int nomad__dhcp_next(const uint8_t **at, const uint8_t *end, uint8_t *ret_code, const uint8_t **ret_data,
		     size_t *ret_size)
{
	const uint8_t *p = *at;

	while (p < end && *p == 0)
		p++;
	if (p == end || *p == NOMAD__DHCP_END)
		return 0;
	if (end - p < 2 || end - p < 2 + p[1])
		return -EBADMSG;
	*ret_code = p[0];
	*ret_size = p[1];
	*ret_data = p + 2;
	*at = p + 2 + p[1];
	return 1;
}

uint8_t *nomad__dhcp_begin(uint8_t *packet, size_t room, unsigned op)
{
	memset(packet, 0, room);
	packet[NOMAD__DHCP_OP] = (uint8_t)op;
	packet[1] = 1;
	packet[2] = 6;
	memcpy(packet + NOMAD__DHCP_COOKIE, cookie, sizeof(cookie));
	return packet + NOMAD__DHCP_OPTIONS;
}

uint8_t *nomad__dhcp_put(uint8_t *at, enum nomad__dhcp_option code, const void *data, size_t size)
{
	*at++ = (uint8_t)code;
	*at++ = (uint8_t)size;
	memcpy(at, data, size);
	return at + size;
}

size_t nomad__dhcp_end(uint8_t *packet, uint8_t *at)
{
	*at++ = NOMAD__DHCP_END;
	return at - packet < NOMAD__DHCP_MIN ? NOMAD__DHCP_MIN : (size_t)(at - packet);
}
