/* SPDX-License-Identifier: MPL-2.0 */
#include "keys.h"

#include <mbedtls/x509_crt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "0123456789abcdef0123456789abcdef"

static void derived(void **state)
{
	char gossip[2][KEYS_GOSSIP_SIZE], token[2][KEYS_TOKEN_SIZE], pem[2][KEYS_PEM_SIZE], other[KEYS_PEM_SIZE];
	struct keys k;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(keys_derive(SECRET, strlen(SECRET), &k), 0);
		assert_int_equal(keys_gossip(&k, gossip[i]), 0);
		assert_int_equal(keys_token(&k, token[i]), 0);
		assert_int_equal(keys_ca_certificate(&k, pem[i]), 0);
		keys_done(&k);
	}
	assert_string_equal(gossip[0], gossip[1]);
	assert_string_equal(token[0], token[1]);
	assert_string_equal(pem[0], pem[1]);
	/* Calculated with Python's hmac: a node of another version must derive the same. */
	assert_string_equal(gossip[0], "5KN5Ty2L8Cv9dc0EaXn/FSgCgatoP9vuf5Cv/0DxL7Q=");
	assert_string_equal(token[0], "7ef2a26e-3a0e-4705-b972-0f056e55e7a5");
	assert_int_equal(keys_derive(SECRET "x", strlen(SECRET) + 1, &k), 0);
	assert_int_equal(keys_ca_certificate(&k, other), 0);
	assert_string_not_equal(other, pem[0]);
	keys_done(&k);
}

static uint32_t verify(const char *ca_pem, const char *pem, const char *name)
{
	mbedtls_x509_crt ca, cert;
	uint32_t flags = 0;

	mbedtls_x509_crt_init(&ca);
	mbedtls_x509_crt_init(&cert);
	assert_int_equal(mbedtls_x509_crt_parse(&ca, (const unsigned char *)ca_pem, strlen(ca_pem) + 1), 0);
	assert_int_equal(mbedtls_x509_crt_parse(&cert, (const unsigned char *)pem, strlen(pem) + 1), 0);
	mbedtls_x509_crt_verify(&cert, &ca, NULL, name, &flags, NULL, NULL);
	mbedtls_x509_crt_free(&ca);
	mbedtls_x509_crt_free(&cert);
	return flags;
}

static void certificates(void **state)
{
	static const char *const names[] = { "server.global.nomad", "node7", NULL };
	char ca[KEYS_PEM_SIZE], other_ca[KEYS_PEM_SIZE], pem[KEYS_PEM_SIZE], again[KEYS_PEM_SIZE], key[KEYS_PEM_SIZE];
	struct keys k, other;

	(void)state;
	assert_int_equal(keys_derive(SECRET, strlen(SECRET), &k), 0);
	assert_int_equal(keys_derive("another", 7, &other), 0);
	assert_int_equal(keys_ca_certificate(&k, ca), 0);
	assert_int_equal(keys_ca_certificate(&other, other_ca), 0);
	assert_int_equal(keys_certificate(&k, names, pem, key), 0);
	assert_int_equal(keys_certificate(&k, names, again, key), 0);
	assert_string_not_equal(pem, again);
	assert_int_equal(verify(ca, pem, "server.global.nomad"), 0);
	assert_int_equal(verify(ca, pem, "node7"), 0);
	assert_int_equal(verify(ca, pem, "localhost"), 0);
	assert_int_equal(verify(ca, pem, "client.global.nomad"), MBEDTLS_X509_BADCERT_CN_MISMATCH);
	assert_int_equal(verify(other_ca, pem, "node7"), MBEDTLS_X509_BADCERT_NOT_TRUSTED);
	keys_done(&k);
	keys_done(&other);
}

/* openssl ecparam -name prime256v1 -genkey -noout; openssl dgst -sha256 -sign */
static const char public_key[] = "-----BEGIN PUBLIC KEY-----\n"
				 "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEfzneYok7Y4IscrELAu8EgZlE4Vzm\n"
				 "tkO7U+xSNehIGCcHFmJOsmsLK3dnKhmIAAyyCo40IKUi135oGRtJwDLHLw==\n"
				 "-----END PUBLIC KEY-----\n";
#define SIGNATURE "MEUCIQCETe7dOIH5uiPw8a6veGxZ0FrbCyZ+AjqtshT3p6LMMAIgGskuA7VIhTUC2kVp4bgBRUUsnESyle6slKrT0/RB0TY="
#define BODY "{\"region\": \"eu\"}\n"

static enum keys_verdict verdict(const char *keys, const char *text)
{
	return keys_verify(keys, text, strlen(text));
}

static void signatures(void **state)
{
	static const char good[] = "#nomadinit signature=" SIGNATURE "\n" BODY;
	char changed[sizeof(good)], both[2 * sizeof(public_key)];
	size_t i;

	(void)state;
	assert_int_equal(verdict(public_key, good), KEYS_GOOD);
	assert_int_equal(verdict(public_key, "#nomadinit signature=" SIGNATURE "\r\n" BODY), KEYS_GOOD);
	assert_int_equal(verdict("", good), KEYS_BAD);
	assert_int_equal(verdict(public_key, BODY), KEYS_UNSIGNED);
	assert_int_equal(verdict(public_key, ""), KEYS_UNSIGNED);
	assert_int_equal(verdict(public_key, "#nomadinit\n" BODY), KEYS_UNSIGNED);
	assert_int_equal(verdict(public_key, "#nomadinit signature=" SIGNATURE), KEYS_UNSIGNED);
	assert_int_equal(verdict(public_key, "#nomadinit signature=\n" BODY), KEYS_BAD);
	assert_int_equal(verdict(public_key, "#nomadinit signature=!\n" BODY), KEYS_BAD);
	assert_int_equal(verdict(public_key, "#nomadinit signature=" SIGNATURE "\n" BODY "\n"), KEYS_BAD);
	/* A key that is not ours, cut short, before one that is. */
	snprintf(both, sizeof(both), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n%s", public_key);
	assert_int_equal(verdict(both, good), KEYS_GOOD);
	for (i = strlen("#nomadinit signature="); i < strlen(good); i++) {
		memcpy(changed, good, sizeof(good));
		changed[i] ^= 1;
		assert_int_not_equal(verdict(public_key, changed), KEYS_GOOD);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(derived),
		cmocka_unit_test(certificates),
		cmocka_unit_test(signatures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
