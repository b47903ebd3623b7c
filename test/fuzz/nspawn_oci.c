/* SPDX-License-Identifier: MPL-2.0
 *
 * config.json of a container image. */
#include "fuzz.h"
#include "nomad-driver-nspawn/oci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct nspawn_oci oci = { 0 };
	struct nomad_error *err = NULL;
	char *text = fuzz_text(&in, -1, NULL);

	if (nspawn_oci_parse(text, &oci, &err) < 0)
		fuzz_error(err);
	else
		for (size_t i = 0; i < oci.env.count; i++)
			fuzz_must(oci.env.pairs[i].key[0] && !strchr(oci.env.pairs[i].key, '='));
	nspawn_oci_done(&oci);
	free(text);
	return 0;
}
