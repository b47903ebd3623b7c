/* SPDX-License-Identifier: MPL-2.0
 *
 * The record of mapped ports: what is read can be written and read again. */
#include "fuzz.h"
#include "nomad-driver-nspawn/network.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	char *text = fuzz_text(&in, -1, NULL), *form;
	struct nspawn_port *ports = NULL, *again = NULL;
	size_t n = 0, n_again = 0;

	if (nspawn_ports_parse(text, &ports, &n) == 0) {
		form = nspawn_ports_format(ports, n);
		fuzz_must(form && nspawn_ports_parse(form, &again, &n_again) == 0 && n == n_again);
		for (size_t i = 0; i < n; i++)
			fuzz_must(ports[i].host == again[i].host && ports[i].container == again[i].container &&
				  strcmp(ports[i].at, again[i].at) == 0);
		free(form);
	}
	free(ports);
	free(again);
	free(text);
	return 0;
}
