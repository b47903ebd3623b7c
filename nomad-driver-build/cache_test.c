/* SPDX-License-Identifier: MPL-2.0
 *
 * What of caches goes: what was not used for the longest time, layer by
 * layer, and nothing that a running build has seen. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "cache.h"
#include "host.h"

enum { MIB = 1 << 20 };

static char top[] = "/tmp/cache_test.XXXXXX";

static const char *id_of(char digit)
{
	static char id[65];

	memset(id, digit, 64);
	return id;
}

static char *root_of(const char *cache)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/cache/%s/root-overlay", top, cache);
	return path;
}

static struct build_store open_store(const char *cache)
{
	struct build_store store;

	assert_int_equal(build_store_prepare(root_of(cache), "overlay", NULL), 0);
	assert_int_equal(build_store_open(root_of(cache), "overlay", LOCK_EX, &store, NULL), 0);
	return store;
}

static void make_file(char *take_path, const char *text)
{
	FILE *out = fopen(take_path, "we");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
	free(take_path);
}

static void set_time(const struct build_store *store, char layer, time_t used)
{
	struct timespec times[2] = { { .tv_sec = used }, { .tv_sec = used } };
	NOMAD_AUTO_FREE char *path = build_store_split(store, id_of(layer));

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* A layer of a MiB, with an image, last used at that time. */
static void add(const char *cache, char layer, char parent, time_t used)
{
	struct build_store store = open_store(cache);
	NOMAD_AUTO_FREE char *dir = build_store_layer(&store, id_of(layer));
	NOMAD_AUTO_FREE char *image = build_store_image(&store, id_of(layer));
	NOMAD_AUTO_FREE char *up = parent ? strdup(id_of(parent)) : strdup("");

	assert_int_equal(nomad_make_dirs(dir, 0700, NULL), 0);
	assert_int_equal(nomad_make_dirs(image, 0700, NULL), 0);
	make_file(nomad_strdupf("%s/link", dir), "LINK");
	make_file(build_store_split(&store, id_of(layer)), "");
	json_array_append_new(store.layers,
			      json_pack("{s:s,s:s,s:i}", "id", id_of(layer), "parent", up, BUILD_STORE_SIZE, MIB));
	json_array_append_new(store.images, json_pack("{s:s,s:s,s:[s]}", "id", id_of(layer), "layer", id_of(layer),
						      "names", nomad_strdupf("r/%c:1", layer)));
	assert_int_equal(build_store_save(&store), 0);
	set_time(&store, layer, used);
	build_store_close(&store);
}

/* The layers of a cache that are listed, and those whose files are there. */
static void expect(const char *cache, const char *listed, const char *there)
{
	struct build_store store = open_store(cache);
	char have[20] = "", files[20] = "";

	for (char c = 'a'; c <= 'f'; c++) {
		NOMAD_AUTO_FREE char *dir = build_store_layer(&store, id_of(c)), *image = NULL;

		image = build_store_image(&store, id_of(c));
		if (build_store_find(store.layers, id_of(c)))
			strncat(have, &c, 1);
		if (!access(dir, F_OK))
			strncat(files, &c, 1);
		assert_int_equal(access(dir, F_OK), access(image, F_OK));
		assert_true(!build_store_find(store.layers, id_of(c)) == !build_store_find(store.images, id_of(c)));
	}
	build_store_close(&store);
	assert_string_equal(have, listed);
	assert_string_equal(files, there);
}

static void collect(uint64_t max, int64_t max_age)
{
	build_cache_collect(top, &(struct build_cache_limits){ max, max_age });
}

static int set_up(void **state)
{
	(void)state;
	memcpy(top + sizeof(top) - 7, "XXXXXX", 6);
	return mkdtemp(top) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return build_tree_remove(top);
}

/* Over all caches; a parent stays while a child does. */
static void test_oldest_first(void **state)
{
	(void)state;
	add("default~x", 'a', 0, 100);
	add("default~x", 'b', 'a', 400);
	add("default~x", 'c', 'a', 300);
	add("other~y", 'd', 0, 350);
	add("other~y", 'e', 'd', 360);
	collect(10 * MIB, 0);
	expect("default~x", "abc", "abc");
	collect(4 * MIB, 0);
	expect("default~x", "ab", "ab");
	expect("other~y", "de", "de");
	collect(3 * MIB, 0);
	expect("other~y", "d", "d");
	collect(MIB, 0);
	expect("other~y", "", "");
	expect("default~x", "a", "a");
	collect(0, 0);
	expect("default~x", "", "");
}

/* What is used is young, and so are its parents. */
static void test_use(void **state)
{
	char *used[] = { (char *)"r/c:1", (char *)"../../etc", NULL };

	(void)state;
	add("default~x", 'a', 0, 100);
	add("default~x", 'b', 'a', 400);
	add("default~x", 'c', 'a', 300);
	build_cache_use(root_of("default~x"), "overlay", used);
	collect(2 * MIB, 0);
	expect("default~x", "ac", "ac");
}

static void test_age(void **state)
{
	(void)state;
	add("default~x", 'a', 0, nomad_wall_ns() / 1000000000 - 5000);
	add("default~x", 'b', 0, nomad_wall_ns() / 1000000000 - 50);
	collect(UINT64_MAX, 6000);
	expect("default~x", "ab", "ab");
	collect(UINT64_MAX, 4000);
	expect("default~x", "b", "b");
}

/* The files stay while a build runs that began before, and go afterwards. */
static void test_running(void **state)
{
	int old, young;

	(void)state;
	add("default~x", 'a', 0, 100);
	add("default~x", 'b', 0, 200);
	old = build_cache_pin(root_of("default~x"), "old", NULL);
	assert_true(old >= 0);
	collect(MIB, 0);
	/* An eighth more leaves the lists than the limit asks for, as nothing has become free yet. */
	expect("default~x", "", "ab");
	young = build_cache_pin(root_of("default~x"), "young", NULL);
	assert_true(young >= 0);
	close(old);
	collect(MIB, 0);
	expect("default~x", "", "");
	close(young);
}

/* A layer that waits to be removed comes back; what does not fit is left out. */
static void test_add(void **state)
{
	NOMAD_AUTO_FREE char *from = NULL, *to = strdup(root_of("default~x"));
	int pin;

	(void)state;
	from = nomad_strdupf("%s/from", top);
	add("default~x", 'a', 0, 100);
	pin = build_cache_pin(to, "task", NULL);
	collect(0, 0);
	expect("default~x", "", "a");
	assert_int_equal(build_store_prepare(from, "overlay", NULL), 0);
	{
		struct build_store store;

		assert_int_equal(build_store_open(from, "overlay", 0, &store, NULL), 0);
		json_array_append_new(store.layers, json_pack("{s:s}", "id", id_of('a')));
		assert_int_equal(build_store_save(&store), 0);
		build_store_close(&store);
	}
	assert_int_equal(build_store_merge(from, to, "overlay", false, 0, NULL), 0);
	expect("default~x", "a", "a");
	close(pin);
}

/* The mounts of a cache, of a size that was noted; none of a cache that is in use. */
static void test_mounts(void **state)
{
	NOMAD_AUTO_FREE char *mounts = nomad_strdupf("%s/cache/default~x/mounts", top);
	NOMAD_AUTO_FREE char *one = nomad_strdupf("%s/one", mounts), *data = nomad_strdupf("%s/data", one);
	static char text[MIB];
	int fd, pin;

	(void)state;
	add("default~x", 'a', 0, 100);
	assert_int_equal(nomad_make_dirs(one, 0700, NULL), 0);
	fd = open(data, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	memset(text, 1, sizeof(text));
	assert_true(write(fd, text, sizeof(text)) == sizeof(text) && fsync(fd) == 0);
	close(fd);
	collect(MIB, 0); /* it is not known how large that is */
	expect("default~x", "a", "a");
	build_cache_measure(top, mounts);
	pin = build_cache_pin(root_of("default~x"), "task", NULL);
	collect(MIB / 2, 0);
	assert_int_equal(access(data, F_OK), 0);
	close(pin);
	collect(MIB / 2, 0);
	assert_int_equal(access(one, F_OK), -1);
}

static void none(void *arg, const char *id)
{
	(void)arg;
	(void)id;
}

/* Links to what is not ours, lists that are none, rings of parents. */
static void test_strange(void **state)
{
	NOMAD_AUTO_FREE char *outside = nomad_strdupf("%s/outside", top), *kept = nomad_strdupf("%s/kept", outside);
	NOMAD_AUTO_FREE char *cache = nomad_strdupf("%s/cache", top), *bad = NULL;
	struct build_store store;
	size_t layers;

	(void)state;
	collect(0, 0);
	assert_int_equal(build_cache_drop(top, "default~x"), -ENOENT);
	assert_int_equal(nomad_make_dirs(kept, 0700, NULL), 0);
	add("default~x", 'a', 'b', 100);
	add("default~x", 'b', 'a', 100);
	assert_int_equal(nomad_make_dirs(root_of("default~linked"), 0700, NULL), 0);
	assert_int_equal(rmdir(root_of("default~linked")), 0);
	assert_int_equal(symlink(outside, root_of("default~linked")), 0);
	bad = nomad_strdupf("%s/default~bad/root-overlay/overlay-layers", cache);
	assert_int_equal(nomad_make_dirs(bad, 0700, NULL), 0);
	make_file(nomad_strdupf("%s/layers.json", bad), "[{");
	store = open_store("default~x");
	json_array_append_new(store.layers, json_pack("{s:s}", "id", "../../outside"));
	json_array_append_new(store.images, json_pack("{s:s,s:s}", "id", "..", "layer", id_of('a')));
	assert_int_equal(build_store_save(&store), 0);
	build_store_close(&store);
	collect(0, 0);
	assert_int_equal(build_cache_verify(top, "default~x", none, NULL, &layers), 1);
	assert_int_equal(access(kept, F_OK), 0);
}

/* What another build adds while this one runs is not there for it, neither in the lists nor as a directory. */
static void test_view(void **state)
{
	NOMAD_AUTO_FREE char *at = nomad_strdupf("%s/view", top);
	struct build_store view;

	(void)state;
	add("default~x", 'a', 0, 100);
	assert_int_equal(build_store_view(root_of("default~x"), "overlay", at, root_of("default~x"), NULL), 0);
	add("default~x", 'b', 0, 200);
	assert_int_equal(build_store_open(at, "overlay", 0, &view, NULL), 0);
	for (const char *layer = "ab"; *layer; layer++) {
		NOMAD_AUTO_FREE char *dir = build_store_layer(&view, id_of(*layer));
		NOMAD_AUTO_FREE char *split = build_store_split(&view, id_of(*layer));
		NOMAD_AUTO_FREE char *image = build_store_image(&view, id_of(*layer));

		assert_int_equal(access(dir, F_OK) == 0, *layer == 'a');
		assert_int_equal(access(split, F_OK) == 0, *layer == 'a');
		assert_int_equal(access(image, F_OK) == 0, *layer == 'a');
		assert_int_equal(build_store_find(view.layers, id_of(*layer)) != NULL, *layer == 'a');
	}
	build_store_close(&view);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_oldest_first), T(test_use),	  T(test_age),	   T(test_running),
					    T(test_add),	  T(test_mounts), T(test_strange), T(test_view) };

	return cmocka_run_group_tests_name("build/cache", tests, NULL, NULL);
}
