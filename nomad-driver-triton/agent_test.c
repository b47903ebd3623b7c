/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/crypto.h>

#include "agent.h"
#include "keyfile.h"
#include "sshwire.h"

/* What ssh-keygen made for these tests alone: Ed25519, and its fingerprints as ssh-keygen -l told them. */
static const char key[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
			  "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
			  "QyNTUxOQAAACA+zXDrb+XxZ/3ax1TEdPmwj4nYx1IZcYDNkWkZzyGXcgAAAIhFyL5CRci+\n"
			  "QgAAAAtzc2gtZWQyNTUxOQAAACA+zXDrb+XxZ/3ax1TEdPmwj4nYx1IZcYDNkWkZzyGXcg\n"
			  "AAAEBZw7ECTO1Th7N9zRaH559FKhfPu85qDqYYL9GjwxFpED7NcOtv5fFn/drHVMR0+bCP\n"
			  "idjHUhlxgM2RaRnPIZdyAAAABHRlc3QB\n"
			  "-----END OPENSSH PRIVATE KEY-----\n";
static const char md5[] = "04:cf:4a:2b:f0:ef:5b:49:30:22:cd:db:9d:21:fe:3d";
static const char sha256[] = "SHA256:yJrfmr4CCL25xiv0rjjBloZEfgyiW8OguvM7toNdgFQ";

static unsigned char *blob_of(size_t *ret_size)
{
	struct nomad_error *err = NULL;
	unsigned char *blob = NULL;
	EVP_PKEY *pkey = NULL;

	if (triton_key_parse(key, strlen(key), "the test", NULL, &pkey, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
	assert_int_equal(triton_key_blob(pkey, &blob, ret_size, NULL), 0);
	EVP_PKEY_free(pkey);
	return blob;
}

static void test_fingerprints(void **state)
{
	char text[TRITON_MD5_SIZE], prefixed[80];
	size_t size = 0;
	unsigned char *blob = blob_of(&size);
	(void)state;

	assert_int_equal(triton_fingerprint_md5(blob, size, text), 0);
	assert_string_equal(text, md5);
	snprintf(prefixed, sizeof(prefixed), "MD5:%s", md5);
	assert_true(triton_fingerprint_matches(md5, blob, size));
	assert_true(triton_fingerprint_matches(prefixed, blob, size));
	assert_true(triton_fingerprint_matches(sha256, blob, size));
	snprintf(prefixed, sizeof(prefixed), "%s=", sha256);
	assert_true(triton_fingerprint_matches(prefixed, blob, size));
	assert_false(triton_fingerprint_matches("SHA256:", blob, size));
	assert_false(triton_fingerprint_matches("", blob, size));
	assert_non_null(triton_fingerprint_check("SHA256:short"));
	assert_non_null(triton_fingerprint_check("00:11"));
	OPENSSL_free(blob);
}

/* Each cut of the key, and each bit turned: an error or a key, never a crash. */
static void test_damaged_keys(void **state)
{
	char text[sizeof(key)];
	(void)state;

	for (size_t n = 0; n < sizeof(key) - 1; n++) {
		EVP_PKEY *pkey = NULL;

		memcpy(text, key, sizeof(key));
		if (triton_key_parse(text, n, "the test", NULL, &pkey, NULL) == 0)
			EVP_PKEY_free(pkey);
		text[n] ^= 1;
		pkey = NULL;
		if (triton_key_parse(text, sizeof(key) - 1, "the test", NULL, &pkey, NULL) == 0)
			EVP_PKEY_free(pkey);
	}
}

static void answer(struct triton_writer *w, const unsigned char *blob, size_t size)
{
	triton_write_u8(w, 12);
	triton_write_u32(w, 2);
	triton_write_string(w, "other", 5);
	triton_write_string(w, "comment", 7);
	triton_write_string(w, blob, size);
	triton_write_string(w, "mine", 4);
}

static void test_identities(void **state)
{
	size_t size = 0, found = 0;
	unsigned char *blob = blob_of(&size), *it = NULL;
	struct triton_writer w = { 0 };
	struct nomad_error *err = NULL;
	(void)state;

	answer(&w, blob, size);
	assert_int_equal(triton_agent_parse_identities(w.data, w.size, sha256, &it, &found, NULL), 0);
	assert_int_equal(found, size);
	assert_memory_equal(it, blob, size);
	free(it);
	assert_int_equal(triton_agent_parse_identities(
				 w.data, w.size, "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff", &it, &found, &err),
			 -ENOKEY);
	assert_non_null(strstr(nomad_error_message(err), "ssh-add"));
	nomad_error_free(err);
	for (size_t n = 0; n < w.size; n++) {
		it = NULL;
		if (triton_agent_parse_identities(w.data, n, sha256, &it, &found, NULL) == 0)
			free(it);
	}
	triton_writer_done(&w);
	OPENSSL_free(blob);
}

static void test_signatures(void **state)
{
	static const unsigned char failure[] = { 5 }, half[64] = { 1 };
	struct triton_writer w = { 0 }, inner = { 0 }, rs = { 0 };
	struct nomad_error *err = NULL;
	unsigned char *sig = NULL;
	size_t size = 0;
	(void)state;

	assert_int_equal(triton_agent_parse_signature(failure, 1, &sig, &size, &err), -EACCES);
	nomad_error_free(err);
	/* ECDSA: two numbers become DER. */
	triton_write_mpint(&rs, (const unsigned char *)"\x81", 1);
	triton_write_mpint(&rs, (const unsigned char *)"\x02", 1);
	triton_write_string(&inner, "ecdsa-sha2-nistp256", 19);
	triton_write_string(&inner, rs.data, rs.size);
	triton_write_u8(&w, 14);
	triton_write_string(&w, inner.data, inner.size);
	assert_int_equal(triton_agent_parse_signature(w.data, w.size, &sig, &size, NULL), 0);
	assert_int_equal(size, 9);
	assert_memory_equal(sig, "\x30\x07\x02\x02\x00\x81\x02\x01\x02", 9);
	OPENSSL_free(sig);
	for (size_t n = 0; n < w.size; n++)
		assert_true(triton_agent_parse_signature(w.data, n, &sig, &size, NULL) < 0);
	triton_writer_done(&w);
	triton_writer_done(&inner);
	triton_writer_done(&rs);
	/* SHA-1 only: refused. */
	triton_write_string(&inner, "ssh-rsa", 7);
	triton_write_string(&inner, half, sizeof(half));
	triton_write_u8(&w, 14);
	triton_write_string(&w, inner.data, inner.size);
	assert_int_equal(triton_agent_parse_signature(w.data, w.size, &sig, &size, NULL), -EPROTO);
	triton_writer_done(&w);
	triton_writer_done(&inner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fingerprints),
		cmocka_unit_test(test_damaged_keys),
		cmocka_unit_test(test_identities),
		cmocka_unit_test(test_signatures),
	};

	return cmocka_run_group_tests_name("triton agent and key files", tests, NULL, NULL);
}
