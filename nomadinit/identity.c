/* SPDX-License-Identifier: MPL-2.0 */
#include "identity.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

#define KEPT_ID "/state/nomadinit/machine-id"
#define KEPT_SEED "/state/nomadinit/random-seed"
#define KEPT_INSTANCE "/state/nomadinit/instance-id"
#define CLIENT_STATE "/state/nomad/client"
#define SEED_BYTES 256

bool identity_from_uuid(const char *uuid, char id[33])
{
	size_t n = 0;

	for (; *uuid; uuid++) {
		if (*uuid == '-')
			continue;
		if (!isxdigit((unsigned char)*uuid) || n == 32)
			return false;
		id[n++] = (char)tolower((unsigned char)*uuid);
	}
	id[n] = '\0';
	/* 000..., fff..., and the like: the vendor did not fill it in. */
	return n == 32 && strspn(id, (char[]){ id[0], '\0' }) < 28 && strncmp(id, "0306050708090a0b", 16) != 0;
}

static bool is_id(const char *s)
{
	return strlen(s) == 32 && strspn(s, "0123456789abcdef") == 32;
}

void identity_machine_id(char id[33])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char raw[16];
	char text[64];
	int i, r;

	r = util_read_line(KEPT_ID, text, sizeof(text));
	if (r == 32 && is_id(text)) {
		memcpy(id, text, 33);
	} else {
		if (util_read_line("/sys/class/dmi/id/product_uuid", text, sizeof(text)) <= 0 ||
		    !identity_from_uuid(text, id)) {
			util_random(raw, sizeof(raw));
			raw[6] = (raw[6] & 0x0f) | 0x40;
			raw[8] = (raw[8] & 0x3f) | 0x80;
			for (i = 0; i < 16; i++) {
				id[2 * i] = digits[raw[i] >> 4];
				id[2 * i + 1] = digits[raw[i] & 15];
			}
			id[32] = '\0';
		}
		snprintf(text, sizeof(text), "%s\n", id);
		r = util_replace_file(KEPT_ID, text, 33, 0444);
		if (r < 0)
			log_warn("cannot keep the machine id: %s", strerror(-r));
	}
	snprintf(text, sizeof(text), "%s\n", id);
	util_replace_file("/run/nomadinit/machine-id", text, 33, 0444);
}

/* A disk that was copied with its state: two nodes must not be one to the servers. */
void identity_note_instance(const char *id)
{
	char kept[256] = "", text[258], other[300];
	int n;

	util_read_line(KEPT_INSTANCE, kept, sizeof(kept));
	if (!*id || strcmp(kept, id) == 0)
		return;
	if (kept[0]) {
		snprintf(other, sizeof(other), CLIENT_STATE ".%lld", (long long)time(NULL));
		log_warn("this machine is '%s', and the state is a copy of that of '%s': it gets a machine id and a "
			 "node id of "
			 "its own; '%s' becomes '%s'",
			 id, kept, CLIENT_STATE, other);
		if (rename(CLIENT_STATE, other) < 0 && errno != ENOENT)
			log_error("cannot rename '%s': %s", CLIENT_STATE, strerror(errno));
		unlink(KEPT_ID);
		unlink(KEPT_SEED);
	}
	n = snprintf(text, sizeof(text), "%.255s\n", id);
	if (util_replace_file(KEPT_INSTANCE, text, (size_t)n, 0444) < 0)
		log_warn("cannot keep the instance id");
}

int identity_set_hostname(const char *name)
{
	char text[512], label[64];
	int n;

	n = snprintf(label, sizeof(label), "%.*s", (int)strcspn(name, "."), name);
	if (sethostname(name, strlen(name) > 64 ? (size_t)n : strlen(name)) < 0)
		return -errno;
	n = snprintf(text, sizeof(text), "%s\n", name);
	util_replace_file("/run/nomadinit/hostname", text, (size_t)n, 0644);
	n = snprintf(text, sizeof(text), "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s%s%s\n", name,
		     strcmp(label, name) != 0 ? " " : "", strcmp(label, name) != 0 ? label : "");
	return util_replace_file("/run/nomadinit/hosts", text, (size_t)n, 0644);
}

void identity_load_seed(void)
{
	struct {
		int entropy_count, buf_size;
		unsigned char buf[SEED_BYTES];
	} pool;
	NOMAD_AUTO_FD int fd = open(KEPT_SEED, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	NOMAD_AUTO_FD int random = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || random < 0 || fstat(fd, &st) < 0 || st.st_size != SEED_BYTES)
		return;
	if (util_pread_all(fd, pool.buf, SEED_BYTES, 0) < 0)
		return;
	/* Counted only if it surely is not used a second time. */
	pool.entropy_count = 0;
	pool.buf_size = SEED_BYTES;
	if (unlink(KEPT_SEED) == 0) {
		int dir = open("/state/nomadinit", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (dir >= 0 && fsync(dir) == 0)
			pool.entropy_count = SEED_BYTES * 8;
		if (dir >= 0)
			close(dir);
	}
	if (ioctl(random, RNDADDENTROPY, &pool) < 0)
		log_warn("cannot use the kept random seed: %s", strerror(errno));
	identity_save_seed();
}

void identity_save_seed(void)
{
	unsigned char seed[SEED_BYTES];

	util_random(seed, sizeof(seed));
	if (util_replace_file(KEPT_SEED, seed, sizeof(seed), 0600) < 0)
		log_warn("cannot keep a random seed for the next boot");
}
