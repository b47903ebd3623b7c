/* SPDX-License-Identifier: MPL-2.0 */
/* The numbers are those of open-vm-tools' guest_msg_def.h and backdoor_def.h.  Reached only where CPUID says VMware:
 * the instruction is a fault elsewhere. */
#include "cloud.h"
#include "guestinfo.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userdata.h"
#include "util.h"

#define MAGIC 0x564d5868u
#define PORT 0x5658u
#define COMMAND_MESSAGE 30u
#define RPCI (0x49435052u | 0x80000000u) /* with a cookie */

enum { OPEN, SEND_SIZE, SEND, RECEIVE_SIZE, RECEIVE, STATUS, CLOSE };
enum { SUCCESS = 1, DO_RECEIVE = 2 };

static void real_port(struct guestinfo_registers *r)
{
#ifdef __x86_64__
	__asm__ volatile("inl %%dx, %%eax" : "+a"(r->a), "+b"(r->b), "+c"(r->c), "+d"(r->d) : : "memory");
#else
	r->c = 0;
#endif
}

void (*guestinfo_port)(struct guestinfo_registers *r) = real_port;

static bool step(struct guestinfo_registers *r, unsigned int type, uint32_t b, uint32_t channel)
{
	*r = (struct guestinfo_registers){
		.a = MAGIC, .b = b, .c = type << 16 | COMMAND_MESSAGE, .d = channel << 16 | PORT
	};
	guestinfo_port(r);
	return r->c >> 16 & SUCCESS;
}

static int send_message(uint32_t channel, const char *message)
{
	size_t len = strlen(message), i;
	struct guestinfo_registers r;
	uint32_t part;

	if (!step(&r, SEND_SIZE, (uint32_t)len, channel))
		return -EIO;
	for (i = 0; i < len; i += 4) {
		part = 0;
		memcpy(&part, message + i, len - i < 4 ? len - i : 4);
		if (!step(&r, SEND, part, channel))
			return -EIO;
	}
	return 0;
}

static int receive(uint32_t channel, size_t max, char **ret, size_t *ret_len)
{
	struct guestinfo_registers r;
	size_t len, i;
	char *buf;

	if (!step(&r, RECEIVE_SIZE, 0, channel) || !(r.c >> 16 & DO_RECEIVE))
		return -EIO;
	len = r.b;
	if (len > max)
		return -EFBIG;
	buf = malloc(len + 4);
	if (!buf)
		return -ENOMEM;
	for (i = 0; i < len; i += 4) {
		/* SUCCESS says that the part before came whole. */
		if (!step(&r, RECEIVE, SUCCESS, channel)) {
			free(buf);
			return -EIO;
		}
		memcpy(buf + i, &r.b, 4);
	}
	buf[len] = '\0';
	step(&r, STATUS, SUCCESS, channel);
	*ret = buf;
	*ret_len = len;
	return 0;
}

int guestinfo_call(const char *message, size_t max, char **ret, size_t *ret_len)
{
	struct guestinfo_registers r;
	uint32_t channel;
	int error;

	if (!step(&r, OPEN, RPCI, 0))
		return -EIO;
	channel = r.d >> 16;
	error = send_message(channel, message);
	if (error == 0)
		error = receive(channel, max, ret, ret_len);
	step(&r, CLOSE, 0, channel);
	return error;
}

static int get_plain(const char *key, const char *suffix, size_t max, char **ret, size_t *ret_len)
{
	char message[128], *answer;
	size_t len;
	int r;

	snprintf(message, sizeof(message), "info-get %s%s", key, suffix);
	r = guestinfo_call(message, max + 2, &answer, &len);
	if (r < 0)
		return r;
	/* "1 VALUE" or "0 REASON"; a value that was used is blanked to "---". */
	if (len <= 2 || memcmp(answer, "1 ", 2) != 0 || strcmp(answer + 2, "---") == 0) {
		free(answer);
		return -ENOENT;
	}
	memmove(answer, answer + 2, len - 1);
	*ret = answer;
	*ret_len = len - 2;
	return 0;
}

int guestinfo_get(struct cloud_session *s, const char *key, size_t max, char **ret, size_t *ret_len)
{
	char *encoding = NULL, *plain;
	size_t len;
	bool is_base64 = false, is_gzip = false;
	int r;

	(void)s;
	r = get_plain(key, "", max, ret, ret_len);
	if (r < 0)
		return r;
	if (get_plain(key, ".encoding", 64, &encoding, &len) == 0) {
		is_gzip = strncmp(encoding, "gz", 2) == 0;
		is_base64 = is_gzip || strcmp(encoding, "base64") == 0 || strcmp(encoding, "b64") == 0;
	}
	free(encoding);
	if (is_base64) {
		r = userdata_base64(*ret, *ret_len, &plain, &len);
		free(*ret);
		*ret = r < 0 ? NULL : plain;
		*ret_len = len;
	}
	if (r == 0 && is_gzip) {
		r = userdata_gunzip(*ret, *ret_len, max, &plain, &len);
		free(*ret);
		*ret = r < 0 ? NULL : plain;
		*ret_len = len;
	}
	return r;
}
