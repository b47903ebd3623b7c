/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "keyfile.h"
#include "sign.h"

/* A key of each kind, as PKCS#8. */
static char *pem_with(const char *type, const char *detail, const char *passphrase)
{
	EVP_PKEY *key = detail ? strcmp(type, "RSA") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
							  : EVP_PKEY_Q_keygen(NULL, NULL, "EC", detail)
			       : EVP_PKEY_Q_keygen(NULL, NULL, type);
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *out;
	long n;

	assert_non_null(key);
	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, passphrase ? EVP_aes_256_cbc() : NULL, NULL, 0, NULL,
						  (void *)passphrase),
			 1);
	n = BIO_get_mem_data(bio, &data);
	out = strndup(data, (size_t)n);
	BIO_free(bio);
	EVP_PKEY_free(key);
	return out;
}

static char *pem_of(const char *type, const char *detail)
{
	return pem_with(type, detail, NULL);
}

static void verify(const char *pem, const char *authorization, const char *text, const char *algorithm,
		   const EVP_MD *md)
{
	const char *at = strstr(authorization, "signature=\"") + 11;
	unsigned char sig[1024];
	char base64[1400];
	int n = (int)strcspn(at, "\"");
	EVP_PKEY *key = NULL;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	assert_non_null(strstr(authorization, algorithm));
	memcpy(base64, at, (size_t)n);
	base64[n] = '\0';
	int size = EVP_DecodeBlock(sig, (unsigned char *)base64, n);

	while (n && base64[--n] == '=')
		size--;
	assert_int_equal(triton_key_parse(pem, strlen(pem), "the test", NULL, &key, NULL), 0);
	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, md, NULL, key), 1);
	assert_int_equal(EVP_DigestVerify(ctx, sig, (size_t)size, (const unsigned char *)text, strlen(text)), 1);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
}

static void one(const char *type, const char *detail, const char *algorithm, const EVP_MD *md)
{
	char *pem = pem_of(type, detail), *authorization = NULL;
	unsigned generation = 7;
	struct triton_signer_options options = { .account = "acme", .user = "dev", .key_material = pem };
	struct triton_signer *signer = NULL;
	struct nomad_error *err = NULL;

	if (triton_signer_new(&options, &signer, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
	assert_ptr_equal(strstr(triton_signer_key_path(signer), "/acme/users/dev/keys/"),
			 triton_signer_key_path(signer));
	assert_int_equal(strlen(triton_signer_key_path(signer)), strlen("/acme/users/dev/keys/") + 47);
	assert_int_equal(triton_signer_sign(signer, "GET", "/acme/machines?a=b", "Thu, 05 Jan 2014 21:31:40 GMT",
					    &authorization, &generation, &err),
			 0);
	assert_int_equal(generation, 0);
	assert_non_null(strstr(authorization, ",headers=\"(request-target) date\",signature=\""));
	verify(pem, authorization, "(request-target): get /acme/machines?a=b\ndate: Thu, 05 Jan 2014 21:31:40 GMT",
	       algorithm, md);
	free(authorization);
	triton_signer_free(signer);
	free(pem);
}

static void test_algorithms(void **state)
{
	(void)state;
	one("RSA", "", "algorithm=\"rsa-sha256\"", EVP_sha256());
	one("EC", "P-256", "algorithm=\"ecdsa-sha256\"", EVP_sha256());
	one("EC", "P-384", "algorithm=\"ecdsa-sha512\"", EVP_sha512());
	one("EC", "P-521", "algorithm=\"ecdsa-sha512\"", EVP_sha512());
	one("ED25519", NULL, "algorithm=\"ed25519-sha512\"", NULL);
}

static void refused(struct triton_signer_options options, const char *why)
{
	struct triton_signer *signer = NULL;
	struct nomad_error *err = NULL;

	assert_true(triton_signer_new(&options, &signer, &err) < 0);
	if (!strstr(nomad_error_message(err), why))
		fail_msg("'%s' does not tell '%s'", nomad_error_message(err), why);
	nomad_error_free(err);
}

static void test_refused(void **state)
{
	char *pem = pem_of("ED25519", NULL);
	(void)state;

	refused((struct triton_signer_options){ .key_material = pem }, "no account");
	refused((struct triton_signer_options){ .account = "a" }, "no key to sign with");
	refused((struct triton_signer_options){ .account = "a", .agent_socket = "/x" }, "no key_id");
	refused((struct triton_signer_options){ .account = "a",
						.agent_socket = "/nonexistent/x",
						.key_id = "MD5:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff" },
		"ask the ssh-agent");
	refused((struct triton_signer_options){ .account = "a", .key_material = pem, .key_id = "rubbish" },
		"no fingerprint");
	refused((struct triton_signer_options){ .account = "a",
						.key_material = pem,
						.key_id = "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff" },
		"not the key of key_id");
	refused((struct triton_signer_options){ .account = "a", .key_material = "rubbish" }, "no private key");
	refused((struct triton_signer_options){ .account = "a",
						.key_material =
							"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n" },
		"encrypted");
	refused((struct triton_signer_options){ .account = "a",
						.key_material = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n" },
		"encrypted");
	refused((struct triton_signer_options){ .account = "a",
						.key_material = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA" },
		"end is missing");
	refused(
		(struct triton_signer_options){
			.account = "a",
			.key_material =
				"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n" },
		"damaged");
	free(pem);
}

static void put(const char *path, const char *pem)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(pem, file);
	fclose(file);
}

static void test_replaced(void **state)
{
	char path[] = "/tmp/triton-key-XXXXXX", *first = pem_of("ED25519", NULL), *second = pem_of("ED25519", NULL);
	struct triton_signer_options options = { .account = "acme", .key_file = path };
	struct triton_signer *signer = NULL;
	char *before;
	(void)state;

	close(mkstemp(path));
	put(path, first);
	assert_int_equal(triton_signer_new(&options, &signer, NULL), 0);
	before = strdup(triton_signer_key_path(signer));
	put(path, second);
	assert_true(triton_signer_renew(signer, 0));
	assert_string_not_equal(triton_signer_key_path(signer), before);
	/* Whoever signed with the first one learns of it; the second one is not read again at once. */
	put(path, first);
	assert_true(triton_signer_renew(signer, 0));
	assert_false(triton_signer_renew(signer, 1));
	assert_string_not_equal(triton_signer_key_path(signer), before);
	triton_signer_free(signer);
	/* The same key, and none: what there is stays. */
	signer = NULL;
	assert_int_equal(triton_signer_new(&options, &signer, NULL), 0);
	assert_false(triton_signer_renew(signer, 0));
	triton_signer_free(signer);
	signer = NULL;
	assert_int_equal(triton_signer_new(&options, &signer, NULL), 0);
	unlink(path);
	assert_false(triton_signer_renew(signer, 0));
	assert_string_equal(triton_signer_key_path(signer), before);
	triton_signer_free(signer);
	free(before);
	free(first);
	free(second);
}

static void test_passphrase(void **state)
{
	char path[] = "/tmp/triton-passphrase-XXXXXX", *pem = pem_with("ED25519", NULL, "open sesame");
	struct triton_signer_options options = { .account = "acme", .key_material = pem, .passphrase_file = path };
	struct triton_signer *signer = NULL;
	(void)state;

	close(mkstemp(path));
	put(path, "open sesame\n");
	assert_int_equal(triton_signer_new(&options, &signer, NULL), 0);
	triton_signer_free(signer);
	put(path, "open barley\n");
	refused(options, "key_passphrase_file does not decrypt it");
	put(path, "\n");
	refused(options, "its first line is empty");
	unlink(path);
	refused(options, path);
	free(pem);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_algorithms), cmocka_unit_test(test_refused),
					    cmocka_unit_test(test_replaced), cmocka_unit_test(test_passphrase) };

	return cmocka_run_group_tests_name("triton sign", tests, NULL, NULL);
}
