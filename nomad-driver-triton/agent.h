/* SPDX-License-Identifier: MPL-2.0
 *
 * agent.h: a client of the ssh-agent. */
#ifndef TRITON_AGENT_H
#define TRITON_AGENT_H

#include "nomad/base.h"
#include "nomad/error.h"

/* The public blob of the agent's key that `key_id` means, malloc()ed. */
int triton_agent_find(const char *socket_path, const char *key_id, unsigned char **ret_blob, size_t *ret_size,
		      struct nomad_error **err);

/* Sign `data` with the key of `blob`.  The signature has the form that HTTP
 * signatures want: PKCS#1 with SHA-256 for RSA, DER for ECDSA, 64 bytes for
 * Ed25519.  Allocated by OPENSSL_malloc(). */
int triton_agent_sign(const char *socket_path, const unsigned char *blob, size_t blob_size, const void *data,
		      size_t size, unsigned char **ret_signature, size_t *ret_size, struct nomad_error **err);

/* The two answers, taken apart (for tests and the fuzzer). */
int triton_agent_parse_identities(const unsigned char *answer, size_t size, const char *key_id,
				  unsigned char **ret_blob, size_t *ret_size, struct nomad_error **err);
int triton_agent_parse_signature(const unsigned char *answer, size_t size, unsigned char **ret_signature,
				 size_t *ret_size, struct nomad_error **err);

#endif
