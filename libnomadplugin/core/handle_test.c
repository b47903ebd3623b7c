/* SPDX-License-Identifier: MPL-2.0 */
#include "core/handle.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

static const struct nomad__handle sample = {
	.version = NOMAD__HANDLE_VERSION,
	.driver = (char *)"nspawn",
	.boot_id = (char *)"b00t",
	.state_dir = (char *)"/var/lib/x/tasks/t-1",
	.config = (void *)"\x81\xa1x\x01\0\xff",
	.config_size = 6,
};

static void encode(const struct nomad__handle *handle, uint8_t **ret, size_t *ret_size)
{
	void *data;

	assert_int_equal(nomad__handle_encode(handle, &data, ret_size, NULL), 0);
	*ret = data;
}

static void test_round_trip(void **state)
{
	static const size_t sizes[] = { 0, 6, 31, 32, 255, 256, 65535, 65536, 1 << 20 };

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(sizes); i++) {
		struct nomad__handle in = sample, out;
		uint8_t *data;
		size_t size;

		in.config_size = sizes[i];
		in.config = malloc(sizes[i] + 1);
		memset(in.config, 0xc1, sizes[i]);
		encode(&in, &data, &size);
		assert_int_equal(nomad__handle_decode(data, size, &out, NULL), 0);
		assert_int_equal(out.version, in.version);
		assert_string_equal(out.driver, in.driver);
		assert_string_equal(out.boot_id, in.boot_id);
		assert_string_equal(out.state_dir, in.state_dir);
		assert_int_equal(out.config_size, in.config_size);
		assert_memory_equal(out.config, in.config, in.config_size);
		nomad__handle_done(&out);
		nomad__handle_done(&out);
		free(in.config);
		free(data);
	}
}

static void refused(const void *data, size_t size)
{
	struct nomad__handle out = { .version = 77 };
	struct nomad_error *err = NULL;
	void *exact = malloc(size ? size : 1); /* reading behind the end is seen */

	memcpy(exact, data, size);
	assert_int_equal(nomad__handle_decode(exact, size, &out, &err), -EINVAL);
	assert_non_null(strstr(nomad_error_message(err), "handle"));
	assert_int_equal(out.version, 77);
	nomad_error_free(err);
	free(exact);
}

static void test_truncated(void **state)
{
	uint8_t *data;
	size_t size;

	(void)state;
	encode(&sample, &data, &size);
	for (size_t cut = 0; cut < size; cut++)
		refused(data, cut);
	free(data);
}

/* One byte changed: refused or another valid one, never a fault; one more: refused. */
static void test_bent(void **state)
{
	uint8_t *data, *longer;
	size_t size;

	(void)state;
	encode(&sample, &data, &size);
	for (size_t i = 0; i < size; i++)
		for (int bit = 0; bit < 256; bit++) {
			struct nomad__handle out;
			uint8_t *copy = malloc(size);

			memcpy(copy, data, size);
			copy[i] ^= (uint8_t)bit;
			if (nomad__handle_decode(copy, size, &out, NULL) == 0)
				nomad__handle_done(&out);
			free(copy);
		}
	longer = malloc(size + 1);
	memcpy(longer, data, size);
	longer[size] = 0xc0;
	refused(longer, size + 1);
	free(longer);
	free(data);
}

static void test_noise(void **state)
{
	static const uint8_t bombs[][6] = {
		{ 0xdf, 0xff, 0xff, 0xff, 0xff },
		{ 0xdd, 0xff, 0xff, 0xff, 0xff },
		{ 0x81, 0xdb, 0xff, 0xff, 0xff, 0xff },
		{ 0x81, 0xa0, 0xc6, 0xff, 0xff, 0xff },
		{ 0x81, 0x81, 0x81, 0x81, 0x81, 0x81 },
		{ 0x81, 0xc7, 0xff, 0x00 },
		{ 0xc0 },
		{ 0x80, 0x80 },
		{ 0x81, 0x05, 0xa1, 'x' },
		{ 0x91, 0xc0 },
		{ 0x80 },
	};
	unsigned seed = 7;

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(bombs); i++)
		refused(bombs[i], sizeof(bombs[i]));
	refused("\x80", 1);
	for (int i = 0; i < 20000; i++) {
		uint8_t noise[64];
		struct nomad__handle out;

		noise[0] = (uint8_t)(0x80 | (rand_r(&seed) & 15));
		for (size_t j = 1; j < sizeof(noise); j++)
			noise[j] = (uint8_t)rand_r(&seed);
		if (nomad__handle_decode(noise, sizeof(noise), &out, NULL) == 0)
			nomad__handle_done(&out);
	}
}

static void test_too_large(void **state)
{
	size_t size = NOMAD__HANDLE_MAX_SIZE + 1;
	uint8_t *data = calloc(1, size);

	(void)state;
	data[0] = 0x80;
	refused(data, size);
	free(data);
}

static void pack_string(msgpack_packer *pk, const char *s)
{
	msgpack_pack_str_with_body(pk, s, strlen(s));
}

/* As another release might write it. */
static msgpack_sbuffer other_release(uint64_t version, bool with_dir, bool extra)
{
	msgpack_sbuffer buffer;
	msgpack_packer pk;

	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&pk, &buffer, msgpack_sbuffer_write);
	msgpack_pack_map(&pk, 4u + with_dir + 2u * extra);
	if (extra) {
		pack_string(&pk, "zzz");
		msgpack_pack_double(&pk, 1.5);
		pack_string(&pk, "");
		msgpack_pack_nil(&pk);
	}
	pack_string(&pk, "version");
	msgpack_pack_uint64(&pk, version);
	pack_string(&pk, "config");
	msgpack_pack_bin_with_body(&pk, "", 0);
	if (with_dir) {
		pack_string(&pk, "state_dir");
		pack_string(&pk, "/x");
	}
	pack_string(&pk, "driver");
	pack_string(&pk, "pot");
	pack_string(&pk, "boot_id");
	pack_string(&pk, "b");
	return buffer;
}

static void test_versions(void **state)
{
	struct nomad_error *err = NULL;
	struct nomad__handle out;
	msgpack_sbuffer buffer;

	(void)state;
	for (uint64_t version = 1; version <= NOMAD__HANDLE_VERSION; version++) {
		buffer = other_release(version, true, true);
		assert_int_equal(nomad__handle_decode(buffer.data, buffer.size, &out, NULL), 0);
		assert_string_equal(out.driver, "pot");
		nomad__handle_done(&out);
		msgpack_sbuffer_destroy(&buffer);
	}
	buffer = other_release(NOMAD__HANDLE_VERSION + 1, true, false);
	assert_int_equal(nomad__handle_decode(buffer.data, buffer.size, &out, &err), -EINVAL);
	assert_non_null(strstr(nomad_error_message(err), "another release"));
	nomad_error_free(err);
	msgpack_sbuffer_destroy(&buffer);
	buffer = other_release(0, true, false);
	refused(buffer.data, buffer.size);
	msgpack_sbuffer_destroy(&buffer);
	buffer = other_release(1, false, false);
	refused(buffer.data, buffer.size);
	msgpack_sbuffer_destroy(&buffer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_truncated), cmocka_unit_test(test_bent),
		cmocka_unit_test(test_noise),	   cmocka_unit_test(test_too_large), cmocka_unit_test(test_versions),
	};

	return cmocka_run_group_tests_name("handle", tests, NULL, NULL);
}
