/* SPDX-License-Identifier: MPL-2.0
 *
 * Answers of an ssh-agent. */
#include <openssl/crypto.h>

#include "fuzz.h"
#include "nomad-driver-triton/agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nomad_error *err = NULL;
	unsigned char *out = NULL;
	size_t n = 0;

	if (triton_agent_parse_identities(data, size, "MD5:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff", &out, &n,
					  &err) >= 0)
		free(out);
	else if (!err)
		abort();
	nomad_error_free(err);
	err = NULL;
	out = NULL;
	if (triton_agent_parse_signature(data, size, &out, &n, &err) >= 0)
		OPENSSL_free(out);
	else if (!err)
		abort();
	nomad_error_free(err);
	return 0;
}
