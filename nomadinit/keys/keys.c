/* SPDX-License-Identifier: MPL-2.0 */
/* HKDF-SHA256 of the secret gives all; ECDSA signatures on P-256 are deterministic (RFC 6979). */
#include "keys.h"

#include <errno.h>
#include <mbedtls/asn1write.h>
#include <mbedtls/base64.h>
#include <mbedtls/ecp.h>
#include <mbedtls/error.h>
#include <mbedtls/hkdf.h>
#include <mbedtls/oid.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "nomad/base.h"

#define SALT "nomadinit cluster 1"
#define CA_NAME "O=nomadinit,CN=Nomad cluster CA"
/* A node has the secret beside its certificate, so an end would protect nobody, and a node with a wrong clock would not
 * come up. */
#define NOT_BEFORE "20200101000000"
#define NOT_AFTER "99991231235959"
#define MAX_SIGNATURE 1024
#define HEADER "#nomadinit signature="
#define PEM_BEGIN "-----BEGIN PUBLIC KEY-----"
#define PEM_END "-----END PUBLIC KEY-----"

static const mbedtls_md_info_t *sha256(void)
{
	return mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
}

/* Blocks until the kernel has randomness. */
static int random_bytes(void *data, unsigned char *to, size_t len)
{
	ssize_t n;

	(void)data;
	while (len > 0) {
		n = getrandom(to, len, 0);
		if (n < 0 && errno != EINTR)
			return MBEDTLS_ERR_ERROR_GENERIC_ERROR;
		if (n > 0) {
			to += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int expand(const struct keys *k, const char *label, unsigned char *to, size_t len)
{
	return mbedtls_hkdf_expand(sha256(), k->root, sizeof(k->root), (const unsigned char *)label, strlen(label), to,
				   len);
}

static int parse_private(mbedtls_pk_context *key, const unsigned char *der, size_t len)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	return mbedtls_pk_parse_key(key, der, len, NULL, 0, random_bytes, NULL);
#else
	return mbedtls_pk_parse_key(key, der, len, NULL, 0);
#endif
}

/* A number of 32 bytes is no private key of P-256 once in 2^32 times: then the next one counts. */
static int derive_ca(struct keys *k)
{
	/* RFC 5915: version 1, the private key, the curve. */
	unsigned char der[] = "\x30\x31\x02\x01\x01\x04\x20"
			      "................................"
			      "\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
	char label[16];
	int r = -1, i;

	for (i = 0; r != 0 && i < 8; i++) {
		mbedtls_pk_free(&k->ca);
		mbedtls_pk_init(&k->ca);
		snprintf(label, sizeof(label), "ca key %d", i);
		r = expand(k, label, der + 7, 32);
		if (r == 0)
			r = parse_private(&k->ca, der, sizeof(der) - 1);
	}
	mbedtls_platform_zeroize(der, sizeof(der));
	return r;
}

int keys_derive(const char *secret, size_t len, struct keys *ret)
{
	int r;

	mbedtls_pk_init(&ret->ca);
	r = mbedtls_hkdf_extract(sha256(), (const unsigned char *)SALT, strlen(SALT), (const unsigned char *)secret,
				 len, ret->root);
	return r == 0 ? derive_ca(ret) : r;
}

void keys_done(struct keys *k)
{
	mbedtls_pk_free(&k->ca);
	mbedtls_platform_zeroize(k->root, sizeof(k->root));
}

int keys_gossip(const struct keys *k, char ret[KEYS_GOSSIP_SIZE])
{
	unsigned char raw[32];
	size_t len;
	int r = expand(k, "gossip", raw, sizeof(raw));

	return r == 0 ? mbedtls_base64_encode((unsigned char *)ret, KEYS_GOSSIP_SIZE, &len, raw, sizeof(raw)) : r;
}

int keys_token(const struct keys *k, char ret[KEYS_TOKEN_SIZE])
{
	unsigned char b[16];
	int r = expand(k, "acl bootstrap", b, sizeof(b));

	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	snprintf(ret, KEYS_TOKEN_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
		 b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
	return r;
}

/* ---- Certificates ------------------------------------------------------------------- */

static int set_serial(mbedtls_x509write_cert *w, unsigned char *serial, size_t len)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03040000
	return mbedtls_x509write_crt_set_serial_raw(w, serial, len);
#else
	mbedtls_mpi number;
	int r;

	mbedtls_mpi_init(&number);
	r = mbedtls_mpi_read_binary(&number, serial, len);
	if (r == 0)
		r = mbedtls_x509write_crt_set_serial(w, &number);
	mbedtls_mpi_free(&number);
	return r;
#endif
}

/* What the CA's certificate and a node's have in common. */
static int begin(mbedtls_x509write_cert *w, struct keys *k, mbedtls_pk_context *subject, const char *name, bool is_ca)
{
	int r;

	mbedtls_x509write_crt_set_version(w, MBEDTLS_X509_CRT_VERSION_3);
	mbedtls_x509write_crt_set_md_alg(w, MBEDTLS_MD_SHA256);
	mbedtls_x509write_crt_set_subject_key(w, subject);
	mbedtls_x509write_crt_set_issuer_key(w, &k->ca);
	r = mbedtls_x509write_crt_set_subject_name(w, name);
	if (r == 0)
		r = mbedtls_x509write_crt_set_issuer_name(w, CA_NAME);
	if (r == 0)
		r = mbedtls_x509write_crt_set_validity(w, NOT_BEFORE, NOT_AFTER);
	if (r == 0)
		r = mbedtls_x509write_crt_set_basic_constraints(w, is_ca, is_ca ? 0 : -1);
	if (r == 0)
		r = mbedtls_x509write_crt_set_key_usage(w, is_ca ? MBEDTLS_X509_KU_KEY_CERT_SIGN
								 : MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
	if (r == 0)
		r = mbedtls_x509write_crt_set_subject_key_identifier(w);
	return r == 0 && !is_ca ? mbedtls_x509write_crt_set_authority_key_identifier(w) : r;
}

int keys_ca_certificate(struct keys *k, char pem[KEYS_PEM_SIZE])
{
	mbedtls_x509write_cert w;
	unsigned char serial = 1;
	int r;

	mbedtls_x509write_crt_init(&w);
	r = begin(&w, k, &k->ca, CA_NAME, true);
	if (r == 0)
		r = set_serial(&w, &serial, 1);
	if (r == 0)
		r = mbedtls_x509write_crt_pem(&w, (unsigned char *)pem, KEYS_PEM_SIZE, random_bytes, NULL);
	mbedtls_x509write_crt_free(&w);
	return r;
}

static int write_name(unsigned char **at, unsigned char *start, int kind, const void *value, size_t len)
{
	int r = mbedtls_asn1_write_raw_buffer(at, start, value, len);

	if (r >= 0)
		r = mbedtls_asn1_write_len(at, start, len);
	if (r >= 0)
		r = mbedtls_asn1_write_tag(at, start, (unsigned char)(MBEDTLS_ASN1_CONTEXT_SPECIFIC | kind));
	return r;
}

static int set_alt_names(mbedtls_x509write_cert *w, const char *const names[])
{
	static const unsigned char v4[] = { 127, 0, 0, 1 }, v6[16] = { [15] = 1 };
	enum { DNS = 2, IP = 7 };
	unsigned char buf[1024], *end = buf + sizeof(buf), *at = end;
	int r;

	/* Backwards, as mbed TLS writes. */
	r = write_name(&at, buf, IP, v6, sizeof(v6));
	if (r >= 0)
		r = write_name(&at, buf, IP, v4, sizeof(v4));
	if (r >= 0)
		r = write_name(&at, buf, DNS, "localhost", 9);
	for (; r >= 0 && *names; names++)
		r = write_name(&at, buf, DNS, *names, strlen(*names));
	if (r >= 0)
		r = mbedtls_asn1_write_len(&at, buf, (size_t)(end - at));
	if (r >= 0)
		r = mbedtls_asn1_write_tag(&at, buf, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE);
	return r < 0 ? r
		     : mbedtls_x509write_crt_set_extension(w, MBEDTLS_OID_SUBJECT_ALT_NAME,
							   MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME), 0, at,
							   (size_t)(end - at));
}

/* A sequence of serverAuth and clientAuth. */
static int set_uses(mbedtls_x509write_cert *w)
{
	static const unsigned char both[] = "\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01"
					    "\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02";

	return mbedtls_x509write_crt_set_extension(w, MBEDTLS_OID_EXTENDED_KEY_USAGE,
						   MBEDTLS_OID_SIZE(MBEDTLS_OID_EXTENDED_KEY_USAGE), 0, both,
						   sizeof(both) - 1);
}

int keys_certificate(struct keys *k, const char *const names[], char pem[KEYS_PEM_SIZE], char key_pem[KEYS_PEM_SIZE])
{
	unsigned char serial[16];
	mbedtls_x509write_cert w;
	mbedtls_pk_context key;
	char subject[300];
	int r;

	mbedtls_x509write_crt_init(&w);
	mbedtls_pk_init(&key);
	snprintf(subject, sizeof(subject), "O=nomadinit,CN=%s", names[0]);
	r = random_bytes(NULL, serial, sizeof(serial));
	serial[0] = (serial[0] & 0x7f) | 1; /* positive, and no zeros to drop */
	if (r == 0)
		r = mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
	if (r == 0)
		r = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key), random_bytes, NULL);
	if (r == 0)
		r = begin(&w, k, &key, subject, false);
	if (r == 0)
		r = set_serial(&w, serial, sizeof(serial));
	if (r == 0)
		r = set_uses(&w);
	if (r == 0)
		r = set_alt_names(&w, names);
	if (r == 0)
		r = mbedtls_x509write_crt_pem(&w, (unsigned char *)pem, KEYS_PEM_SIZE, random_bytes, NULL);
	if (r == 0)
		r = mbedtls_pk_write_key_pem(&key, (unsigned char *)key_pem, KEYS_PEM_SIZE);
	mbedtls_x509write_crt_free(&w);
	mbedtls_pk_free(&key);
	return r;
}

/* ---- Signatures ---------------------------------------------------------------------- */

/* One PEM block, which mbed TLS wants to end with a zero. */
static bool verify_by(const char *block, size_t len, const unsigned char hash[32], const unsigned char *signature,
		      size_t signature_len)
{
	char pem[KEYS_PEM_SIZE];
	mbedtls_pk_context key;
	bool ok = false;

	if (len >= sizeof(pem))
		return false;
	memcpy(pem, block, len);
	pem[len] = '\0';
	mbedtls_pk_init(&key);
	if (mbedtls_pk_parse_public_key(&key, (const unsigned char *)pem, len + 1) == 0)
		ok = mbedtls_pk_verify(&key, MBEDTLS_MD_SHA256, hash, 32, signature, signature_len) == 0;
	mbedtls_pk_free(&key);
	return ok;
}

enum keys_verdict keys_verify(const char *public_pem, const char *text, size_t len)
{
	unsigned char signature[MAX_SIGNATURE], hash[32];
	const char *at = text + strlen(HEADER), *line_end, *body, *end;
	size_t n;

	if (len <= strlen(HEADER) || memcmp(text, HEADER, strlen(HEADER)) != 0)
		return KEYS_UNSIGNED;
	line_end = memchr(at, '\n', len - strlen(HEADER));
	if (!line_end)
		return KEYS_UNSIGNED;
	body = line_end + 1;
	if (line_end > at && line_end[-1] == '\r')
		line_end--;
	if (mbedtls_base64_decode(signature, sizeof(signature), &n, (const unsigned char *)at,
				  (size_t)(line_end - at)) != 0 ||
	    mbedtls_md(sha256(), (const unsigned char *)body, len - (size_t)(body - text), hash) != 0)
		return KEYS_BAD;
	while ((public_pem = strstr(public_pem, PEM_BEGIN))) {
		end = strstr(public_pem, PEM_END);
		if (!end)
			break;
		end += strlen(PEM_END);
		if (verify_by(public_pem, (size_t)(end - public_pem), hash, signature, n))
			return KEYS_GOOD;
		public_pem = end;
	}
	return KEYS_BAD;
}
