/* SPDX-License-Identifier: MPL-2.0 */
/* Keys and certificates of a cluster, all derived from one secret, and signatures of configurations.
 *
 * The same secret gives the same CA certificate, byte for byte, the same gossip key and the same first ACL token on
 * every machine.  A node's own key is random.  Functions return 0 or a negative error of mbed TLS. */
#ifndef NOMADINIT_KEYS_H
#define NOMADINIT_KEYS_H

#include <mbedtls/pk.h>
#include <stddef.h>

#define KEYS_PEM_SIZE 4096
#define KEYS_GOSSIP_SIZE 45
#define KEYS_TOKEN_SIZE 37
#define KEYS_MIN_SECRET 32

struct keys {
	unsigned char root[32];
	mbedtls_pk_context ca;
};

/* Fills *ret; keys_done() whatever is returned. */
int keys_derive(const char *secret, size_t len, struct keys *ret);
void keys_done(struct keys *k);

/* 32 bytes in base64, as Nomad's server.encrypt. */
int keys_gossip(const struct keys *k, char ret[KEYS_GOSSIP_SIZE]);
/* A version 4 UUID, the secret of the first management token. */
int keys_token(const struct keys *k, char ret[KEYS_TOKEN_SIZE]);
int keys_ca_certificate(struct keys *k, char pem[KEYS_PEM_SIZE]);
/* Makes a key and its certificate, for TLS servers and clients; names[] (ends with NULL) are DNS names beside
 * localhost, the first of which is its common name. */
int keys_certificate(struct keys *k, const char *const names[], char pem[KEYS_PEM_SIZE], char key_pem[KEYS_PEM_SIZE]);

enum keys_verdict { KEYS_GOOD, KEYS_BAD, KEYS_UNSIGNED };
/* Verifies a text whose first line is "#nomadinit signature=BASE64": an ECDSA or RSA (PKCS #1 v1.5) signature with
 * SHA-256 of all that follows the line, by one of the public keys in PEM form. */
enum keys_verdict keys_verify(const char *public_pem, const char *text, size_t len);

#endif
