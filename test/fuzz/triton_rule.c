/* SPDX-License-Identifier: MPL-2.0
 *
 * Firewall rules: a canonical form is its own canonical form. */
#include "fuzz.h"
#include "nomad-driver-triton/fwrules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *form = NULL, *again = NULL;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (triton_fwrule_canonical(text, &form, NULL) == 0 && strlen(form) <= 8192 &&
	    (triton_fwrule_canonical(form, &again, NULL) < 0 || strcmp(form, again) != 0))
		abort();
	free(text);
	free(form);
	free(again);
	return 0;
}
