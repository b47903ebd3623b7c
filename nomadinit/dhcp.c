/* SPDX-License-Identifier: MPL-2.0 */
/* DHCPv4 client.
 *
 *   SELECTING --offer--> REQUESTING --ack--> BOUND --T1--> RENEWING --T2--> REBINDING
 *       ^                    |nak/silence      ^  ack          |               |  ack
 *       +--------------------+-----------------+---------------+---------------+
 *       +------------------- the lease's end (the address is given up) --------+
 *   REBOOTING: the cable came back; ask for the same address, else SELECTING.
 *
 * Whatever answers is a stranger: lengths are checked, addresses that no host can have are refused, times are
 * brought into order, names are only taken if they are names.  A server whose offer was refused does not stop us:
 * we go on listening for another. */
#include "dhcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "util.h"

#define LEASE_MIN 20u
#define LEASE_MAX (10u * 365 * 86400)

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static bool is_host_address(uint32_t net_order)
{
	uint32_t a = ntohl(net_order);

	return a >> 24 != 0 && a >> 24 != 127 && a < 0xe0000000;
}

/* Network order mask to prefix length, -1 if it has holes. */
static int prefix_of(uint32_t mask)
{
	uint32_t m = ntohl(mask);
	int n = 0;

	for (; m & 0x80000000; m <<= 1)
		n++;
	return m ? -1 : n;
}

static size_t take_addresses(uint32_t *to, size_t max, const uint8_t *p, size_t len)
{
	size_t n = 0;

	for (; len >= 4 && n < max; p += 4, len -= 4)
		if (is_host_address(get32(p)))
			to[n++] = get32(p);
	return n;
}

static void take_name(char *to, size_t size, const uint8_t *p, size_t len)
{
	while (len > 0 && (p[len - 1] == '\0' || p[len - 1] == '.'))
		len--;
	if (len == 0 || len >= size || memchr(p, 0, len))
		return;
	memcpy(to, p, len);
	to[len] = '\0';
	if (!util_is_hostname(to))
		to[0] = '\0';
}

static void take_classless(struct dhcp_lease *l, const uint8_t *p, size_t len)
{
	const uint8_t *end = p + len;

	while (p < end && l->n_routes < NOMAD_ARRAY_LEN(l->routes)) {
		unsigned int prefix = *p++, bytes = (prefix + 7) / 8;
		uint8_t to[4] = { 0 };

		if (prefix > 32 || (size_t)(end - p) < bytes + 4)
			return;
		memcpy(to, p, bytes);
		l->routes[l->n_routes].to = get32(to) & htonl(prefix ? 0xffffffffu << (32 - prefix) : 0);
		l->routes[l->n_routes].prefix = prefix;
		l->routes[l->n_routes].via = get32(p + bytes);
		p += bytes + 4;
		l->n_routes++;
	}
}

#define WIRESERVER 245 /* Azure's: where to report that the machine is up */

struct options {
	uint8_t type, overload;
	bool has_mask, has_classless;
	uint32_t mask, router;
};

static uint32_t take32(const uint8_t *p, size_t len, uint32_t otherwise)
{
	return len == 4 ? get32(p) : otherwise;
}

static void take_option(uint8_t code, const uint8_t *p, size_t len, struct options *o, struct dhcp_lease *l)
{
	switch (code) {
	case NOMAD__DHCP_MASK:
		o->has_mask = len == 4;
		o->mask = take32(p, len, o->mask);
		break;
	case NOMAD__DHCP_ROUTER:
		take_addresses(&o->router, 1, p, len);
		break;
	case NOMAD__DHCP_DNS:
		l->n_dns = take_addresses(l->dns, NOMAD_ARRAY_LEN(l->dns), p, len);
		break;
	case NOMAD__DHCP_HOSTNAME:
		take_name(l->hostname, sizeof(l->hostname), p, len);
		break;
	case NOMAD__DHCP_DOMAIN:
		take_name(l->domain, sizeof(l->domain), p, len);
		break;
	case NOMAD__DHCP_MTU:
		if (len == 2)
			l->mtu = (unsigned int)(p[0] << 8 | p[1]);
		break;
	case NOMAD__DHCP_NTP:
		l->n_ntp = take_addresses(l->ntp, NOMAD_ARRAY_LEN(l->ntp), p, len);
		break;
	case NOMAD__DHCP_LEASE:
		l->lease_s = ntohl(take32(p, len, htonl(l->lease_s)));
		break;
	case NOMAD__DHCP_OVERLOAD:
		o->overload = len == 1 ? *p : 0;
		break;
	case NOMAD__DHCP_TYPE:
		o->type = len == 1 ? *p : 0;
		break;
	case NOMAD__DHCP_SERVER:
		l->server = take32(p, len, l->server);
		break;
	case NOMAD__DHCP_T1:
		l->t1_s = ntohl(take32(p, len, htonl(l->t1_s)));
		break;
	case NOMAD__DHCP_T2:
		l->t2_s = ntohl(take32(p, len, htonl(l->t2_s)));
		break;
	case NOMAD__DHCP_ROUTES:
		o->has_classless = true;
		l->n_routes = 0;
		take_classless(l, p, len);
		break;
	case WIRESERVER:
		l->wireserver = take32(p, len, 0);
		break;
	default:
		break;
	}
}

static int parse_options(const uint8_t *p, const uint8_t *end, struct options *o, struct dhcp_lease *l)
{
	const uint8_t *data;
	uint8_t code;
	size_t len;
	int r;

	while ((r = nomad__dhcp_next(&p, end, &code, &data, &len)) > 0)
		take_option(code, data, len, o, l);
	return r;
}

static int put_in_order(struct dhcp_lease *l, const struct options *o, const char **ret_why)
{
	uint32_t host;
	int prefix = 0;

	if (!is_host_address(l->address)) {
		*ret_why = "it offers an address that no host can have";
		return -EINVAL;
	}
	if (o->has_mask)
		prefix = prefix_of(o->mask);
	else
		prefix = ntohl(l->address) >> 31 == 0 ? 8 : ntohl(l->address) >> 30 == 2 ? 16 : 24;
	if (prefix < 1) {
		*ret_why = "its subnet mask is not one";
		return -EINVAL;
	}
	l->prefix = (unsigned int)prefix;
	host = ntohl(l->address) & (prefix == 32 ? 0 : 0xffffffffu >> prefix);
	if (prefix < 31 && (host == 0 || host == 0xffffffffu >> prefix)) {
		*ret_why = "it offers the subnet's own or broadcast address";
		return -EINVAL;
	}
	if (l->lease_s == 0) {
		*ret_why = "it gives no lease time";
		return -EINVAL;
	}
	if (l->lease_s < LEASE_MIN)
		l->lease_s = LEASE_MIN;
	if (l->lease_s > LEASE_MAX)
		l->lease_s = LEASE_MAX;
	if (l->t2_s == 0 || l->t2_s >= l->lease_s)
		l->t2_s = (uint32_t)((uint64_t)l->lease_s * 7 / 8);
	if (l->t1_s == 0 || l->t1_s >= l->t2_s)
		l->t1_s = l->lease_s / 2 < l->t2_s ? l->lease_s / 2 : l->t2_s / 2;
	if (l->t1_s < 5)
		l->t1_s = 5;
	/* Below IPv6's least it would break more than it mends. */
	if (l->mtu < 1280)
		l->mtu = 0;
	if (!o->has_classless && o->router) {
		l->routes[0].to = 0;
		l->routes[0].prefix = 0;
		l->routes[0].via = o->router;
		l->n_routes = 1;
	}
	return 0;
}

int dhcp_parse(const uint8_t *packet, size_t len, uint32_t xid, const uint8_t mac[6], struct dhcp_lease *ret,
	       const char **ret_why)
{
	struct options o = { 0 };
	struct dhcp_lease l = { 0 };
	int r;

	*ret_why = "it is malformed";
	if (!nomad__dhcp_is_packet(packet, len, 2))
		return -EBADMSG;
	if (get32(packet + NOMAD__DHCP_XID) != xid || memcmp(packet + NOMAD__DHCP_CHADDR, mac, 6) != 0) {
		*ret_why = "it answers another client or question";
		return -EBADMSG;
	}
	l.address = get32(packet + NOMAD__DHCP_YIADDR);
	r = parse_options(packet + NOMAD__DHCP_OPTIONS, packet + len, &o, &l);
	if (r == 0 && (o.overload & 1))
		r = parse_options(packet + NOMAD__DHCP_FILE, packet + NOMAD__DHCP_COOKIE, &o, &l);
	if (r == 0 && (o.overload & 2))
		r = parse_options(packet + NOMAD__DHCP_SNAME, packet + NOMAD__DHCP_FILE, &o, &l);
	if (r < 0)
		return r;
	if (o.type != NOMAD__DHCP_OFFER && o.type != NOMAD__DHCP_ACK && o.type != NOMAD__DHCP_NAK)
		return -EBADMSG;
	if (o.type != NOMAD__DHCP_NAK) {
		r = put_in_order(&l, &o, ret_why);
		if (r < 0)
			return r;
	}
	*ret = l;
	return o.type;
}

/* Returns the length; the packet has room for DHCP_PACKET_MAX. */
static size_t dhcp_build(uint8_t *packet, enum nomad__dhcp_type type, const struct dhcp_client *c, uint32_t ciaddr,
			 uint32_t requested, uint32_t server)
{
	static const uint8_t wanted[] = { NOMAD__DHCP_MASK,   NOMAD__DHCP_ROUTER, NOMAD__DHCP_DNS, NOMAD__DHCP_HOSTNAME,
					  NOMAD__DHCP_DOMAIN, NOMAD__DHCP_MTU,	  NOMAD__DHCP_NTP, NOMAD__DHCP_LEASE,
					  NOMAD__DHCP_SERVER, NOMAD__DHCP_T1,	  NOMAD__DHCP_T2,  NOMAD__DHCP_ROUTES,
					  WIRESERVER };
	uint16_t seconds = htons((uint16_t)((util_now_ms() - c->began_ms) / 1000)), max = htons(DHCP_PACKET_MAX);
	uint8_t *p = nomad__dhcp_begin(packet, DHCP_PACKET_MAX, 1), t = (uint8_t)type, id[7] = { 1 };

	memcpy(packet + NOMAD__DHCP_XID, &c->xid, 4);
	memcpy(packet + NOMAD__DHCP_SECONDS, &seconds, 2);
	if (!ciaddr)
		packet[NOMAD__DHCP_FLAGS] = 0x80;
	memcpy(packet + NOMAD__DHCP_CIADDR, &ciaddr, 4);
	memcpy(packet + NOMAD__DHCP_CHADDR, c->mac, 6);
	p = nomad__dhcp_put(p, NOMAD__DHCP_TYPE, &t, 1);
	memcpy(id + 1, c->mac, 6);
	p = nomad__dhcp_put(p, NOMAD__DHCP_CLIENT_ID, id, 7);
	if (requested)
		p = nomad__dhcp_put(p, NOMAD__DHCP_REQUESTED, &requested, 4);
	if (server)
		p = nomad__dhcp_put(p, NOMAD__DHCP_SERVER, &server, 4);
	p = nomad__dhcp_put(p, NOMAD__DHCP_MAX_SIZE, &max, 2);
	if (c->hostname[0])
		p = nomad__dhcp_put(p, NOMAD__DHCP_HOSTNAME, c->hostname, strlen(c->hostname));
	p = nomad__dhcp_put(p, NOMAD__DHCP_WANTED, wanted, sizeof(wanted));
	return nomad__dhcp_end(packet, p);
}

static void send_request(struct dhcp_client *c)
{
	uint8_t packet[DHCP_PACKET_MAX];
	size_t len = 0;
	uint32_t from = 0, to = 0;

	switch (c->state) {
	case DHCP_SELECTING:
		len = dhcp_build(packet, NOMAD__DHCP_DISCOVER, c, 0, 0, 0);
		break;
	case DHCP_REQUESTING:
		len = dhcp_build(packet, NOMAD__DHCP_REQUEST, c, 0, c->offer.address, c->offer.server);
		break;
	case DHCP_REBOOTING:
		len = dhcp_build(packet, NOMAD__DHCP_REQUEST, c, 0, c->lease.address, 0);
		break;
	case DHCP_RENEWING:
		to = c->lease.server;
		/* fall through */
	case DHCP_REBINDING:
		from = c->lease.address;
		len = dhcp_build(packet, NOMAD__DHCP_REQUEST, c, c->lease.address, 0, 0);
		break;
	default:
		return;
	}
	c->send(c->data, packet, len, from, to);
	c->tries++;
}

static uint64_t jitter(uint64_t ms)
{
	uint16_t r;

	util_random(&r, sizeof(r));
	return ms - ms / 8 + ms / 4 * r / 65535;
}

static void enter(struct dhcp_client *c, enum dhcp_state state)
{
	c->state = state;
	c->tries = 0;
	if (state != DHCP_REQUESTING) {
		util_random(&c->xid, sizeof(c->xid));
		c->began_ms = util_now_ms();
	}
}

static void lose(struct dhcp_client *c)
{
	if (c->has_lease) {
		c->has_lease = false;
		c->changed(c->data, NULL);
	}
}

static uint64_t until(const struct dhcp_client *c, uint32_t seconds)
{
	uint64_t at = c->bound_ms + (uint64_t)seconds * 1000, now = util_now_ms();

	return at > now ? at - now : 0;
}

/* RFC 2131 4.4.5: again after half of what is left, not more often than every few seconds. */
static uint64_t half_of(uint64_t left)
{
	return left / 2 > 4000 ? left / 2 : left < 4000 ? left : 4000;
}

static void on_timer(void *data)
{
	struct dhcp_client *c = data;
	uint64_t wait;

	if (c->has_lease && until(c, c->lease.lease_s) == 0) {
		lose(c);
		enter(c, DHCP_SELECTING);
	} else if (c->state == DHCP_BOUND && until(c, c->lease.t1_s) == 0) {
		enter(c, DHCP_RENEWING);
	}
	if (c->state == DHCP_RENEWING && until(c, c->lease.t2_s) == 0)
		enter(c, DHCP_REBINDING);
	if ((c->state == DHCP_REQUESTING && c->tries >= 4) || (c->state == DHCP_REBOOTING && c->tries >= 3))
		enter(c, DHCP_SELECTING);
	send_request(c);
	switch (c->state) {
	case DHCP_BOUND:
		wait = until(c, c->lease.t1_s);
		break;
	case DHCP_RENEWING:
		wait = half_of(until(c, c->lease.t2_s));
		break;
	case DHCP_REBINDING:
		wait = half_of(until(c, c->lease.lease_s));
		break;
	default:
		/* 1, 2, 4 ... 32 seconds; never give up */
		wait = jitter(1000ull << (c->tries < 6 ? c->tries - (c->tries > 0) : 5));
		if (c->has_lease && wait > until(c, c->lease.lease_s))
			wait = until(c, c->lease.lease_s);
	}
	loop_timer_set(&c->timer, wait + 1);
}

void dhcp_start(struct dhcp_client *c)
{
	c->timer.fn = on_timer;
	c->timer.data = c;
	enter(c, c->has_lease ? DHCP_REBOOTING : DHCP_SELECTING);
	loop_timer_set(&c->timer, 0);
}

void dhcp_stop(struct dhcp_client *c)
{
	loop_timer_stop(&c->timer);
	c->state = DHCP_STOPPED;
}

int dhcp_input(struct dhcp_client *c, const uint8_t *packet, size_t len, const char **ret_why)
{
	struct dhcp_lease l;
	int type;

	*ret_why = "nothing was asked";
	if (c->state == DHCP_STOPPED || c->state == DHCP_BOUND)
		return -EAGAIN;
	type = dhcp_parse(packet, len, c->xid, c->mac, &l, ret_why);
	if (type < 0)
		return type;
	if (type == NOMAD__DHCP_OFFER) {
		if (c->state != DHCP_SELECTING)
			return -EAGAIN;
		if (!l.server) {
			*ret_why = "it does not say which server it is from";
			return -EINVAL;
		}
		c->offer = l;
		enter(c, DHCP_REQUESTING);
		loop_timer_set(&c->timer, 0);
		return 0;
	}
	*ret_why = "it came unasked";
	if (c->state == DHCP_SELECTING)
		return -EAGAIN;
	if (c->state == DHCP_REQUESTING && l.server != c->offer.server) {
		*ret_why = "it is from another server than the offer";
		return -EINVAL;
	}
	if (type == NOMAD__DHCP_NAK) {
		lose(c);
		enter(c, DHCP_SELECTING);
		loop_timer_set(&c->timer, jitter(2000));
		return 0;
	}
	if (l.address != (c->state == DHCP_REQUESTING ? c->offer.address : c->lease.address)) {
		*ret_why = "it gives another address than asked for";
		return -EINVAL;
	}
	/* A renewal need not repeat who it is from. */
	if (!l.server)
		l.server = c->has_lease ? c->lease.server : c->offer.server;
	c->lease = l;
	c->has_lease = true;
	c->bound_ms = util_now_ms();
	c->state = DHCP_BOUND;
	loop_timer_set(&c->timer, (uint64_t)l.t1_s * 1000);
	c->changed(c->data, &c->lease);
	return 0;
}
