/* SPDX-License-Identifier: MPL-2.0
 *
 * A client of the ssh-agent (draft-miller-ssh-agent).
 *
 * A message is a length, a type and a body.  Each call opens a connection of
 * its own: agents come and go, and a call each few seconds costs nothing.
 * An agent may ask its user before it signs, so all waiting has an end.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>

#include "agent.h"
#include "keyfile.h"
#include "sshwire.h"

enum {
	AGENT_FAILURE = 5,
	AGENT_REQUEST_IDENTITIES = 11,
	AGENT_IDENTITIES_ANSWER = 12,
	AGENT_SIGN_REQUEST = 13,
	AGENT_SIGN_RESPONSE = 14,

	AGENT_RSA_SHA2_256 = 2,

	AGENT_TIMEOUT_MS = 20000,
	AGENT_ANSWER_MAX = 256 << 10,
	AGENT_KEYS_MAX = 2048,
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int agent_connect(const char *path, struct nomad_error **err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	NOMAD_AUTO_FD int fd = -1;

	if (strlen(path) >= sizeof(addr.sun_path))
		return nomad_error_set(err, EINVAL, "ask the ssh-agent: the path '%s' is too long for a socket", path);
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return nomad_error_errno(err, errno, "ask the ssh-agent: make a socket");
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return nomad_error_errno(err, errno, "ask the ssh-agent at '%s'", path);
	return NOMAD_TAKE_FD(fd);
}

static int transfer(int fd, unsigned char *data, size_t size, bool out, int64_t deadline, struct nomad_error **err)
{
	while (size) {
		ssize_t n = out ? send(fd, data, size, MSG_NOSIGNAL) : recv(fd, data, size, 0);
		struct pollfd pfd = { .fd = fd, .events = out ? POLLOUT : POLLIN };
		int64_t left;

		if (n > 0) {
			data += n;
			size -= (size_t)n;
			continue;
		}
		if (n == 0)
			return nomad_error_set(err, EPIPE, "ask the ssh-agent: it closed the connection");
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return nomad_error_errno(err, errno, "ask the ssh-agent");
		left = deadline - now_ms();
		if (left <= 0)
			return nomad_error_set(err, ETIMEDOUT,
					       "ask the ssh-agent: no answer; it may be waiting for its user");
		(void)poll(&pfd, 1, (int)left);
	}
	return 0;
}

static int ask(const char *path, struct triton_writer *body, unsigned char **ret, size_t *ret_size,
	       struct nomad_error **err)
{
	int64_t deadline = now_ms() + AGENT_TIMEOUT_MS;
	NOMAD_AUTO_FD int fd = -1;
	unsigned char head[4];
	unsigned char *answer;
	uint32_t size;
	int r;

	if (body->bad)
		return nomad_error_errno(err, ENOMEM, "ask the ssh-agent");
	fd = agent_connect(path, err);
	if (fd < 0)
		return fd;
	size = (uint32_t)body->size;
	head[0] = size >> 24;
	head[1] = size >> 16;
	head[2] = size >> 8;
	head[3] = size;
	r = transfer(fd, head, sizeof(head), true, deadline, err);
	if (r >= 0)
		r = transfer(fd, body->data, body->size, true, deadline, err);
	if (r >= 0)
		r = transfer(fd, head, sizeof(head), false, deadline, err);
	if (r < 0)
		return r;
	size = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
	if (!size || size > AGENT_ANSWER_MAX)
		return nomad_error_set(err, EPROTO, "ask the ssh-agent: its answer has a size that cannot be");
	answer = malloc(size);
	if (!answer)
		return nomad_error_errno(err, ENOMEM, "ask the ssh-agent");
	r = transfer(fd, answer, size, false, deadline, err);
	if (r < 0) {
		free(answer);
		return r;
	}
	*ret = answer;
	*ret_size = size;
	return 0;
}

/* ---- Finding a key ---- */

int triton_agent_parse_identities(const unsigned char *answer, size_t size, const char *key_id,
				  unsigned char **ret_blob, size_t *ret_size, struct nomad_error **err)
{
	struct triton_reader reader = { .at = answer, .left = size };
	struct triton_span type = triton_read_bytes(&reader, 1);
	uint32_t count;

	if (reader.bad || *type.data != AGENT_IDENTITIES_ANSWER)
		return nomad_error_set(err, EPROTO, "list the keys of the ssh-agent: %s",
				       !reader.bad && *type.data == AGENT_FAILURE ? "it refused" : "an unknown answer");
	count = triton_read_u32(&reader);
	if (count > AGENT_KEYS_MAX)
		return nomad_error_set(err, EPROTO, "list the keys of the ssh-agent: a number that cannot be");
	for (uint32_t i = 0; i < count; i++) {
		struct triton_span blob = triton_read_string(&reader);

		triton_read_string(&reader);
		if (reader.bad)
			return nomad_error_set(err, EPROTO, "list the keys of the ssh-agent: a damaged answer");
		if (!blob.size || !triton_fingerprint_matches(key_id, blob.data, blob.size))
			continue;
		*ret_blob = malloc(blob.size);
		if (!*ret_blob)
			return nomad_error_errno(err, ENOMEM, "list the keys of the ssh-agent");
		memcpy(*ret_blob, blob.data, blob.size);
		*ret_size = blob.size;
		return 0;
	}
	if (reader.bad)
		return nomad_error_set(err, EPROTO, "list the keys of the ssh-agent: a damaged answer");
	return nomad_error_set(err, ENOKEY,
			       "the ssh-agent has no key with the fingerprint '%s' (it has %u); add it with ssh-add",
			       key_id, (unsigned)count);
}

int triton_agent_find(const char *socket_path, const char *key_id, unsigned char **ret_blob, size_t *ret_size,
		      struct nomad_error **err)
{
	struct triton_writer body = { 0 };
	unsigned char *answer = NULL;
	size_t size = 0;
	int r;

	triton_write_u8(&body, AGENT_REQUEST_IDENTITIES);
	r = ask(socket_path, &body, &answer, &size, err);
	triton_writer_done(&body);
	if (r >= 0)
		r = triton_agent_parse_identities(answer, size, key_id, ret_blob, ret_size, err);
	free(answer);
	return r;
}

/* ---- Signing ---- */

/* Two mpints r, s to the DER that the server checks. */
static int ecdsa_to_der(struct triton_span both, unsigned char **ret, size_t *ret_size)
{
	struct triton_reader reader = { .at = both.data, .left = both.size };
	struct triton_span r = triton_read_string(&reader), s = triton_read_string(&reader);
	ECDSA_SIG *sig;
	BIGNUM *bn_r, *bn_s;
	unsigned char *der = NULL;
	int n;

	if (reader.bad || !r.size || r.size > 67 || !s.size || s.size > 67)
		return -EPROTO;
	sig = ECDSA_SIG_new();
	bn_r = BN_bin2bn(r.data, (int)r.size, NULL);
	bn_s = BN_bin2bn(s.data, (int)s.size, NULL);
	if (!sig || !bn_r || !bn_s || ECDSA_SIG_set0(sig, bn_r, bn_s) != 1) {
		BN_free(bn_r);
		BN_free(bn_s);
		ECDSA_SIG_free(sig);
		return -ENOMEM;
	}
	n = i2d_ECDSA_SIG(sig, &der);
	ECDSA_SIG_free(sig);
	if (n <= 0)
		return -ENOMEM;
	*ret = der;
	*ret_size = (size_t)n;
	return 0;
}

int triton_agent_parse_signature(const unsigned char *answer, size_t size, unsigned char **ret_signature,
				 size_t *ret_size, struct nomad_error **err)
{
	struct triton_reader reader = { .at = answer, .left = size }, inner;
	struct triton_span type = triton_read_bytes(&reader, 1), outer, format, bytes;
	int r = -EPROTO;

	if (!reader.bad && *type.data == AGENT_FAILURE)
		return nomad_error_set(err, EACCES,
				       "sign with the ssh-agent: it refused; the key may be locked, gone, or want a "
				       "confirmation that nobody gave");
	outer = triton_read_string(&reader);
	inner = (struct triton_reader){ .at = outer.data, .left = outer.size, .bad = reader.bad };
	format = triton_read_string(&inner);
	bytes = triton_read_string(&inner);
	if (inner.bad || *type.data != AGENT_SIGN_RESPONSE)
		return nomad_error_set(err, EPROTO, "sign with the ssh-agent: a damaged answer");
	if (triton_span_is(format, "rsa-sha2-256") || (triton_span_is(format, "ssh-ed25519") && bytes.size == 64)) {
		*ret_signature = bytes.size ? OPENSSL_memdup(bytes.data, bytes.size) : NULL;
		*ret_size = bytes.size;
		r = *ret_signature ? 0 : -EPROTO;
	} else if (format.size > 11 && memcmp(format.data, "ecdsa-sha2-", 11) == 0) {
		r = ecdsa_to_der(bytes, ret_signature, ret_size);
	} else if (triton_span_is(format, "ssh-rsa")) {
		return nomad_error_set(err, EPROTO, "sign with the ssh-agent: it is too old and signs with SHA-1 only");
	}
	if (r < 0)
		return nomad_error_set(err, -r, "sign with the ssh-agent: a signature that cannot be used");
	return 0;
}

int triton_agent_sign(const char *socket_path, const unsigned char *blob, size_t blob_size, const void *data,
		      size_t size, unsigned char **ret_signature, size_t *ret_size, struct nomad_error **err)
{
	struct triton_writer body = { 0 };
	unsigned char *answer = NULL;
	size_t answer_size = 0;
	enum triton_key_type type;
	int r;

	if (triton_key_type_of_blob(blob, blob_size, &type) < 0)
		return nomad_error_set(err, EINVAL, "sign with the ssh-agent: the key is of a kind that is not known");
	triton_write_u8(&body, AGENT_SIGN_REQUEST);
	triton_write_string(&body, blob, blob_size);
	triton_write_string(&body, data, size);
	triton_write_u32(&body, type == TRITON_KEY_RSA ? AGENT_RSA_SHA2_256 : 0);
	r = ask(socket_path, &body, &answer, &answer_size, err);
	triton_writer_done(&body);
	if (r >= 0)
		r = triton_agent_parse_signature(answer, answer_size, ret_signature, ret_size, err);
	free(answer);
	return r;
}
