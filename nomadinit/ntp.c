/* SPDX-License-Identifier: MPL-2.0 */
/* Time.
 *
 * One server is asked after the other until one gives a sane answer; then again every
 * quarter of an hour.  A large error is corrected in one step, a small one by letting the
 * clock run a little faster or slower, so that the agent sees no jump.
 *
 *   idle --timer--> resolving (if the server is a name) --> asking --answer--> idle
 *                        |  silence: next server                |
 *                        +------------<-------------------------+
 *
 * An answer counts if it repeats our random cookie, so only somebody on the path can lie;
 * and a time before the image was built, or 20 years after, is refused whoever says it.
 * The clock is only stepped when a second answer agrees: another server's, where there are two. */
#include "ntp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtc.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "dns.h"
#include "log.h"
#include "loop.h"
#include "util.h"

#define EPOCH 2208988800ll /* 1900 to 1970 */
#define STEP_NS 250000000ll
#define ANSWER_MS 3000
#define POLL_MS (900 * 1000)
#define YEARS_NS (20ll * 365 * 86400 * 1000000000) /* how long after it was built an image believes in a time */
#define CONFIRM_MS 1000
#define CANDIDATE_MS 60000
#define AGREE_NS 1000000000ll

static struct {
	struct ntp_source source;
	int64_t floor_ns;
	bool in_container, synced, ipv6_name, resolving, resolver_answers, told_failure;
	int fd;
	size_t server, resolver;
	uint64_t cookie;
	uint16_t dns_id;
	int64_t sent_ns;
	bool has_candidate; /* a large offset that nobody has confirmed yet */
	int64_t candidate_ns;
	uint64_t candidate_ms; /* when it was said */
	char name[254];
	struct loop_timer timer;
} ntp = { .fd = -1 };

void ntp_build(uint8_t packet[NTP_PACKET], uint64_t cookie)
{
	memset(packet, 0, NTP_PACKET);
	packet[0] = 4 << 3 | 3; /* version 4, client */
	memcpy(packet + 40, &cookie, 8);
}

/* 64-bit NTP time to ns since 1970; the era that begins in 2036 is told by the top bit. */
static int64_t time_at(const uint8_t *p)
{
	uint32_t s, f;
	int64_t seconds;

	memcpy(&s, p, 4);
	memcpy(&f, p + 4, 4);
	seconds = (int64_t)ntohl(s) - EPOCH;
	if (!(ntohl(s) & 0x80000000))
		seconds += 1ll << 32;
	return seconds * 1000000000 + (int64_t)(((uint64_t)ntohl(f) * 1000000000) >> 32);
}

/* An image that was built without a clock knows no bounds. */
static bool is_plausible(int64_t ns, int64_t floor_ns)
{
	return floor_ns == 0 || (ns >= floor_ns && ns <= floor_ns + YEARS_NS);
}

int ntp_parse(const uint8_t *packet, size_t len, uint64_t cookie, int64_t sent_ns, int64_t received_ns,
	      int64_t floor_ns, int64_t *ret_offset_ns)
{
	int64_t server_in, server_out;

	if (len < NTP_PACKET || (packet[0] & 7) != 4 || memcmp(packet + 24, &cookie, 8) != 0)
		return -EBADMSG;
	if (packet[0] >> 6 == 3 || packet[1] == 0 || packet[1] > 15)
		return -EAGAIN;
	server_in = time_at(packet + 32);
	server_out = time_at(packet + 40);
	if (server_out < server_in || server_out - server_in > 10000000000ll || !is_plausible(server_out, floor_ns))
		return -EBADMSG;
	*ret_offset_ns = (server_in - sent_ns) / 2 + (server_out - received_ns) / 2;
	return 0;
}

static void set_hardware_clock(void)
{
	NOMAD_AUTO_FD int fd = open("/dev/rtc0", O_RDONLY | O_CLOEXEC);
	struct rtc_time rtc = { 0 };
	time_t now = time(NULL);
	struct tm tm;

	if (fd < 0 || !gmtime_r(&now, &tm))
		return;
	rtc.tm_sec = tm.tm_sec;
	rtc.tm_min = tm.tm_min;
	rtc.tm_hour = tm.tm_hour;
	rtc.tm_mday = tm.tm_mday;
	rtc.tm_mon = tm.tm_mon;
	rtc.tm_year = tm.tm_year;
	ioctl(fd, RTC_SET_TIME, &rtc);
}

static void set_clock(int64_t ns)
{
	struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };

	if (clock_settime(CLOCK_REALTIME, &ts) < 0)
		log_warn("cannot set the clock: %s", strerror(errno));
}

bool ntp_apply_floor(int64_t floor_s, bool in_container)
{
	int64_t now = nomad_wall_ns();

	if (is_plausible(now, floor_s * 1000000000))
		return false;
	log_warn("the clock is %s the image was built; it is set to that moment until a time server answers",
		 now < floor_s * 1000000000 ? "before" : "20 years after");
	if (!in_container)
		set_clock(floor_s * 1000000000);
	return true;
}

static void finish(void)
{
	if (ntp.fd >= 0) {
		loop_unwatch(ntp.fd);
		close(ntp.fd);
		ntp.fd = -1;
	}
}

bool ntp_agrees(bool has_candidate, int64_t candidate_ns, int64_t offset_ns)
{
	int64_t d = offset_ns - candidate_ns;

	if (offset_ns <= STEP_NS && offset_ns >= -STEP_NS)
		return true;
	return has_candidate && d < AGREE_NS && d > -AGREE_NS;
}

static void got_time(int64_t offset)
{
	bool first = !ntp.synced;

	finish();
	if (!ntp_agrees(ntp.has_candidate, ntp.candidate_ns, offset)) {
		if (ntp.has_candidate)
			log_warn("'%s' gives another time than the server before it; asking on", ntp.name);
		ntp.has_candidate = true;
		ntp.candidate_ns = offset;
		ntp.candidate_ms = util_now_ms();
		/* The next one, or the same if there is no other. */
		ntp.server++;
		loop_timer_set(&ntp.timer, CONFIRM_MS);
		return;
	}
	ntp.has_candidate = false;
	if (first || offset > STEP_NS || offset < -STEP_NS)
		log_info("time from '%s': the clock was %lld.%03lld s off", ntp.name, (long long)(offset / 1000000000),
			 (long long)((offset < 0 ? -offset : offset) / 1000000 % 1000));
	if (!ntp.in_container) {
		if (offset > STEP_NS || offset < -STEP_NS) {
			set_clock(nomad_wall_ns() + offset);
			set_hardware_clock();
		} else {
			struct timeval slew = { .tv_sec = offset < 0 ? -1 : 0,
						.tv_usec = offset / 1000 + (offset < 0 ? 1000000 : 0) };

			adjtime(&slew, NULL);
		}
	}
	ntp.synced = true;
	ntp.told_failure = false;
	if (ntp.source.synced)
		ntp.source.synced(ntp.source.data, first);
	loop_timer_set(&ntp.timer, POLL_MS);
}

static void on_answer(void *data);

static int open_to(const struct net_address *a, uint16_t port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int r;

	finish();
	memcpy(&v4.sin_addr, a->bytes, 4);
	memcpy(&v6.sin6_addr, a->bytes, 16);
	ntp.fd = socket(a->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ntp.fd < 0)
		return -errno;
	r = a->family == AF_INET ? connect(ntp.fd, (struct sockaddr *)&v4, sizeof(v4))
				 : connect(ntp.fd, (struct sockaddr *)&v6, sizeof(v6));
	r = r < 0 ? -errno : loop_watch(ntp.fd, on_answer, NULL);
	if (r < 0) {
		close(ntp.fd);
		ntp.fd = -1;
	}
	return r;
}

static int ask_time(const struct net_address *a)
{
	uint8_t packet[NTP_PACKET];
	int r = open_to(a, 123);

	if (r < 0)
		return r;
	ntp.resolving = false;
	util_random(&ntp.cookie, sizeof(ntp.cookie));
	ntp_build(packet, ntp.cookie);
	ntp.sent_ns = nomad_wall_ns();
	return send(ntp.fd, packet, sizeof(packet), 0) < 0 ? -errno : 0;
}

static int ask_name(void)
{
	const char *const *resolvers = ntp.source.resolvers(ntp.source.data);
	uint8_t query[DNS_QUERY_MAX];
	struct net_address a;
	size_t n, len;
	int r;

	for (n = 0; resolvers && resolvers[n]; n++)
		;
	if (n == 0 || net_address_parse(resolvers[ntp.resolver % n], &a) < 0)
		return -ENETUNREACH;
	util_random(&ntp.dns_id, sizeof(ntp.dns_id));
	len = dns_build(query, ntp.dns_id, ntp.name, ntp.ipv6_name);
	r = len ? open_to(&a, 53) : -EINVAL;
	if (r < 0)
		return r;
	ntp.resolving = true;
	return send(ntp.fd, query, len, 0) < 0 ? -errno : 0;
}

/* The next server, or a pause if all were asked. */
static void next_server(void *data)
{
	const char *const *names = ntp.source.names(ntp.source.data);
	struct net_address a;
	size_t n;
	int r;

	(void)data;
	finish();
	for (n = 0; names && names[n]; n++)
		;
	if (ntp.has_candidate && util_now_ms() > ntp.candidate_ms + CANDIDATE_MS)
		ntp.has_candidate = false;
	if (ntp.has_candidate && n > 0)
		ntp.server %= n * 2;
	if (n == 0 || ntp.server >= n * 2) {
		ntp.server = 0;
		if (!ntp.resolver_answers)
			ntp.resolver++;
		ntp.resolver_answers = false;
		if (n > 0 && !ntp.told_failure) {
			ntp.told_failure = true;
			log_warn("no time server answers; going on asking");
		}
		loop_timer_set(&ntp.timer, n ? 16000 : 60000);
		return;
	}
	util_copy(ntp.name, sizeof(ntp.name), names[ntp.server % n]);
	/* Second round: IPv6 addresses of the names. */
	ntp.ipv6_name = ntp.server >= n;
	ntp.server++;
	r = net_address_parse(ntp.name, &a) == 0 ? ask_time(&a) : ask_name();
	loop_timer_set(&ntp.timer, r < 0 ? 50 : ANSWER_MS);
}

static void on_answer(void *data)
{
	struct net_address found[4];
	uint8_t buf[1500];
	int64_t offset, now;
	ssize_t n;
	int r;

	(void)data;
	n = recv(ntp.fd, buf, sizeof(buf), MSG_DONTWAIT);
	now = nomad_wall_ns();
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			loop_timer_set(&ntp.timer, 0); /* port unreachable */
		return;
	}
	if (ntp.resolving) {
		r = dns_parse(buf, (size_t)n, ntp.dns_id, ntp.name, ntp.ipv6_name, found, NOMAD_ARRAY_LEN(found));
		if (r == -EBADMSG)
			return;
		ntp.resolver_answers = r != -EAGAIN;
		r = r > 0 ? ask_time(&found[ntp.cookie % (unsigned int)r]) : -ENOENT;
		loop_timer_set(&ntp.timer, r < 0 ? 50 : ANSWER_MS);
		return;
	}
	r = ntp_parse(buf, (size_t)n, ntp.cookie, ntp.sent_ns, now, ntp.floor_ns, &offset);
	if (r == 0) {
		/* The one that answers is asked first next time. */
		ntp.server--;
		got_time(offset);
	} else if (r == -EAGAIN) {
		loop_timer_set(&ntp.timer, 0);
	}
}

void ntp_start(const struct ntp_source *source, int64_t floor_s, bool in_container)
{
	ntp.source = *source;
	ntp.floor_ns = floor_s * 1000000000;
	ntp.in_container = in_container;
	ntp.timer.fn = next_server;
}

void ntp_kick(void)
{
	if (!ntp.synced && ntp.timer.fn && ntp.fd < 0) {
		ntp.server = 0;
		loop_timer_set(&ntp.timer, 0);
	}
}

bool ntp_is_synced(void)
{
	return ntp.synced;
}
