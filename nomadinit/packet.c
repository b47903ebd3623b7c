/* SPDX-License-Identifier: MPL-2.0 */
#include "packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>

#include "util.h"

#define HEADERS 28 /* IP without options, UDP */
#define SERVER_PORT 67
#define CLIENT_PORT 68

int packet_open(int index)
{
	/* UDP, not a later fragment, to port 68 */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 17, 0, 6),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 4, 0),
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLIENT_PORT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = NOMAD_ARRAY_LEN(code), .filter = code };
	struct sockaddr_ll me = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = index };
	int fd, on = 1, r;

	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&me, sizeof(me)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static uint32_t sum(const void *data, size_t len, uint32_t start)
{
	const uint8_t *p = data;

	for (; len > 1; p += 2, len -= 2)
		start += (uint32_t)(p[0] << 8 | p[1]);
	return len ? start + (uint32_t)(p[0] << 8) : start;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

size_t packet_wrap(uint8_t *out, const void *data, size_t len, uint32_t from)
{
	uint32_t pseudo;
	uint16_t check;

	memset(out, 0, HEADERS);
	out[0] = 0x45;
	out[1] = 0x10;
	put16(out + 2, (unsigned int)len + HEADERS);
	out[8] = 64;
	out[9] = 17;
	memcpy(out + 12, &from, 4);
	memset(out + 16, 255, 4);
	put16(out + 10, fold(sum(out, 20, 0)));
	put16(out + 20, CLIENT_PORT);
	put16(out + 22, SERVER_PORT);
	put16(out + 24, (unsigned int)len + 8);
	memcpy(out + HEADERS, data, len);
	pseudo = sum(out + 12, 8, 17 + (uint32_t)len + 8);
	check = fold(sum(out + 20, len + 8, pseudo));
	put16(out + 26, check ? check : 0xffff);
	return len + HEADERS;
}

int packet_broadcast(int fd, int index, const void *data, size_t len, uint32_t from)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IP),
				  .sll_ifindex = index,
				  .sll_halen = 6,
				  .sll_addr = { 255, 255, 255, 255, 255, 255 } };
	uint8_t buf[1500];

	if (len > sizeof(buf) - HEADERS)
		return -EMSGSIZE;
	len = packet_wrap(buf, data, len, from);
	return sendto(fd, buf, len, 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}

int packet_unicast(const char *interface, const void *data, size_t len, uint32_t from, uint32_t to)
{
	struct sockaddr_in me = { .sin_family = AF_INET, .sin_port = htons(CLIENT_PORT), .sin_addr = { from } };
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons(SERVER_PORT), .sin_addr = { to } };
	NOMAD_AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface));
	if (bind(fd, (struct sockaddr *)&me, sizeof(me)) < 0 ||
	    sendto(fd, data, len, 0, (struct sockaddr *)&server, sizeof(server)) < 0)
		return -errno;
	return 0;
}

int packet_unwrap(const uint8_t *buf, size_t len, int has_checksum, size_t *ret_offset, size_t *ret_len)
{
	size_t head, total, udp;

	if (len < HEADERS || buf[0] >> 4 != 4)
		return -EBADMSG;
	head = (size_t)(buf[0] & 15) * 4;
	total = (size_t)(buf[2] << 8 | buf[3]);
	if (head < 20 || total > len || total < head + 8 || buf[9] != 17 || fold(sum(buf, head, 0)) != 0)
		return -EBADMSG;
	udp = (size_t)(buf[head + 4] << 8 | buf[head + 5]);
	if (udp < 8 || udp > total - head)
		return -EBADMSG;
	if (has_checksum && (buf[head + 6] || buf[head + 7]) &&
	    fold(sum(buf + head, udp, sum(buf + 12, 8, 17 + (uint32_t)udp))) != 0)
		return -EBADMSG;
	*ret_offset = head + 8;
	*ret_len = udp - 8;
	return 0;
}

int packet_receive(int fd, uint8_t *buf, size_t size, size_t *ret_offset, size_t *ret_len)
{
	union {
		struct cmsghdr h;
		char bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	} control;
	struct iovec part = { .iov_base = buf, .iov_len = size };
	struct msghdr m = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *c;
	int has_checksum = 1;
	ssize_t n;

	n = recvmsg(fd, &m, MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	/* Within one host (a veth, a hypervisor) the sum may be left to hardware that never sees the packet. */
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct tpacket_auxdata aux;

		if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) {
			memcpy(&aux, CMSG_DATA(c), sizeof(aux));
			has_checksum = !(aux.tp_status & TP_STATUS_CSUMNOTREADY);
		}
	}
	return packet_unwrap(buf, (size_t)n, has_checksum, ret_offset, ret_len);
}
