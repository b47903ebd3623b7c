/* SPDX-License-Identifier: MPL-2.0
 *
 * A URL, a line feed, and the SHA256SUMS from beside it. */
#include "fuzz.h"
#include "nomad-driver-nspawn/download.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	char *url = fuzz_text(&in, '\n', NULL), *sums = fuzz_text(&in, -1, NULL), *name = nspawn_url_name(url);
	char digest[65];

	fuzz_must(name && strstr(url, name) && !strchr(name, '/'));
	if (nspawn_sums_find(sums, name, digest))
		fuzz_must(strspn(digest, "0123456789abcdefABCDEF") == 64 && !digest[64] && strstr(sums, digest) &&
			  strstr(strstr(sums, digest), name));
	free(url);
	free(sums);
	free(name);
	return 0;
}
