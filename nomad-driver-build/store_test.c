/* SPDX-License-Identifier: MPL-2.0
 *
 * What comes from a build's store to that of a cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <cmocka.h>

#include "host.h"
#include "store.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static char top[] = "/tmp/store_test.XXXXXX", from[64], to[64];

static void put(const char *name, const char *text)
{
	char path[400];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", from, name);
	*strrchr(path, '/') = 0;
	assert_int_equal(nomad_make_dirs(path, 0700, NULL), 0);
	path[strlen(path)] = '/';
	out = fopen(path, "we");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static bool is_there(const char *name)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", to, name);
	return access(path, F_OK) == 0;
}

static bool is_link(const char *name, const char *want)
{
	char path[400], have[200];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/overlay/l/%s", to, name);
	n = readlink(path, have, sizeof(have) - 1);
	return n == (ssize_t)strlen(want) && memcmp(have, want, (size_t)n) == 0;
}

/* A store with an image of one layer, by this name. */
static void add(const char *id, const char *name, const char *config)
{
	char text[600], path[200];

	snprintf(path, sizeof(path), "overlay/%s/link", id);
	put(path, *id == 'a' ? "LINKA" : "LINKB");
	snprintf(path, sizeof(path), "overlay-layers/%s.tar-split.gz", id);
	put(path, "");
	snprintf(path, sizeof(path), "overlay-images/%s/=config", id);
	put(path, config);
	snprintf(text, sizeof(text), "[{\"id\":\"%s\"}]", id);
	put("overlay-layers/layers.json", text);
	snprintf(text, sizeof(text), "[{\"id\":\"%s\",\"layer\":\"%s\",\"names\":[\"%s\"]}]", id, id, name);
	put("overlay-images/images.json", text);
}

static int set_up(void **state)
{
	(void)state;
	memcpy(top + sizeof(top) - 7, "XXXXXX", 6);
	assert_non_null(mkdtemp(top));
	snprintf(from, sizeof(from), "%s/from", top);
	snprintf(to, sizeof(to), "%s/to", top);
	assert_int_equal(build_store_prepare(to, "overlay", NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return build_tree_remove(top);
}

static void test_pulled(void **state)
{
	(void)state;
	assert_false(build_store_has(to, "overlay", "r/x:1"));
	add(A, "r/x:1", "{\"rootfs\":{},\"config\":{}}");
	assert_int_equal(build_store_merge(from, to, "overlay", true, UINT64_MAX, NULL), 0);
	assert_true(build_store_has(to, "overlay", "r/x:1"));
	assert_true(is_there("overlay/" A "/link") && is_link("LINKA", "../" A "/diff") &&
		    is_there("overlay-images/" A));
	/* The name moves on. */
	add(B, "r/x:1", "{\"rootfs\":{},\"config\":{\"OnBuild\":[]}}");
	assert_int_equal(build_store_merge(from, to, "overlay", true, UINT64_MAX, NULL), 0);
	assert_true(build_store_has(to, "overlay", "r/x:1"));
	assert_true(is_there("overlay-images/" A) && is_there("overlay-images/" B));
}

static void test_built(void **state)
{
	(void)state;
	add(A, "r/x:1", "{}");
	assert_int_equal(build_store_merge(from, to, "overlay", false, UINT64_MAX, NULL), 0);
	assert_false(build_store_has(to, "overlay", "r/x:1"));
	assert_true(is_there("overlay-images/" A));
}

static void test_refused(void **state)
{
	(void)state;
	add(A, "r/x:1", "{\"rootfs\":{},\"config\":{\"OnBuild\":[\"RUN x\"]}}");
	assert_int_equal(build_store_merge(from, to, "overlay", true, UINT64_MAX, NULL), 0);
	assert_false(build_store_has(to, "overlay", "r/x:1"));
	assert_false(is_there("overlay-images/" A));
	put("overlay-layers/layers.json", "[{\"id\":\"../../x\"},{\"id\":\"" B "\",\"parent\":\"" B "\"}]");
	put("overlay-images/images.json", "[{\"id\":\"..\",\"names\":[\"r/x:1\"]},{\"id\":5},7]");
	assert_int_equal(build_store_merge(from, to, "overlay", true, UINT64_MAX, NULL), 0);
	assert_false(build_store_has(to, "overlay", "r/x:1"));
	put("overlay-images/images.json", "[{");
	assert_true(build_store_merge(from, to, "overlay", true, UINT64_MAX, NULL) < 0);
}

/* A layer never takes the name under which another one is mounted. */
static void test_link(void **state)
{
	(void)state;
	add(A, "r/x:1", "{\"rootfs\":{}}");
	assert_int_equal(build_store_merge(from, to, "overlay", false, UINT64_MAX, NULL), 0);
	add(B, "r/x:1", "{\"rootfs\":{}}");
	put("overlay/" B "/link", "LINKA");
	assert_true(build_store_merge(from, to, "overlay", false, UINT64_MAX, NULL) < 0);
	assert_true(is_link("LINKA", "../" A "/diff"));
	put("overlay/" B "/link", "../../x");
	assert_true(build_store_merge(from, to, "overlay", false, UINT64_MAX, NULL) < 0);
	assert_false(is_there("overlay/" B));
}

/* More than there is room for stays behind, with its image. */
static void test_room(void **state)
{
	(void)state;
	add(A, "r/x:1", "{\"rootfs\":{}}");
	put("overlay-layers/layers.json", "[{\"id\":\"" A "\",\"nomad-size\":1000}]");
	assert_int_equal(build_store_merge(from, to, "overlay", true, 999, NULL), 0);
	assert_false(build_store_has(to, "overlay", "r/x:1") || is_there("overlay/" A));
	assert_int_equal(build_store_merge(from, to, "overlay", true, 1000, NULL), 0);
	assert_true(build_store_has(to, "overlay", "r/x:1") && is_there("overlay/" A));
}

/* "tree" of the digest below: a file of 5 bytes between two others. */
static void split(const char *lines)
{
	char path[200];
	gzFile out;

	snprintf(path, sizeof(path), "%s/overlay-layers/" A ".tar-split.gz", from);
	out = gzopen(path, "wb");
	assert_non_null(out);
	gzputs(out, lines);
	gzclose(out);
}

/* Layers are compared with their digest before they are added; one that is not what it says is not. */
static void test_digest(void **state)
{
	static const char good[] = "{\"type\":2,\"payload\":\"aGVsbG8=\"}\n"
				   "{\"type\":1,\"name\":\"dir/file\",\"size\":5,\"payload\":\"x\"}\n"
				   "{\"type\":1,\"name\":\"gone\",\"payload\":\"\"}\n"
				   "{\"type\":2,\"payload\":\"IQ==\"}";
	/* of "hellothere!" */
	static const char digest[] = "sha256:"
				     "d4384c56662201b407e7ee97fd5ec9453c7ba9fa59f711b2b25ddbc9d8c87150";
	char list[400];
	uint64_t size;

	(void)state;
	add(A, "r/x:1", "{\"rootfs\":{}}");
	put("overlay/" A "/diff/dir/file", "there");
	snprintf(list, sizeof(list), "[{\"id\":\"" A "\",\"diff-digest\":\"%s\"}]", digest);
	put("overlay-layers/layers.json", list);
	split(good);
	assert_int_equal(build_store_check(from, to, "overlay", &size, NULL), 0);
	assert_true(size > 0);
	put("overlay/" A "/diff/dir/file", "THERE");
	assert_int_equal(build_store_check(from, to, "overlay", &size, NULL), 0);
	assert_int_equal(size, 0);
	/* Out of the list, and so is its image. */
	assert_int_equal(build_store_merge(from, to, "overlay", true, UINT64_MAX, NULL), 0);
	assert_false(build_store_has(to, "overlay", "r/x:1"));
	put("overlay-layers/layers.json", list);
	split("{\"type\":1,\"name\":\"../../../../../../../etc/hostname\",\"size\":5}");
	assert_int_equal(build_store_check(from, to, "overlay", &size, NULL), 0);
	split("{\"type\":9");
	assert_int_equal(build_store_check(from, to, "overlay", &size, NULL), 0);
	assert_int_equal(size, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pulled),
		TEST(test_built),
		TEST(test_refused),
		TEST(test_link),
		TEST(test_room),
		TEST(test_digest)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
