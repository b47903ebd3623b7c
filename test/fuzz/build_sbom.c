/* SPDX-License-Identifier: MPL-2.0
 *
 * A database of packages as an image has it, by the first byte of dpkg or apk; and os-release, the rest after a zero.
 */
#include "fuzz.h"
#include "nomad-driver-build/sbom.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_must(mkdirat(fuzz_directory(), "etc", 0700) == 0 && mkdirat(fuzz_directory(), "var", 0700) == 0 &&
		  mkdirat(fuzz_directory(), "var/lib", 0700) == 0 &&
		  mkdirat(fuzz_directory(), "var/lib/dpkg", 0700) == 0 && mkdirat(fuzz_directory(), "lib", 0700) == 0 &&
		  mkdirat(fuzz_directory(), "lib/apk", 0700) == 0 &&
		  mkdirat(fuzz_directory(), "lib/apk/db", 0700) == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	const struct build_plan plan = { .timestamp = (char *)"0" };
	const struct build_result result = { .digest = (char *)"0" };
	bool apk = fuzz_byte(&in) & 1;
	size_t n, m;
	char *database = fuzz_text(&in, 0, &n), *release = fuzz_text(&in, 0, &m), *text;
	const char *left_out;
	json_t *top;

	fuzz_put_file("var/lib/dpkg/status", database, apk ? 0 : n);
	fuzz_put_file("lib/apk/db/installed", database, apk ? n : 0);
	fuzz_put_file("etc/os-release", release, m);
	text = build_sbom(fuzz_directory(), &plan, &result, &left_out);
	fuzz_must(text && !left_out);
	top = json_loads(text, 0, NULL);
	fuzz_must(top && json_array_size(json_object_get(top, "packages")) ==
				 json_array_size(json_object_get(top, "relationships")));
	json_decref(top);
	free(text);
	free(database);
	free(release);
	return 0;
}
