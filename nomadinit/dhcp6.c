/* SPDX-License-Identifier: MPL-2.0 */
/*
 *   SOLICITING --advertise--> REQUESTING --reply--> BOUND --T1--> RENEWING --T2--> REBINDING
 *       ^                        |                    ^---reply------+---reply--------+
 *       +-------- no answer -----+                                                    |
 *       +------------------------------- the address is valid no longer --------------+
 *
 *   INFORMING --reply--> BOUND (name servers only; asked again after a day)
 *
 * The client's identifier is of its MAC address (DUID-LL), which outlives the state partition. */
#include "dhcp6.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "util.h"

enum {
	CLIENT_ID = 1,
	SERVER_ID = 2,
	IA_NA = 3,
	IA_ADDRESS = 5,
	WANTED = 6,
	ELAPSED = 8,
	STATUS_CODE = 13,
	DNS_SERVERS = 23,
};

#define FIRST_MS 1000
#define LONGEST_MS 120000
#define REQUEST_TRIES 6
#define INFORM_AGAIN_S 86400
#define FOREVER 0xffffffffu

static unsigned int get16(const uint8_t *p)
{
	return (unsigned int)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return ntohl(v);
}

static void make_duid(const uint8_t mac[6], uint8_t duid[10])
{
	static const uint8_t kind[] = { 0, 3, 0, 1 }; /* DUID-LL, Ethernet */

	memcpy(duid, kind, 4);
	memcpy(duid + 4, mac, 6);
}

/* ---- Reading ---------------------------------------------------------------------- */

/* The next option of *p; false at the end, or with *p NULL if the rest is no option. */
static bool next_option(const uint8_t **p, const uint8_t *end, unsigned int *code, const uint8_t **data, size_t *len)
{
	if (*p == end)
		return false;
	if (end - *p < 4 || (size_t)(end - *p - 4) < get16(*p + 2)) {
		*p = NULL;
		return false;
	}
	*code = get16(*p);
	*len = get16(*p + 2);
	*data = *p + 4;
	*p = *data + *len;
	return true;
}

static void take_address(const uint8_t *p, size_t len, struct dhcp6_lease *l)
{
	/* Neither multicast, nor unspecified, loopback or link-local. */
	if (len < 24 || l->has_address || p[0] == 0xff || p[0] == 0 || (p[0] == 0xfe && (p[1] & 0xc0) == 0x80))
		return;
	l->preferred_s = get32(p + 16);
	l->valid_s = get32(p + 20);
	if (l->valid_s == 0 || l->preferred_s > l->valid_s)
		return;
	memcpy(l->address, p, 16);
	l->has_address = true;
}

static int take_ia(const uint8_t *p, size_t len, const uint8_t mac[6], struct dhcp6_lease *l)
{
	const uint8_t *end = p + len, *data;
	unsigned int code;
	size_t n;

	if (len < 12)
		return -EBADMSG;
	if (memcmp(p, mac + 2, 4) != 0)
		return 0;
	l->t1_s = get32(p + 4);
	l->t2_s = get32(p + 8);
	p += 12;
	while (next_option(&p, end, &code, &data, &n)) {
		if (code == IA_ADDRESS)
			take_address(data, n, l);
		else if (code == STATUS_CODE && n >= 2 && get16(data))
			l->status = (uint16_t)get16(data);
	}
	return p ? 0 : -EBADMSG;
}

static void set_times(struct dhcp6_lease *l)
{
	/* 0 leaves it to us. */
	if (l->t1_s == 0 || l->t1_s > l->valid_s)
		l->t1_s = l->preferred_s / 2;
	if (l->t2_s == 0 || l->t2_s > l->valid_s || l->t2_s < l->t1_s)
		l->t2_s = l->preferred_s / 5 * 4;
	if (l->t1_s < 10)
		l->t1_s = 10;
	if (l->t2_s < l->t1_s)
		l->t2_s = l->t1_s;
}

int dhcp6_parse(const uint8_t *packet, size_t len, uint32_t xid, const uint8_t mac[6], struct dhcp6_lease *ret)
{
	const uint8_t *p = packet + 4, *end = packet + len, *data;
	struct dhcp6_lease l = { 0 };
	bool is_ours = false;
	uint8_t duid[10];
	unsigned int code;
	size_t n;

	if (len < 4 || (get32(packet) & 0xffffff) != xid || (packet[0] != DHCP6_ADVERTISE && packet[0] != DHCP6_REPLY))
		return -EBADMSG;
	make_duid(mac, duid);
	while (next_option(&p, end, &code, &data, &n)) {
		if (code == CLIENT_ID) {
			is_ours = n == sizeof(duid) && memcmp(data, duid, n) == 0;
		} else if (code == SERVER_ID && n > 0 && n <= sizeof(l.server)) {
			memcpy(l.server, data, n);
			l.server_len = n;
		} else if (code == STATUS_CODE && n >= 2) {
			l.status = (uint16_t)get16(data);
		} else if (code == IA_NA) {
			if (take_ia(data, n, mac, &l) < 0)
				return -EBADMSG;
		} else if (code == DNS_SERVERS && n % 16 == 0) {
			l.n_dns = n / 16 < NOMAD_ARRAY_LEN(l.dns) ? n / 16 : NOMAD_ARRAY_LEN(l.dns);
			memcpy(l.dns, data, l.n_dns * 16);
		}
	}
	if (!p || !is_ours || !l.server_len)
		return -EBADMSG;
	if (l.has_address)
		set_times(&l);
	*ret = l;
	return packet[0];
}

/* ---- Asking ------------------------------------------------------------------------- */

static uint8_t *put(uint8_t *p, unsigned int code, const void *data, size_t len)
{
	uint16_t head[2] = { htons((uint16_t)code), htons((uint16_t)len) };

	memcpy(p, head, 4);
	memcpy(p + 4, data, len);
	return p + 4 + len;
}

static uint8_t *put_ia(uint8_t *p, const struct dhcp6_client *c, const struct dhcp6_lease *l)
{
	uint8_t ia[12 + 28] = { 0 }, address[24] = { 0 };

	memcpy(ia, c->mac + 2, 4);
	if (!l)
		return put(p, IA_NA, ia, 12);
	memcpy(address, l->address, 16);
	put(ia + 12, IA_ADDRESS, address, sizeof(address));
	return put(p, IA_NA, ia, sizeof(ia));
}

static void send_message(struct dhcp6_client *c, enum dhcp6_type type, const struct dhcp6_lease *ask, bool to_server)
{
	static const uint8_t wanted[] = { 0, DNS_SERVERS };
	uint8_t packet[DHCP6_PACKET_MAX], *p = packet + 4, duid[10];
	uint32_t head = htonl((uint32_t)type << 24 | c->xid);
	uint64_t hundredths = (util_now_ms() - c->began_ms) / 10;
	uint16_t elapsed = htons((uint16_t)(hundredths < 0xffff ? hundredths : 0xffff));

	memcpy(packet, &head, 4);
	make_duid(c->mac, duid);
	p = put(p, CLIENT_ID, duid, sizeof(duid));
	if (to_server)
		p = put(p, SERVER_ID, ask->server, ask->server_len);
	p = put(p, WANTED, wanted, sizeof(wanted));
	p = put(p, ELAPSED, &elapsed, 2);
	if (type != DHCP6_INFORMATION_REQUEST)
		p = put_ia(p, c, ask);
	c->send(c->data, packet, (size_t)(p - packet));
}

static void enter(struct dhcp6_client *c, enum dhcp6_state state)
{
	c->state = state;
	c->tries = 0;
	c->began_ms = util_now_ms();
	util_random(&c->xid, sizeof(c->xid));
	c->xid &= 0xffffff;
}

/* 1, 2, 4, ... seconds, a little less or more. */
static uint64_t pause_of(const struct dhcp6_client *c)
{
	uint64_t ms = c->tries < 7 ? (uint64_t)FIRST_MS << c->tries : LONGEST_MS;
	uint8_t r;

	util_random(&r, 1);
	return ms - ms / 10 + ms * r / 1280;
}

static void lose(struct dhcp6_client *c)
{
	c->has_lease = false;
	c->changed(c->data, NULL);
	enter(c, DHCP6_SOLICITING);
}

static bool is_over(const struct dhcp6_client *c, uint32_t seconds)
{
	return seconds != FOREVER && util_now_ms() >= c->bound_ms + (uint64_t)seconds * 1000;
}

static void on_timer(void *data)
{
	struct dhcp6_client *c = data;

	if (c->state == DHCP6_BOUND)
		enter(c, c->lease.has_address ? DHCP6_RENEWING : DHCP6_INFORMING);
	if (c->state == DHCP6_RENEWING && is_over(c, c->lease.t2_s))
		enter(c, DHCP6_REBINDING);
	if ((c->state == DHCP6_RENEWING || c->state == DHCP6_REBINDING) && is_over(c, c->lease.valid_s))
		lose(c);
	if (c->state == DHCP6_REQUESTING && c->tries >= REQUEST_TRIES)
		enter(c, DHCP6_SOLICITING);
	switch (c->state) {
	case DHCP6_INFORMING:
		send_message(c, DHCP6_INFORMATION_REQUEST, NULL, false);
		break;
	case DHCP6_SOLICITING:
		send_message(c, DHCP6_SOLICIT, NULL, false);
		break;
	case DHCP6_REQUESTING:
		send_message(c, DHCP6_REQUEST, &c->offer, true);
		break;
	case DHCP6_RENEWING:
		send_message(c, DHCP6_RENEW, &c->lease, true);
		break;
	case DHCP6_REBINDING:
		send_message(c, DHCP6_REBIND, &c->lease, false);
		break;
	default:
		return;
	}
	loop_timer_set(&c->timer, pause_of(c));
	c->tries++;
}

void dhcp6_start(struct dhcp6_client *c, bool managed)
{
	bool is_informing = c->state == DHCP6_INFORMING || (c->state == DHCP6_BOUND && !c->lease.has_address);

	if (c->state != DHCP6_STOPPED && !(managed && is_informing))
		return;
	c->timer.fn = on_timer;
	c->timer.data = c;
	enter(c, managed ? DHCP6_SOLICITING : DHCP6_INFORMING);
	on_timer(c);
}

void dhcp6_stop(struct dhcp6_client *c)
{
	if (c->timer.fn)
		loop_timer_stop(&c->timer);
	c->state = DHCP6_STOPPED;
	c->has_lease = false;
}

static void bind_lease(struct dhcp6_client *c, const struct dhcp6_lease *l)
{
	uint32_t seconds = l->has_address ? l->t1_s : INFORM_AGAIN_S;

	c->lease = *l;
	c->has_lease = true;
	c->bound_ms = util_now_ms();
	c->state = DHCP6_BOUND;
	/* Renewed once a day even if it is for ever. */
	loop_timer_set(&c->timer, (uint64_t)(seconds < INFORM_AGAIN_S ? seconds : INFORM_AGAIN_S) * 1000);
	c->changed(c->data, &c->lease);
}

int dhcp6_input(struct dhcp6_client *c, const uint8_t *packet, size_t len)
{
	struct dhcp6_lease l;
	int type = dhcp6_parse(packet, len, c->xid, c->mac, &l);

	if (type < 0)
		return type;
	if (c->state == DHCP6_SOLICITING && type == DHCP6_ADVERTISE && l.has_address && !l.status) {
		c->offer = l;
		enter(c, DHCP6_REQUESTING);
		on_timer(c);
		return 0;
	}
	if (type != DHCP6_REPLY || c->state == DHCP6_STOPPED || c->state == DHCP6_BOUND || c->state == DHCP6_SOLICITING)
		return -EBADMSG;
	if (c->state == DHCP6_INFORMING) {
		l.has_address = false;
		bind_lease(c, &l);
	} else if (l.has_address && !l.status) {
		bind_lease(c, &l);
	} else if (c->state == DHCP6_REQUESTING) {
		enter(c, DHCP6_SOLICITING);
		loop_timer_set(&c->timer, FIRST_MS);
	} else {
		/* The server knows the address no longer. */
		lose(c);
		loop_timer_set(&c->timer, FIRST_MS);
	}
	return 0;
}
