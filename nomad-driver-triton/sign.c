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
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "nomad/log.h"

#include "agent.h"
#include "keyfile.h"
#include "sign.h"
#include "text.h"

struct signing_key {
	EVP_PKEY *key; /* or NULL: the agent has it */
	unsigned char *agent_blob;
	size_t agent_blob_size;
	enum triton_key_type type;
	char *path;
};

struct triton_signer {
	struct triton_signer_options options;
	pthread_rwlock_t lock; /* of what follows */
	struct signing_key *key;
	unsigned generation; /* counts the keys */
	int64_t read_ms;     /* when the key was read last, to replace one that is refused; 0: never */
};

enum { READ_EACH_MS = 5000 };

static const char *const algorithms[] = {
	[TRITON_KEY_RSA] = "rsa-sha256",    [TRITON_KEY_P256] = "ecdsa-sha256",	     [TRITON_KEY_P384] = "ecdsa-sha512",
	[TRITON_KEY_P521] = "ecdsa-sha512", [TRITON_KEY_ED25519] = "ed25519-sha512",
};

static int use_file(struct signing_key *it, const struct triton_signer_options *options, char md5[TRITON_MD5_SIZE],
		    struct nomad_error **err)
{
	unsigned char *blob = NULL;
	char *passphrase = NULL;
	size_t size = 0;
	int r;

	if (triton_given(options->passphrase_file)) {
		r = triton_passphrase_load(options->passphrase_file, &passphrase, err);
		if (r < 0)
			return r;
	}
	if (triton_given(options->key_material))
		r = triton_key_parse(options->key_material, strlen(options->key_material), "key_material", passphrase,
				     &it->key, err);
	else
		r = triton_key_load(options->key_file, passphrase, &it->key, err);
	triton_secret_free(passphrase);
	if (r < 0)
		return r;
	r = triton_key_type_of(it->key, &it->type, err);
	if (r >= 0)
		r = triton_key_blob(it->key, &blob, &size, err);
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

static int use_agent(struct signing_key *it, const struct triton_signer_options *options, char md5[TRITON_MD5_SIZE],
		     struct nomad_error **err)
{
	int r;

	if (!triton_given(options->agent_socket))
		return nomad_error_set(
			err, ENOKEY, "no key to sign with: set key_file, or start an ssh-agent and set SSH_AUTH_SOCK");
	if (!triton_given(options->key_id))
		return nomad_error_set(err, EINVAL,
				       "no key_id: set it to the fingerprint of the ssh-agent's key to sign with");
	r = triton_agent_find(options->agent_socket, options->key_id, &it->agent_blob, &it->agent_blob_size, err);
	if (r < 0)
		return r;
	if (triton_key_type_of_blob(it->agent_blob, it->agent_blob_size, &it->type) < 0)
		return nomad_error_set(err, EINVAL,
				       "the key '%s' of the ssh-agent cannot sign; use RSA, ECDSA or Ed25519",
				       options->key_id);
	if (it->type == TRITON_KEY_P384)
		return nomad_error_set(err, EINVAL,
				       "the key '%s' is of the curve P-384, for which the ssh-agent signs with SHA-384 "
				       "and the data centre does not take that; use another key, or a key file",
				       options->key_id);
	if (triton_fingerprint_md5(it->agent_blob, it->agent_blob_size, md5) < 0)
		return nomad_error_set(err, EIO, "take the fingerprint of a key: MD5 is not available");
	return 0;
}

static void key_free(struct signing_key *it)
{
	if (!it)
		return;
	EVP_PKEY_free(it->key);
	free(it->agent_blob);
	free(it->path);
	free(it);
}

static int read_key(const struct triton_signer_options *options, struct signing_key **ret, struct nomad_error **err)
{
	struct signing_key *it = calloc(1, sizeof(*it));
	char md5[TRITON_MD5_SIZE];
	int r;

	if (!it)
		return nomad_error_errno(err, ENOMEM, "find the key");
	if (triton_given(options->key_material) || triton_given(options->key_file))
		r = use_file(it, options, md5, err);
	else
		r = use_agent(it, options, md5, err);
	if (r >= 0) {
		it->path = triton_given(options->user)
				   ? nomad_strdupf("/%s/users/%s/keys/%s", options->account, options->user, md5)
				   : nomad_strdupf("/%s/keys/%s", options->account, md5);
		if (!it->path)
			r = nomad_error_errno(err, ENOMEM, "find the key");
	}
	if (r < 0)
		key_free(it);
	else
		*ret = it;
	return r;
}

int triton_signer_new(const struct triton_signer_options *options, struct triton_signer **ret, struct nomad_error **err)
{
	struct triton_signer *signer;
	struct signing_key *key = NULL;
	int r;

	if (!triton_given(options->account))
		return nomad_error_set(err, EINVAL, "no account: set account, TRITON_ACCOUNT or SDC_ACCOUNT");
	if (triton_given(options->key_id) && triton_fingerprint_check(options->key_id))
		return nomad_error_set(err, EINVAL, "the key_id '%s' is no fingerprint: %s is expected",
				       options->key_id, triton_fingerprint_check(options->key_id));
	r = read_key(options, &key, err);
	if (r < 0)
		return r;
	signer = calloc(1, sizeof(*signer));
	if (!signer) {
		key_free(key);
		return nomad_error_errno(err, ENOMEM, "find the key");
	}
	signer->options = *options;
	signer->key = key;
	pthread_rwlock_init(&signer->lock, NULL);
	*ret = signer;
	return 0;
}

void triton_signer_free(struct triton_signer *signer)
{
	if (!signer)
		return;
	key_free(signer->key);
	pthread_rwlock_destroy(&signer->lock);
	free(signer);
}

const char *triton_signer_key_path(const struct triton_signer *signer)
{
	return signer->key->path;
}

bool triton_signer_renew(struct triton_signer *signer, unsigned generation)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct signing_key *key = NULL;
	int64_t now = nomad_monotonic_ns() / 1000000;
	bool newer;

	pthread_rwlock_wrlock(&signer->lock);
	newer = signer->generation != generation;
	if (!newer && (!signer->read_ms || now - signer->read_ms >= READ_EACH_MS)) {
		signer->read_ms = now;
		if (read_key(&signer->options, &key, &err) < 0) {
			nomad_log_kv(NOMAD_LOG_WARN, "the key is refused, and cannot be read again", "error",
				     nomad_error_message(err), NULL);
		} else if (strcmp(key->path, signer->key->path) != 0) {
			key_free(signer->key);
			signer->key = NOMAD_TAKE_PTR(key);
			signer->generation++;
			newer = true;
			nomad_log(NOMAD_LOG_INFO, "the key was refused; another one was read in its place");
		}
	}
	pthread_rwlock_unlock(&signer->lock);
	key_free(key);
	return newer;
}

static int sign_with_key(const struct signing_key *it, const char *text, unsigned char **ret, size_t *ret_size)
{
	const EVP_MD *md = NULL;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char *sig = NULL;
	size_t n = 0;
	int r = -EIO;

	if (it->type == TRITON_KEY_RSA || it->type == TRITON_KEY_P256)
		md = EVP_sha256();
	else if (it->type != TRITON_KEY_ED25519)
		md = EVP_sha512();
	if (ctx && EVP_DigestSignInit(ctx, NULL, md, NULL, it->key) == 1 &&
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

/* The lock is held. */
static int sign(const struct triton_signer *signer, const char *text, char **ret, struct nomad_error **err)
{
	const struct signing_key *it = signer->key;
	NOMAD_AUTO_FREE char *base64 = NULL;
	unsigned char *sig = NULL;
	size_t size = 0;
	int r;

	if (it->key) {
		r = sign_with_key(it, text, &sig, &size);
		if (r < 0)
			return nomad_error_set(err, EIO, "sign a request: the key cannot sign");
	} else {
		r = triton_agent_sign(signer->options.agent_socket, it->agent_blob, it->agent_blob_size, text,
				      strlen(text), &sig, &size, err);
		if (r < 0)
			return r;
	}
	base64 = malloc(size * 4 / 3 + 8);
	if (base64)
		EVP_EncodeBlock((unsigned char *)base64, sig, (int)size);
	OPENSSL_free(sig);
	if (base64)
		*ret = nomad_strdupf("Signature keyId=\"%s\",algorithm=\"%s\",headers=\"(request-target) date\","
				     "signature=\"%s\"",
				     it->path, algorithms[it->type], base64);
	return base64 && *ret ? 0 : nomad_error_errno(err, ENOMEM, "sign a request");
}

int triton_signer_sign(struct triton_signer *signer, const char *method, const char *target, const char *date,
		       char **ret_authorization, unsigned *ret_generation, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *text = nomad_strdupf("(request-target): %s %s\ndate: %s", method, target, date);
	int r;

	if (!text)
		return nomad_error_errno(err, ENOMEM, "sign a request");
	for (char *p = text + strlen("(request-target): "); *p && *p != ' '; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p += 'a' - 'A';
	pthread_rwlock_rdlock(&signer->lock);
	*ret_generation = signer->generation;
	r = sign(signer, text, ret_authorization, err);
	pthread_rwlock_unlock(&signer->lock);
	return r;
}
