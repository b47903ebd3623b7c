/* SPDX-License-Identifier: MPL-2.0
 *
 * An answer of a name server: flags, code, counts, and all that stands behind the question; or, if the first byte is
 * odd, the whole of it. */
#include "fuzz.h"
#include "nomadinit/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char name[] = "0.pool.ntp.example.org";
	struct fuzz_input in = { data, size };
	unsigned how = fuzz_byte(&in);
	struct net_address found[4];
	uint8_t query[DNS_QUERY_MAX], *answer;
	size_t n = dns_build(query, 0x1234, name, how & 2), rest = in.size < 4096 ? in.size : 4096;
	int r;

	if (how & 1)
		n = 0;
	answer = malloc(n + rest + 1);
	fuzz_must(answer);
	memcpy(answer, query, n);
	memcpy(answer + n, in.data, rest);
	if (n && rest >= 4) { /* the first of them are those of the header that a server sets */
		memcpy(answer + 2, in.data, 2);
		memcpy(answer + 6, in.data + 2, 2);
	}
	r = dns_parse(answer, n + rest, 0x1234, name, how & 2, found, NOMAD_ARRAY_LEN(found));
	fuzz_must(r != 0 && r <= (int)NOMAD_ARRAY_LEN(found));
	free(answer);
	return 0;
}
