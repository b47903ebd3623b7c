/* SPDX-License-Identifier: MPL-2.0
 *
 * Images as a build left them, by the first byte: an archive; or a layout or a storage, of an index, a zero, and a
 * manifest. */
#include "fuzz.h"
#include "nomad-driver-build/step.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char root[64];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	snprintf(root, sizeof(root), "/proc/self/fd/%d", fuzz_directory());
	fuzz_must(mkdirat(fuzz_directory(), "blobs", 0700) == 0 &&
		  mkdirat(fuzz_directory(), "blobs/sha256", 0700) == 0 &&
		  mkdirat(fuzz_directory(), "overlay-images", 0700) == 0 &&
		  mkdirat(fuzz_directory(), "overlay-images/" DIGEST, 0700) == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct build_image image = { 0 };
	struct nomad_error *err = NULL;
	unsigned which = fuzz_byte(&in) % 3;
	size_t n, m;
	int r;

	if (which == 0) {
		char path[80];

		fuzz_put_file("archive", in.data, in.size);
		snprintf(path, sizeof(path), "%s/archive", root);
		r = build_image_in_archive(path, &image, &err);
	} else {
		char *index = fuzz_text(&in, 0, &n), *manifest = fuzz_text(&in, 0, &m);

		fuzz_put_file(which == 1 ? "index.json" : "overlay-images/images.json", index, n);
		fuzz_put_file(which == 1 ? "blobs/sha256/" DIGEST : "overlay-images/" DIGEST "/manifest", manifest, m);
		r = which == 1 ? build_image_in_layout(root, "latest", &image, &err)
			       : build_image_in_store(root, DIGEST, &image, &err);
		free(index);
		free(manifest);
	}
	if (r < 0)
		fuzz_error(err);
	else
		fuzz_must(strlen(image.id) == 64 && strlen(image.digest) == 64 && image.size >= 0);
	build_image_done(&image);
	return 0;
}
