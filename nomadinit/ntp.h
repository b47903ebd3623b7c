/* SPDX-License-Identifier: MPL-2.0 */
/* The clock: set from time servers (SNTP, RFC 4330), never before the image was built. */
#ifndef NOMADINIT_NTP_H
#define NOMADINIT_NTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NTP_PACKET 48

struct ntp_time {
	int64_t ns; /* since 1970 */
};

/* A question that carries a random cookie instead of our time. */
void ntp_build(uint8_t packet[NTP_PACKET], uint64_t cookie);
/* The offset of our clock in ns from an answer; sent and received are our clock.  -EBADMSG if it is not an answer to
 * the question, -EAGAIN if the server does not know the time or sends us away. */
int ntp_parse(const uint8_t *packet, size_t len, uint64_t cookie, int64_t sent_ns, int64_t received_ns,
	      int64_t floor_ns, int64_t *ret_offset_ns);

/* May the clock be stepped by this offset, or slewed?  Small ones always; a large one if the answer before said the
 * same. */
bool ntp_agrees(bool has_candidate, int64_t candidate_ns, int64_t offset_ns);

/* Make ready; the first ntp_kick() begins, and then it goes on for as long as the machine runs.  The lists are asked
 * for each time.  in_container: only say what would be done. */
struct ntp_source {
	const char *const *(*names)(void *data);     /* NULL-ended: host names or addresses */
	const char *const *(*resolvers)(void *data); /* NULL-ended: addresses of name servers */
	void (*synced)(void *data, bool is_first);
	void *data;
};
void ntp_start(const struct ntp_source *source, int64_t floor_s, bool in_container);
/* The network changed: ask now unless we know the time. */
void ntp_kick(void);
bool ntp_is_synced(void);
/* Is the clock plainly wrong (before the image was built, or 20 years after)?  Then it was set to that moment. */
bool ntp_apply_floor(int64_t floor_s, bool in_container);

#endif
