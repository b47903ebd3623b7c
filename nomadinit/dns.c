/* SPDX-License-Identifier: MPL-2.0 */
#include "dns.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "util.h"

size_t dns_build(uint8_t *out, uint16_t id, const char *name, bool ipv6)
{
	uint8_t *p = out + 12, *label;

	if (!util_is_hostname(name))
		return 0;
	memset(out, 0, 12);
	out[0] = (uint8_t)(id >> 8);
	out[1] = (uint8_t)id;
	out[2] = 1; /* recursion desired */
	out[5] = 1;
	for (label = p++; *name; name++) {
		if (*name == '.') {
			label = p++;
			*label = 0;
			continue;
		}
		*p++ = (uint8_t)*name;
		*label = (uint8_t)(p - label - 1);
	}
	*p++ = 0;
	*p++ = 0;
	*p++ = ipv6 ? 28 : 1;
	*p++ = 0;
	*p++ = 1;
	return (size_t)(p - out);
}

/* Where the name at `at` ends, 0 if it is broken. */
static size_t skip_name(const uint8_t *in, size_t len, size_t at)
{
	while (at < len) {
		if (in[at] == 0)
			return at + 1;
		if (in[at] >= 0xc0)
			return at + 2 <= len ? at + 2 : 0;
		if (in[at] > 63)
			return 0;
		at += 1u + in[at];
	}
	return 0;
}

int dns_parse(const uint8_t *in, size_t len, uint16_t id, const char *name, bool ipv6, struct net_address *ret,
	      size_t max)
{
	uint8_t query[DNS_QUERY_MAX];
	size_t qlen = dns_build(query, id, name, ipv6), at, n = 0, i, want = ipv6 ? 16 : 4;
	unsigned int answers, type, size;

	if (qlen == 0 || len < qlen || in[0] != query[0] || in[1] != query[1] || !(in[2] & 0x80) || in[4] != 0 ||
	    in[5] != 1)
		return -EBADMSG;
	for (i = 12; i < qlen; i++)
		if (in[i] != query[i] && (in[i] | 32) != (query[i] | 32))
			return -EBADMSG;
	if ((in[3] & 15) == 3)
		return -ENOENT;
	if ((in[3] & 15) != 0)
		return -EAGAIN;
	answers = (unsigned int)(in[6] << 8 | in[7]);
	for (at = qlen; answers > 0 && n < max; answers--) {
		at = skip_name(in, len, at);
		if (at == 0 || at + 10 > len)
			break;
		type = (unsigned int)(in[at] << 8 | in[at + 1]);
		size = (unsigned int)(in[at + 8] << 8 | in[at + 9]);
		at += 10;
		if (size > len - at)
			break;
		/* Aliases are followed by taking every address in the answer: the server has put them there. */
		if (type == (ipv6 ? 28u : 1u) && size == want) {
			memset(&ret[n], 0, sizeof(ret[n]));
			ret[n].family = ipv6 ? AF_INET6 : AF_INET;
			ret[n].prefix = ipv6 ? 128 : 32;
			memcpy(ret[n].bytes, in + at, want);
			n++;
		}
		at += size;
	}
	return n ? (int)n : -ENOENT;
}
