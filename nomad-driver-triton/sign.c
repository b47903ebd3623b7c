/* SPDX-License-Identifier: MPL-2.0
 *
 * HTTP signatures (draft-cavage-http-signatures, as http-signature 1.4 of
 * CloudAPI checks them).
 *
 * What is signed are "(request-target)" and "date", which binds a signature
 * to its request.  The key is named by its MD5 fingerprint, the only one that
 * the server looks for.  ECDSA signatures are DER.  The server's list of
 * algorithms has no working SHA-384: a P-384 key signs with SHA-512, which an
 * agent never does, so such a key is of use in a file only.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "agent.h"
#include "keyfile.h"
#include "sign.h"
#include "text.h"

struct triton_signer {
	EVP_PKEY *key; /* or NULL: the agent has it */
	char *agent_socket;
	unsigned char *agent_blob;
	size_t agent_blob_size;
	enum triton_key_type type;
	char *key_path;
};

static const char *const algorithms[] = {
	[TRITON_KEY_RSA] = "rsa-sha256",    [TRITON_KEY_P256] = "ecdsa-sha256",	     [TRITON_KEY_P384] = "ecdsa-sha512",
	[TRITON_KEY_P521] = "ecdsa-sha512", [TRITON_KEY_ED25519] = "ed25519-sha512",
};

static int use_file(struct triton_signer *signer, const struct triton_signer_options *options,
		    char md5[TRITON_MD5_SIZE], struct nomad_error **err)
{
	unsigned char *blob = NULL;
	size_t size = 0;
	int r;

	if (triton_given(options->key_material))
		r = triton_key_parse(options->key_material, strlen(options->key_material), "key_material", &signer->key,
				     err);
	else
		r = triton_key_load(options->key_file, &signer->key, err);
	if (r < 0)
		return r;
	r = triton_key_type_of(signer->key, &signer->type, err);
	if (r >= 0)
		r = triton_key_blob(signer->key, &blob, &size, err);
	if (r >= 0 && triton_fingerprint_md5(blob, size, md5) < 0)
		r = nomad_error_set(err, EIO, "take the fingerprint of a key: MD5 is not available");
	if (r >= 0 && triton_given(options->key_id) && !triton_fingerprint_matches(options->key_id, blob, size))
		r = nomad_error_set(
			err, ENOKEY,
			"the key file is not the key of key_id '%s': its fingerprint is '%s'; correct one of them",
			options->key_id, md5);
	OPENSSL_free(blob);
	return r;
}

static int use_agent(struct triton_signer *signer, const struct triton_signer_options *options,
		     char md5[TRITON_MD5_SIZE], struct nomad_error **err)
{
	int r;

	if (!triton_given(options->agent_socket))
		return nomad_error_set(
			err, ENOKEY, "no key to sign with: set key_file, or start an ssh-agent and set SSH_AUTH_SOCK");
	if (!triton_given(options->key_id))
		return nomad_error_set(err, EINVAL,
				       "no key_id: set it to the fingerprint of the ssh-agent's key to sign with");
	signer->agent_socket = strdup(options->agent_socket);
	if (!signer->agent_socket)
		return nomad_error_errno(err, ENOMEM, "ask the ssh-agent");
	r = triton_agent_find(options->agent_socket, options->key_id, &signer->agent_blob, &signer->agent_blob_size,
			      err);
	if (r < 0)
		return r;
	if (triton_key_type_of_blob(signer->agent_blob, signer->agent_blob_size, &signer->type) < 0)
		return nomad_error_set(err, EINVAL,
				       "the key '%s' of the ssh-agent cannot sign; use RSA, ECDSA or Ed25519",
				       options->key_id);
	if (signer->type == TRITON_KEY_P384)
		return nomad_error_set(err, EINVAL,
				       "the key '%s' is of the curve P-384, for which the ssh-agent signs with SHA-384 "
				       "and the data centre does not take that; use another key, or a key file",
				       options->key_id);
	if (triton_fingerprint_md5(signer->agent_blob, signer->agent_blob_size, md5) < 0)
		return nomad_error_set(err, EIO, "take the fingerprint of a key: MD5 is not available");
	return 0;
}

int triton_signer_new(const struct triton_signer_options *options, struct triton_signer **ret, struct nomad_error **err)
{
	struct triton_signer *signer = calloc(1, sizeof(*signer));
	char md5[TRITON_MD5_SIZE];
	int r;

	if (!signer)
		return nomad_error_errno(err, ENOMEM, "find the key");
	if (!triton_given(options->account))
		r = nomad_error_set(err, EINVAL, "no account: set account, TRITON_ACCOUNT or SDC_ACCOUNT");
	else if (triton_given(options->key_id) && triton_fingerprint_check(options->key_id))
		r = nomad_error_set(err, EINVAL, "the key_id '%s' is no fingerprint: %s is expected", options->key_id,
				    triton_fingerprint_check(options->key_id));
	else if (triton_given(options->key_material) || triton_given(options->key_file))
		r = use_file(signer, options, md5, err);
	else
		r = use_agent(signer, options, md5, err);
	if (r >= 0) {
		signer->key_path = triton_given(options->user)
					   ? nomad_strdupf("/%s/users/%s/keys/%s", options->account, options->user, md5)
					   : nomad_strdupf("/%s/keys/%s", options->account, md5);
		if (!signer->key_path)
			r = nomad_error_errno(err, ENOMEM, "find the key");
	}
	if (r < 0) {
		triton_signer_free(signer);
		return r;
	}
	*ret = signer;
	return 0;
}

void triton_signer_free(struct triton_signer *signer)
{
	if (!signer)
		return;
	EVP_PKEY_free(signer->key);
	free(signer->agent_socket);
	free(signer->agent_blob);
	free(signer->key_path);
	free(signer);
}

const char *triton_signer_key_path(const struct triton_signer *signer)
{
	return signer->key_path;
}

static int sign_with_key(const struct triton_signer *signer, const char *text, unsigned char **ret, size_t *ret_size)
{
	const EVP_MD *md = NULL;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char *sig = NULL;
	size_t n = 0;
	int r = -EIO;

	if (signer->type == TRITON_KEY_RSA || signer->type == TRITON_KEY_P256)
		md = EVP_sha256();
	else if (signer->type != TRITON_KEY_ED25519)
		md = EVP_sha512();
	if (ctx && EVP_DigestSignInit(ctx, NULL, md, NULL, signer->key) == 1 &&
	    EVP_DigestSign(ctx, NULL, &n, (const unsigned char *)text, strlen(text)) == 1 &&
	    (sig = OPENSSL_malloc(n)) && EVP_DigestSign(ctx, sig, &n, (const unsigned char *)text, strlen(text)) == 1) {
		*ret = sig;
		*ret_size = n;
		sig = NULL;
		r = 0;
	}
	OPENSSL_free(sig);
	EVP_MD_CTX_free(ctx);
	if (r < 0)
		ERR_clear_error();
	return r;
}

int triton_signer_sign(const struct triton_signer *signer, const char *method, const char *target, const char *date,
		       char **ret_authorization, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *text = NULL, *base64 = NULL;
	unsigned char *sig = NULL;
	size_t size = 0;
	int r;

	text = nomad_strdupf("(request-target): %s %s\ndate: %s", method, target, date);
	if (!text)
		return nomad_error_errno(err, ENOMEM, "sign a request");
	for (char *p = text + strlen("(request-target): "); *p && *p != ' '; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p += 'a' - 'A';
	if (signer->key) {
		r = sign_with_key(signer, text, &sig, &size);
		if (r < 0)
			return nomad_error_set(err, EIO, "sign a request: the key cannot sign");
	} else {
		r = triton_agent_sign(signer->agent_socket, signer->agent_blob, signer->agent_blob_size, text,
				      strlen(text), &sig, &size, err);
		if (r < 0)
			return r;
	}
	base64 = malloc(size * 4 / 3 + 8);
	if (base64)
		EVP_EncodeBlock((unsigned char *)base64, sig, (int)size);
	OPENSSL_free(sig);
	if (base64)
		*ret_authorization =
			nomad_strdupf("Signature keyId=\"%s\",algorithm=\"%s\",headers=\"(request-target) date\","
				      "signature=\"%s\"",
				      signer->key_path, algorithms[signer->type], base64);
	if (!base64 || !*ret_authorization)
		return nomad_error_errno(err, ENOMEM, "sign a request");
	return 0;
}
