/* SPDX-License-Identifier: MPL-2.0
 *
 * What the engine wrote, and what a build may have made of it: a store, a
 * layout and an archive that are right, cut off anywhere, and nonsense. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "step.h"

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B64 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C64 "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define MANIFEST "{\"config\":{\"digest\":\"sha256:" A64 "\",\"size\":10},\"layers\":[{\"size\":100},{\"size\":1000}]}"
#define OTHER "{\"config\":{\"digest\":\"sha256:" C64 "\",\"size\":1}}"
#define NAME "\"annotations\":{\"org.opencontainers.image.ref.name\":\"v1\"}"
#define INDEX "{\"manifests\":[{\"digest\":\"sha256:" B64 "\"," NAME "},{\"digest\":\"sha256:" C64 "\"}]}"

static char top[] = "/tmp/image_test.XXXXXX";

static const char *at(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

static void put(const char *name, const char *text, size_t size)
{
	int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0 && write(fd, text, size) == (ssize_t)size);
	close(fd);
}

static void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

static void dir(const char *name)
{
	assert_true(mkdir(at(name), 0755) == 0 || errno == EEXIST);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(top, "/tmp/image_test.XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	return system(command);
}

static void is_image(int r, struct build_image *image, const char *id, const char *digest, int64_t size)
{
	assert_int_equal(r, 0);
	assert_string_equal(image->id, id);
	assert_string_equal(image->digest, digest);
	assert_int_equal(image->size, size);
	build_image_done(image);
	assert_null(image->id);
}

/* A named error, and nothing to free. */
static void is_damaged(int r, struct build_image *image, struct nomad_error **err)
{
	assert_int_equal(r, -EIO);
	assert_non_null(strstr(nomad_error_message(*err), "is not as the engine writes it"));
	nomad_error_free(*err);
	*err = NULL;
	assert_null(image->id);
	assert_null(image->digest);
}

/* ---- The store ---- */

static void put_store(const char *images, const char *manifest)
{
	dir("overlay-images");
	dir("overlay-images/" A64);
	put_text("overlay-images/images.json", images);
	put_text("overlay-images/" A64 "/manifest", manifest);
}

static int in_store(struct build_image *image, struct nomad_error **err)
{
	*image = (struct build_image){ 0 };
	return build_image_in_store(top, A64, image, err);
}

#define IMAGE "{\"id\":\"" A64 "\",\"digest\":\"sha256:" B64 "\"}"

static void test_store(void **state)
{
	static const char *const wrong[] = {
		"",
		"{}",
		"[]",
		"[1,null,[]]",
		"[{\"id\":1}]",
		"[{\"id\":\"" B64 "\"}]",
		"[{\"id\":\"" A64 "\"}]",
		"[{\"id\":\"" A64 "\",\"digest\":\"md5:" B64 "\"}]",
		"[{\"id\":\"" A64 "\",\"digest\":\"sha256:" B64 "0\"}]",
		"[{\"id\":\"" A64 "\",\"digest\":\"sha256:../../" B64 "\"}]",
		"[" IMAGE,
		"\xff\xfe[" IMAGE "]",
	};
	struct nomad_error *err = NULL;
	struct build_image image = { 0 };
	size_t i;

	(void)state;
	is_damaged(in_store(&image, &err), &image, &err);
	put_store("[{\"id\":\"x\"}," IMAGE "]", MANIFEST);
	is_image(in_store(&image, &err), &image, A64, B64, 1110);
	for (i = 0; i < NOMAD_ARRAY_LEN(wrong); i++) {
		put_store(wrong[i], MANIFEST);
		is_damaged(in_store(&image, &err), &image, &err);
	}
	/* An id that is there twice is taken once. */
	put_store("[" IMAGE "," IMAGE "]", MANIFEST);
	is_image(in_store(&image, &err), &image, A64, B64, 1110);
	/* The other driver's store. */
	put_store("[]", MANIFEST);
	dir("vfs-images");
	dir("vfs-images/" A64);
	put_text("vfs-images/images.json", "[" IMAGE "]");
	put_text("vfs-images/" A64 "/manifest", MANIFEST);
	is_image(in_store(&image, &err), &image, A64, B64, 1110);
}

static void test_manifests(void **state)
{
	static const char *const wrong[] = {
		"",
		"null",
		"[]",
		"{\"config\":[]}",
		"{\"config\":{\"digest\":5}}",
		"{\"config\":{\"digest\":\"sha256:\"}}",
		"{\"config\":{\"digest\":\"sha256:" A64 "\"",
	};
	/* Sizes are a stranger's. */
	static const char *const odd[] = {
		"{\"config\":{\"digest\":\"sha256:" A64 "\",\"size\":\"x\"},\"layers\":{}}",
		"{\"config\":{\"digest\":\"sha256:" A64 "\"},\"layers\":[1,\"\",{\"size\":1.5},null]}",
	};
	static const char huge[] =
		"{\"config\":{\"digest\":\"sha256:" A64 "\",\"size\":9223372036854775807},"
		"\"layers\":[{\"size\":9223372036854775807},{\"size\":-9223372036854775807},{\"size\":1}]}";
	struct nomad_error *err = NULL;
	struct build_image image;
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(wrong); i++) {
		put_store("[" IMAGE "]", wrong[i]);
		is_damaged(in_store(&image, &err), &image, &err);
	}
	for (i = 0; i < NOMAD_ARRAY_LEN(odd); i++) {
		put_store("[" IMAGE "]", odd[i]);
		is_image(in_store(&image, &err), &image, A64, B64, 0);
	}
	put_store("[" IMAGE "]", huge);
	assert_int_equal(in_store(&image, &err), 0);
	assert_true(image.size >= 0);
	build_image_done(&image);
	/* No regular file, and one that is too large to be read. */
	assert_int_equal(unlink(at("overlay-images/images.json")), 0);
	assert_int_equal(mkfifo(at("overlay-images/images.json"), 0600), 0);
	is_damaged(in_store(&image, &err), &image, &err);
	assert_int_equal(unlink(at("overlay-images/images.json")), 0);
	put_store("[" IMAGE "]", MANIFEST);
	assert_int_equal(truncate(at("overlay-images/images.json"), 5 << 20), 0);
	is_damaged(in_store(&image, &err), &image, &err);
}

/* ---- A layout ---- */

static void test_layout(void **state)
{
	struct nomad_error *err = NULL;
	struct build_image image = { 0 };
	size_t n;

	(void)state;
	is_damaged(build_image_in_layout(top, "v1", &image, &err), &image, &err);
	dir("blobs");
	dir("blobs/sha256");
	put_text("index.json", INDEX);
	put_text("blobs/sha256/" B64, MANIFEST);
	put_text("blobs/sha256/" C64, OTHER);
	is_image(build_image_in_layout(top, "v1", &image, &err), &image, A64, B64, 1110);
	is_image(build_image_in_layout(top, "v2", &image, &err), &image, C64, C64, 1);
	for (n = 0; n < strlen(INDEX); n++) {
		put("index.json", INDEX, n);
		is_damaged(build_image_in_layout(top, "v1", &image, &err), &image, &err);
	}
	/* Links lead nowhere. */
	assert_int_equal(unlink(at("index.json")), 0);
	put_text("real", INDEX);
	assert_int_equal(symlink("real", at("index.json")), 0);
	is_damaged(build_image_in_layout(top, "v1", &image, &err), &image, &err);
}

/* ---- An archive ---- */

static char archive[64 << 10];
static size_t used;

static void entry(const char *name, char type, const char *size, size_t size_bytes, const char *text, size_t n)
{
	char *block = archive + used;

	assert_true(used + 1024 + n + 512 < sizeof(archive));
	memset(block, 0, 512);
	strncpy(block, name, 100);
	memcpy(block + 124, size, size_bytes);
	block[156] = type;
	memcpy(block + 512, text, n);
	memset(block + 512 + n, 0, 512);
	used += 512 + (n + 511) / 512 * 512;
}

static void add_file(const char *name, const char *text)
{
	char size[24];

	snprintf(size, sizeof(size), "%011zo", strlen(text));
	entry(name, '0', size, 12, text, strlen(text));
}

static void finish(void)
{
	memset(archive + used, 0, 1024);
	used += 1024;
	put("a.tar", archive, used);
}

static int in_archive(struct build_image *image, struct nomad_error **err)
{
	*image = (struct build_image){ 0 };
	return build_image_in_archive(at("a.tar"), image, err);
}

static void test_archive(void **state)
{
	struct nomad_error *err = NULL;
	struct build_image image;
	size_t n, whole;

	(void)state;
	is_damaged(in_archive(&image, &err), &image, &err);
	used = 0;
	entry("blobs/", '5', "00000000000", 12, "", 0);
	add_file("blobs/sha256/" C64, "no JSON");
	add_file("blobs/sha256/short", "x");
	add_file("blobs/sha256/" B64, MANIFEST);
	add_file("index.json", "{\"manifests\":[{\"digest\":\"sha256:" B64 "\"}]}");
	whole = used;
	finish();
	is_image(in_archive(&image, &err), &image, A64, B64, 1110);
	/* Cut anywhere before the last text ends. */
	for (n = 0; n < whole - 450; n += 7) {
		put("a.tar", archive, n);
		is_damaged(in_archive(&image, &err), &image, &err);
	}
	/* Any byte of the headers another one: no crash, and an image or an error. */
	for (n = 0; n < whole; n += n % 512 == 157 ? 355 : 1) {
		static const char others[] = { 0, ' ', '7', '\x80', '\xff' };
		char was = archive[n];
		size_t i;

		if (n % 512 < 100 && n % 13)
			continue;
		for (i = 0; i < sizeof(others); i++) {
			archive[n] = others[i];
			put("a.tar", archive, used);
			if (in_archive(&image, &err) < 0)
				is_damaged(-EIO, &image, &err);
			else
				build_image_done(&image);
		}
		archive[n] = was;
	}
}

static void test_sizes(void **state)
{
	static const char big[] = { '\x80', 0, 0, 0, '\x7f', '\xff', '\xff', '\xff', '\xff', '\xff', '\xff', '\xff' };
	static const char negative[] = { '\xff', '\xff', '\xff', '\xff', '\xff', '\xff',
					 '\xff', '\xff', '\xff', '\xff', '\xff', '\xff' };
	static const char *const pax[] = {
		"11 size=-5\n", "999 size=5\n", "27 size=9999999999999999999\n", "1 size=5\n", "-8 size=5\n", "x",
		"9 size=5",	"10 size=x\n",
	};
	char record[200], length[24];
	struct nomad_error *err = NULL;
	struct build_image image;
	size_t i;

	(void)state;
	/* The pax header's size counts, as where a file is larger than the field has room for. */
	used = 0;
	snprintf(record, sizeof(record), "12 size=%zu\n", strlen(MANIFEST));
	snprintf(length, sizeof(length), "%zu", strlen(record));
	snprintf(record, sizeof(record), "%s size=%zu\n", length, strlen(MANIFEST));
	snprintf(length, sizeof(length), "%07zo", strlen(record));
	entry("pax", 'x', length, 7, record, strlen(record));
	entry("blobs/sha256/" B64, '0', "00000000000", 12, MANIFEST, strlen(MANIFEST));
	add_file("index.json", "{\"manifests\":[{\"digest\":\"sha256:" B64 "\"}]}");
	finish();
	is_image(in_archive(&image, &err), &image, A64, B64, 1110);
	for (i = 0; i < NOMAD_ARRAY_LEN(pax); i++) {
		used = 0;
		snprintf(length, sizeof(length), "%07zo", strlen(pax[i]));
		entry("pax", 'x', length, 7, pax[i], strlen(pax[i]));
		add_file("blobs/sha256/" B64, MANIFEST);
		add_file("index.json", "{\"manifests\":[{\"digest\":\"sha256:" B64 "\"}]}");
		finish();
		if (in_archive(&image, &err) < 0)
			is_damaged(-EIO, &image, &err);
		else
			is_image(0, &image, A64, B64, 1110);
	}
	used = 0;
	entry("blobs/sha256/" B64, '0', big, 12, MANIFEST, strlen(MANIFEST));
	finish();
	is_damaged(in_archive(&image, &err), &image, &err);
	used = 0;
	entry("blobs/sha256/" B64, '0', negative, 12, MANIFEST, strlen(MANIFEST));
	finish();
	is_damaged(in_archive(&image, &err), &image, &err);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_store), T(test_manifests), T(test_layout), T(test_archive), T(test_sizes),
	};

	return cmocka_run_group_tests_name("build/image", tests, NULL, NULL);
}
