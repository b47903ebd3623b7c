/* SPDX-License-Identifier: MPL-2.0
 *
 * A Containerfile: its mounts, its names, and what it takes of an old and of a new engine; and the same bytes as
 * registries.conf. */
#include "fuzz.h"
#include "nomad-driver-build/containerfile.h"
#include "nomad-driver-build/features.h"
#include "nomad-driver-build/registries.h"

static void look_for_features(const char *text, int minor)
{
	struct build_engine engine = { .major = 1, .minor = minor, .platform = "linux/amd64" };
	struct build_features f;

	fuzz_must(build_features_in(text, &engine, minor & 1 ? "a" : NULL, &f) == 0);
	fuzz_must(!f.text || strlen(f.text) <= strlen(text));
	free(f.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	char *text = fuzz_text(&in, -1, NULL), *drop_in, *copy, path[40];
	const struct nomad_map none = { 0 };
	struct build_names names;
	int fd = fuzz_file(data, size);

	look_for_features(text, 28);
	look_for_features(text, 39);
	copy = strdup(text);
	fuzz_must(copy && build_names_in(copy, &none, &none, &names) == 0);
	build_names_done(&names);
	free(copy);
	(void)build_binds_in(text);
	free(text);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	drop_in = build_registries_drop_in(path, NULL);
	fuzz_must(drop_in);
	free(drop_in);
	close(fd);
	return 0;
}
