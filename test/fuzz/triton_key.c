/* SPDX-License-Identifier: MPL-2.0
 *
 * Key files: what is accepted has a public half. */
#include <openssl/crypto.h>

#include "fuzz.h"
#include "nomad-driver-triton/keyfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nomad_error *err = NULL;
	unsigned char *blob = NULL;
	EVP_PKEY *key = NULL;
	size_t n = 0;

	if (triton_key_parse((const char *)data, size, "the fuzzer", NULL, &key, &err) < 0) {
		if (!err)
			abort();
		nomad_error_free(err);
		return 0;
	}
	if (triton_key_blob(key, &blob, &n, NULL) >= 0)
		OPENSSL_free(blob);
	EVP_PKEY_free(key);
	return 0;
}
