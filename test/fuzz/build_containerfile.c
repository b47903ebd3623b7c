/* SPDX-License-Identifier: MPL-2.0
 *
 * A Containerfile; and the same bytes as registries.conf. */
#include "fuzz.h"
#include "nomad-driver-build/containerfile.h"
#include "nomad-driver-build/registries.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	char *text = fuzz_text(&in, -1, NULL), *drop_in, path[40];
	int fd = fuzz_file(data, size);

	(void)build_binds_in(text);
	free(text);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	drop_in = build_registries_drop_in(path, NULL);
	fuzz_must(drop_in);
	free(drop_in);
	close(fd);
	return 0;
}
