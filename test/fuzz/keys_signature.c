/* SPDX-License-Identifier: MPL-2.0
 *
 * The first line of a configuration, with its signature.  The private key signed one text and is lost: no other one is
 * ever good. */
#include "fuzz.h"
#include "nomadinit/keys/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char key[] = "-----BEGIN PUBLIC KEY-----\n"
				  "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEfzneYok7Y4IscrELAu8EgZlE4Vzm\n"
				  "tkO7U+xSNehIGCcHFmJOsmsLK3dnKhmIAAyyCo40IKUi135oGRtJwDLHLw==\n"
				  "-----END PUBLIC KEY-----\n";
	static const char body[] = "\n{\"region\": \"eu\"}\n";
	const size_t len = sizeof(body) - 1;
	char *text = malloc(size + 1);

	fuzz_must(text);
	memcpy(text, data, size);
	text[size] = 0;
	if (keys_verify(key, text, size) == KEYS_GOOD)
		fuzz_must(size > len && memcmp(text + size - len, body, len) == 0);
	(void)keys_verify(text, text, size);
	free(text);
	return 0;
}
