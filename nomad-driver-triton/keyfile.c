/* SPDX-License-Identifier: MPL-2.0
 *
 * Private keys from files, and fingerprints.
 *
 * OpenSSL reads the three PEM forms.  What ssh-keygen writes by default, the
 * OpenSSH form, it does not read; that is taken apart here (PROTOCOL.key of
 * OpenSSH): "openssh-key-v1\0", cipher, kdf, kdf options, number of keys,
 * public blob, private part.  An encrypted one is refused: an ssh-agent reads
 * it.
 *
 * Fingerprints are hashes of the public key's SSH blob.  The server knows
 * keys by their MD5 only, so that is what is sent, whichever form the
 * operator wrote.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "keyfile.h"
#include "sshwire.h"

#define OPENSSH_BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----"
#define OPENSSH_END "-----END OPENSSH PRIVATE KEY-----"

static int not_a_key(const char *what, const char *why, struct nomad_error **err)
{
	ERR_clear_error();
	return nomad_error_set(err, EINVAL, "read the private key of %s: %s", what, why);
}

/* OpenSSL decrypts the PEM forms; the key derivation of the OpenSSH form it does not have. */
static int is_encrypted(const char *what, const char *remedy, struct nomad_error **err)
{
	return nomad_error_set(err, EINVAL, "read the private key of %s: it is encrypted; %s", what, remedy);
}

/* ---- The OpenSSH form ---- */

struct curve {
	const char *ssh_name, *type_name, *openssl_name;
	enum triton_key_type type;
};

static const struct curve curves[] = {
	{ "nistp256", "ecdsa-sha2-nistp256", "prime256v1", TRITON_KEY_P256 },
	{ "nistp384", "ecdsa-sha2-nistp384", "secp384r1", TRITON_KEY_P384 },
	{ "nistp521", "ecdsa-sha2-nistp521", "secp521r1", TRITON_KEY_P521 },
};

static BIGNUM *span_bn(struct triton_span span)
{
	/* RSA keys of 16384 bits are the largest that OpenSSH makes. */
	return span.data && span.size && span.size <= 2049 ? BN_bin2bn(span.data, (int)span.size, NULL) : NULL;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *build)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
		key = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *read_rsa(struct triton_reader *reader)
{
	enum { N, E, D, IQMP, P, Q, DMP1, DMQ1, PARTS };
	static const char *const names[PARTS] = {
		OSSL_PKEY_PARAM_RSA_N,	       OSSL_PKEY_PARAM_RSA_E,
		OSSL_PKEY_PARAM_RSA_D,	       OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
		OSSL_PKEY_PARAM_RSA_FACTOR1,   OSSL_PKEY_PARAM_RSA_FACTOR2,
		OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2,
	};
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BN_CTX *ctx = BN_CTX_secure_new();
	BIGNUM *parts[PARTS] = { NULL }, *less = BN_new();
	EVP_PKEY *key = NULL;
	bool good = build && ctx && less;

	/* OpenSSH writes the first six; the exponents follow from them. */
	for (int i = N; i <= Q; i++)
		good = (parts[i] = span_bn(triton_read_string(reader))) && good;
	for (int i = 0; good && i < 2; i++) {
		BIGNUM *prime = parts[P + i];

		good = !BN_is_zero(prime) && !BN_is_one(prime) && (parts[DMP1 + i] = BN_new()) &&
		       BN_sub(less, prime, BN_value_one()) && BN_mod(parts[DMP1 + i], parts[D], less, ctx);
	}
	for (int i = 0; good && i < PARTS; i++)
		good = OSSL_PARAM_BLD_push_BN(build, names[i], parts[i]);
	if (good && !reader->bad)
		key = from_params("RSA", build);
	OSSL_PARAM_BLD_free(build);
	BN_CTX_free(ctx);
	for (int i = 0; i < PARTS; i++)
		BN_clear_free(parts[i]);
	BN_clear_free(less);
	return key;
}

static EVP_PKEY *read_ec(struct triton_reader *reader, const struct curve *curve)
{
	struct triton_span name = triton_read_string(reader), point = triton_read_string(reader);
	BIGNUM *d = span_bn(triton_read_string(reader));
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY *key = NULL;

	if (!reader->bad && d && build && triton_span_is(name, curve->ssh_name) && point.size && point.size <= 256 &&
	    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve->openssl_name, 0) &&
	    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point.data, point.size) &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, d))
		key = from_params("EC", build);
	OSSL_PARAM_BLD_free(build);
	BN_clear_free(d);
	return key;
}

static EVP_PKEY *read_private_part(struct triton_span part)
{
	struct triton_reader reader = { .at = part.data, .left = part.size };
	uint32_t check1 = triton_read_u32(&reader), check2 = triton_read_u32(&reader);
	struct triton_span type = triton_read_string(&reader);

	if (reader.bad || check1 != check2)
		return NULL;
	if (triton_span_is(type, "ssh-rsa"))
		return read_rsa(&reader);
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(curves); i++)
		if (triton_span_is(type, curves[i].type_name))
			return read_ec(&reader, &curves[i]);
	if (triton_span_is(type, "ssh-ed25519")) {
		struct triton_span pub = triton_read_string(&reader), both = triton_read_string(&reader);

		if (!reader.bad && pub.size == 32 && both.size == 64)
			return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, both.data, 32);
	}
	return NULL;
}

static int parse_openssh(const char *begin, const char *end, const char *what, EVP_PKEY **ret, struct nomad_error **err)
{
	static const char magic[] = "openssh-key-v1";
	size_t room = (size_t)(end - begin), n = 0;
	unsigned char *raw = OPENSSL_malloc(room + 4);
	unsigned char *text = OPENSSL_malloc(room + 4);
	struct triton_reader reader;
	struct triton_span cipher, part;
	EVP_PKEY *key = NULL;
	int size, r = 0;

	if (!raw || !text) {
		r = nomad_error_errno(err, ENOMEM, "read the private key of %s", what);
		goto out;
	}
	for (const char *p = begin; p < end; p++)
		if (!isspace((unsigned char)*p))
			text[n++] = (unsigned char)*p;
	size = n && n % 4 == 0 ? EVP_DecodeBlock(raw, text, (int)n) : -1;
	for (size_t i = n; size > 0 && i > 0 && text[i - 1] == '=' && i > n - 2; i--)
		size--;
	if (size < (int)sizeof(magic) || memcmp(raw, magic, sizeof(magic)) != 0) {
		r = not_a_key(what, "the OpenSSH form is damaged", err);
		goto out;
	}
	reader = (struct triton_reader){ .at = raw + sizeof(magic), .left = (size_t)size - sizeof(magic) };
	cipher = triton_read_string(&reader);
	triton_read_string(&reader);
	triton_read_string(&reader);
	if (!reader.bad && !triton_span_is(cipher, "none")) {
		r = is_encrypted(what,
				 "use the ssh-agent, which reads the OpenSSH form, or convert the file with "
				 "'ssh-keygen -p -m PKCS8' and set key_passphrase_file",
				 err);
		goto out;
	}
	if (triton_read_u32(&reader) != 1) {
		r = not_a_key(what, "the OpenSSH form does not hold one key", err);
		goto out;
	}
	triton_read_string(&reader);
	part = triton_read_string(&reader);
	key = reader.bad ? NULL : read_private_part(part);
	if (!key) {
		r = not_a_key(what,
			      "the OpenSSH form is damaged or of a kind that is not known (RSA, ECDSA and Ed25519 are)",
			      err);
		goto out;
	}
	*ret = key;
out:
	OPENSSL_clear_free(raw, room + 4);
	OPENSSL_clear_free(text, room + 4);
	return r;
}

/* ---- All forms ---- */

static const char *find(const char *text, size_t size, const char *what)
{
	return size ? memmem(text, size, what, strlen(what)) : NULL;
}

static int give_passphrase(char *buf, int size, int rwflag, void *ud)
{
	const char *passphrase = ud;
	size_t n = passphrase ? strlen(passphrase) : 0;

	(void)rwflag;
	if (!n || n > (size_t)size)
		return -1;
	memcpy(buf, passphrase, n);
	return (int)n;
}

static int parse_pem(const char *text, size_t size, const char *what, const char *passphrase, EVP_PKEY **ret,
		     struct nomad_error **err)
{
	bool encrypted = find(text, size, "ENCRYPTED PRIVATE KEY") || find(text, size, "4,ENCRYPTED");
	BIO *bio;

	if (encrypted && !passphrase)
		return is_encrypted(what, "set key_passphrase_file, or use the ssh-agent", err);
	if (find(text, size, "BEGIN PUBLIC KEY") || find(text, size, "ssh-rsa ") == text)
		return not_a_key(what, "that is a public key", err);
	bio = BIO_new_mem_buf(text, (int)size);
	*ret = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, (void *)passphrase) : NULL;
	BIO_free(bio);
	if (*ret)
		return 0;
	return not_a_key(what,
			 encrypted ? "the passphrase of key_passphrase_file does not decrypt it"
				   : "it is no private key in PEM or OpenSSH form",
			 err);
}

int triton_key_parse(const char *text, size_t size, const char *what, const char *passphrase, EVP_PKEY **ret,
		     struct nomad_error **err)
{
	const char *begin = find(text, size, OPENSSH_BEGIN), *end;
	enum triton_key_type type;
	EVP_PKEY *key = NULL;
	int r;

	if (size > TRITON_SECRET_FILE_MAX)
		return not_a_key(what, "it is too large for a key", err);
	if (begin) {
		begin += strlen(OPENSSH_BEGIN);
		end = find(begin, size - (size_t)(begin - text), OPENSSH_END);
		if (!end)
			return not_a_key(what, "its end is missing", err);
		r = parse_openssh(begin, end, what, &key, err);
	} else {
		r = parse_pem(text, size, what, passphrase, &key, err);
	}
	if (r < 0)
		return r;
	r = triton_key_type_of(key, &type, err);
	if (r < 0) {
		EVP_PKEY_free(key);
		return nomad_error_wrap(err, "read the private key of %s", what);
	}
	*ret = key;
	return 0;
}

/* The file with a NUL behind it, of which *ret_size does not count. */
static int read_secret(const char *path, const char *what, char **ret, size_t *ret_size, struct nomad_error **err)
{
	NOMAD_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	size_t size = 0;
	ssize_t n = 1;
	char *text;
	int r;

	if (fd < 0)
		return nomad_error_errno(err, errno, "open the %s '%s'", what, path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return nomad_error_set(err, EINVAL, "open the %s '%s': not a regular file", what, path);
	text = OPENSSL_zalloc(TRITON_SECRET_FILE_MAX + 2);
	if (!text)
		return nomad_error_errno(err, ENOMEM, "read the %s", what);
	while (size <= TRITON_SECRET_FILE_MAX && n != 0) {
		n = read(fd, text + size, TRITON_SECRET_FILE_MAX + 1 - size);
		if (n < 0 && errno != EINTR) {
			r = nomad_error_errno(err, errno, "read the %s '%s'", what, path);
			triton_secret_free(text);
			return r;
		}
		size += n > 0 ? (size_t)n : 0;
	}
	*ret = text;
	*ret_size = size;
	return 0;
}

void triton_secret_free(char *text)
{
	OPENSSL_clear_free(text, TRITON_SECRET_FILE_MAX + 2);
}

int triton_passphrase_load(const char *path, char **ret, struct nomad_error **err)
{
	char *text = NULL;
	size_t size = 0;
	int r = read_secret(path, "passphrase of the private key", &text, &size, err);

	if (r < 0)
		return r;
	text[strcspn(text, "\r\n")] = '\0';
	if (!text[0]) {
		triton_secret_free(text);
		return nomad_error_set(err, EINVAL,
				       "read the passphrase of the private key '%s': its first line is empty", path);
	}
	*ret = text;
	return 0;
}

int triton_key_load(const char *path, const char *passphrase, EVP_PKEY **ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *what = nomad_strdupf("'%s'", path);
	char *text = NULL;
	size_t size = 0;
	int r;

	if (!what)
		return nomad_error_errno(err, ENOMEM, "read a private key");
	r = read_secret(path, "private key", &text, &size, err);
	if (r < 0)
		return r;
	r = triton_key_parse(text, size, what, passphrase, ret, err);
	triton_secret_free(text);
	return r;
}

/* ---- The public half ---- */

int triton_key_type_of(EVP_PKEY *key, enum triton_key_type *ret, struct nomad_error **err)
{
	char group[64] = "";

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		*ret = TRITON_KEY_RSA;
		return 0;
	case EVP_PKEY_ED25519:
		*ret = TRITON_KEY_ED25519;
		return 0;
	case EVP_PKEY_EC:
		(void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
		for (size_t i = 0; i < NOMAD_ARRAY_LEN(curves); i++) {
			if (strcmp(group, curves[i].openssl_name) == 0) {
				*ret = curves[i].type;
				return 0;
			}
		}
	}
	return nomad_error_set(err, EINVAL,
			       "a key of this kind cannot sign; use RSA, ECDSA (P-256, P-384, P-521) or Ed25519");
}

int triton_key_type_of_blob(const unsigned char *blob, size_t size, enum triton_key_type *ret)
{
	struct triton_reader reader = { .at = blob, .left = size };
	struct triton_span type = triton_read_string(&reader);

	if (triton_span_is(type, "ssh-rsa")) {
		*ret = TRITON_KEY_RSA;
		return 0;
	}
	if (triton_span_is(type, "ssh-ed25519")) {
		*ret = TRITON_KEY_ED25519;
		return 0;
	}
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(curves); i++) {
		if (triton_span_is(type, curves[i].type_name)) {
			*ret = curves[i].type;
			return 0;
		}
	}
	return -EINVAL;
}

static bool write_bn(struct triton_writer *writer, EVP_PKEY *key, const char *name)
{
	unsigned char bytes[2049];
	BIGNUM *bn = NULL;
	int n = -1;

	if (EVP_PKEY_get_bn_param(key, name, &bn) == 1 && BN_num_bytes(bn) <= (int)sizeof(bytes))
		n = BN_bn2bin(bn, bytes);
	BN_free(bn);
	if (n > 0)
		triton_write_mpint(writer, bytes, (size_t)n);
	return n > 0;
}

int triton_key_blob(EVP_PKEY *key, unsigned char **ret, size_t *ret_size, struct nomad_error **err)
{
	struct triton_writer writer = { 0 };
	enum triton_key_type type = 0;
	unsigned char bytes[256];
	size_t n = 0;
	bool ok = false;
	int r = triton_key_type_of(key, &type, err);

	if (r < 0)
		return r;
	switch (type) {
	case TRITON_KEY_RSA:
		triton_write_string(&writer, "ssh-rsa", 7);
		ok = write_bn(&writer, key, OSSL_PKEY_PARAM_RSA_E) && write_bn(&writer, key, OSSL_PKEY_PARAM_RSA_N);
		break;
	case TRITON_KEY_ED25519:
		n = sizeof(bytes);
		ok = EVP_PKEY_get_raw_public_key(key, bytes, &n) == 1;
		triton_write_string(&writer, "ssh-ed25519", 11);
		triton_write_string(&writer, bytes, ok ? n : 0);
		break;
	default:
		for (size_t i = 0; i < NOMAD_ARRAY_LEN(curves); i++) {
			if (curves[i].type != type)
				continue;
			/* A key made of its private half alone may hold a compressed point; SSH wants the other. */
			(void)EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
							     "uncompressed");
			ok = EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, bytes,
							     sizeof(bytes), &n) == 1;
			triton_write_string(&writer, curves[i].type_name, strlen(curves[i].type_name));
			triton_write_string(&writer, curves[i].ssh_name, strlen(curves[i].ssh_name));
			triton_write_string(&writer, bytes, ok ? n : 0);
		}
	}
	if (!ok || writer.bad) {
		triton_writer_done(&writer);
		ERR_clear_error();
		return nomad_error_set(err, EINVAL, "take the public half of a key: the key is damaged");
	}
	*ret = writer.data;
	*ret_size = writer.size;
	return 0;
}

/* ---- Fingerprints ---- */

int triton_fingerprint_md5(const unsigned char *blob, size_t size, char ret[TRITON_MD5_SIZE])
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (EVP_Digest(blob, size, hash, &n, EVP_md5(), NULL) != 1 || n != 16) {
		ERR_clear_error();
		return -EIO;
	}
	for (unsigned i = 0; i < 16; i++)
		snprintf(ret + 3 * i, 4, i < 15 ? "%02x:" : "%02x", hash[i]);
	return 0;
}

const char *triton_fingerprint_check(const char *key_id)
{
	static const char expected[] = "SHA256:..., MD5:aa:bb:... or aa:bb:...";

	if (strncasecmp(key_id, "SHA256:", 7) == 0) {
		size_t n = strcspn(key_id + 7, "=");

		return n == 43 && strlen(key_id + 7 + n) <= 1 ? NULL : expected;
	}
	if (strncasecmp(key_id, "MD5:", 4) == 0)
		key_id += 4;
	if (strlen(key_id) != 47)
		return expected;
	for (int i = 0; i < 47; i++)
		if (i % 3 == 2 ? key_id[i] != ':' : !isxdigit((unsigned char)key_id[i]))
			return expected;
	return NULL;
}

bool triton_fingerprint_matches(const char *key_id, const unsigned char *blob, size_t size)
{
	unsigned char hash[EVP_MAX_MD_SIZE], text[64];
	char md5[TRITON_MD5_SIZE];
	unsigned n = 0;

	if (triton_fingerprint_check(key_id))
		return false;
	if (strncasecmp(key_id, "SHA256:", 7) == 0) {
		if (EVP_Digest(blob, size, hash, &n, EVP_sha256(), NULL) != 1)
			return false;
		EVP_EncodeBlock(text, hash, (int)n);
		return strncmp(key_id + 7, (const char *)text, 43) == 0;
	}
	if (strncasecmp(key_id, "MD5:", 4) == 0)
		key_id += 4;
	return triton_fingerprint_md5(blob, size, md5) == 0 && strcasecmp(key_id, md5) == 0;
}
