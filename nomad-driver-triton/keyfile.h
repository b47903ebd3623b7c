/* SPDX-License-Identifier: MPL-2.0
 *
 * keyfile.h: private keys from files, and the fingerprints of keys. */
#ifndef TRITON_KEYFILE_H
#define TRITON_KEYFILE_H

#include <openssl/evp.h>

#include "nomad/base.h"
#include "nomad/error.h"

enum triton_key_type {
	TRITON_KEY_RSA,
	TRITON_KEY_P256,
	TRITON_KEY_P384,
	TRITON_KEY_P521,
	TRITON_KEY_ED25519,
};

enum { TRITON_SECRET_FILE_MAX = 64 << 10 };

/* Read the private key in `text`: PEM (PKCS#1, SEC 1, PKCS#8), encrypted with
 * `passphrase` or not, or OpenSSH, not encrypted.  `passphrase` may be NULL.
 * `what` names the source in messages. */
int triton_key_parse(const char *text, size_t size, const char *what, const char *passphrase, EVP_PKEY **ret,
		     struct nomad_error **err);
/* The same from a file of at most TRITON_SECRET_FILE_MAX bytes. */
int triton_key_load(const char *path, const char *passphrase, EVP_PKEY **ret, struct nomad_error **err);
/* The first line of a file; to be given to triton_secret_free(). */
int triton_passphrase_load(const char *path, char **ret, struct nomad_error **err);
/* Wipes it.  NULL is allowed. */
void triton_secret_free(char *text);

int triton_key_type_of(EVP_PKEY *key, enum triton_key_type *ret, struct nomad_error **err);
/* By the name in front of a public blob: "ssh-rsa", "ssh-ed25519", ... */
int triton_key_type_of_blob(const unsigned char *blob, size_t size, enum triton_key_type *ret);

/* The public half as SSH's wire blob, OPENSSL_malloc()ed. */
int triton_key_blob(EVP_PKEY *key, unsigned char **ret, size_t *ret_size, struct nomad_error **err);

/* "aa:bb:..." of 16 bytes. */
enum { TRITON_MD5_SIZE = 48 };
int triton_fingerprint_md5(const unsigned char *blob, size_t size, char ret[TRITON_MD5_SIZE]);
/* Does `key_id`, in any of its forms, mean the key of this blob? */
bool triton_fingerprint_matches(const char *key_id, const unsigned char *blob, size_t size);
/* NULL if `key_id` has the form of a fingerprint, else what is expected. */
const char *triton_fingerprint_check(const char *key_id);

#endif
