/* SPDX-License-Identifier: MPL-2.0 */
/* nomadinit-keys: makes a node's keys and verifies configurations.
 *
 * A program of its own, as PID 1 is bounded in size and must not end with a fault of what it calls.  The secret comes
 * in a file or on the standard input, never in an argument. */
#include <errno.h>
#include <limits.h>
#include <mbedtls/platform_util.h>
#include <stdio.h>
#include <string.h>

#include "base/tree.h"
#include "keys.h"
#include "../util.h"

#define MAX_TEXT (512 * 1024)
#define KEYRING "server/serf.keyring"

static int fail(const char *act, const char *object, const char *why)
{
	fprintf(stderr, "%s '%s': %s\n", act, object, why);
	return 1;
}

static int put(const char *dir, const char *name, const char *text, unsigned int mode)
{
	char path[PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	r = util_replace_file(path, text, strlen(text), mode);
	return r < 0 ? fail("cannot write", path, strerror(-r)) : 0;
}

/* What a caller of the API needs, too: the CA, a key with its certificate, and the first ACL token. */
static int put_keys(struct keys *k, const char *dir, const char *const names[])
{
	char ca[KEYS_PEM_SIZE], pem[KEYS_PEM_SIZE], key[KEYS_PEM_SIZE];
	int r = nomad__make_dirs(dir, 0700);

	if (r < 0)
		return fail("cannot make", dir, strerror(-r));
	if (keys_ca_certificate(k, ca) != 0 || keys_certificate(k, names, pem, key) != 0)
		return fail("cannot make", names[0], "the certificate could not be written");
	r = put(dir, "ca.pem", ca, 0644);
	if (r == 0)
		r = put(dir, "cert.pem", pem, 0644);
	if (r == 0)
		r = put(dir, "key.pem", key, 0600);
	mbedtls_platform_zeroize(key, sizeof(key));
	return r;
}

/* Nomad keeps its gossip keys there, and an operator may have changed them. */
static int put_keyring(const struct keys *k, const char *data_dir)
{
	char path[PATH_MAX], gossip[KEYS_GOSSIP_SIZE], text[KEYS_GOSSIP_SIZE + 8];
	int r;

	snprintf(path, sizeof(path), "%s/server", data_dir);
	r = nomad__make_dirs(path, 0700);
	if (r < 0)
		return fail("cannot make", path, strerror(-r));
	snprintf(path, sizeof(path), "%s/" KEYRING, data_dir);
	if (access(path, F_OK) == 0)
		return 0;
	if (keys_gossip(k, gossip) != 0)
		return fail("cannot make", path, "the key could not be derived");
	snprintf(text, sizeof(text), "[\"%s\"]", gossip);
	return put(data_dir, KEYRING, text, 0600);
}

/* node SECRET_FILE DIR REGION HOST_NAME client
 * node SECRET_FILE DIR REGION HOST_NAME server DATA_DIR */
static int node_main(int argc, char **argv)
{
	char *secret, token[KEYS_TOKEN_SIZE], role[128];
	const char *names[] = { role, argv[4], NULL };
	struct keys k;
	size_t len;
	int r;

	if (argc < 6 || (strcmp(argv[5], "server") == 0 ? argc != 7 : argc != 6))
		return 2;
	r = util_read_alloc(argv[1], MAX_TEXT, &secret, &len);
	if (r < 0)
		return fail("cannot read", argv[1], strerror(-r));
	snprintf(role, sizeof(role), "%s.%s.nomad", argv[5], argv[3]);
	r = keys_derive(secret, len, &k) != 0 ? fail("cannot derive", "keys", "the secret is not usable") : 0;
	if (r == 0)
		r = put_keys(&k, argv[2], names);
	if (r == 0 && argc == 7)
		r = put_keyring(&k, argv[6]);
	if (r == 0 && argc == 7)
		r = keys_token(&k, token) != 0 ? 1 : put(argv[2], "acl-token", token, 0600);
	keys_done(&k);
	mbedtls_platform_zeroize(secret, len);
	free(secret);
	return r;
}

static int put_environment(const struct keys *k, const char *dir, const char *region)
{
	char token[KEYS_TOKEN_SIZE], whole[PATH_MAX], text[4 * PATH_MAX];

	if (!realpath(dir, whole) || keys_token(k, token) != 0)
		return fail("cannot find", dir, strerror(errno));
	snprintf(text, sizeof(text),
		 "export NOMAD_CACERT='%s/ca.pem' NOMAD_CLIENT_CERT='%s/cert.pem' NOMAD_CLIENT_KEY='%s/key.pem'\n"
		 "export NOMAD_TLS_SERVER_NAME=server.%s.nomad NOMAD_TOKEN=%s\n",
		 whole, whole, whole, region, token);
	return put(dir, "env", text, 0600);
}

/* admin DIR [REGION], the secret on the standard input */
static int admin_main(int argc, char **argv)
{
	const char *region = argc > 2 ? argv[2] : "global";
	char secret[4096], name[128];
	const char *names[] = { name, NULL };
	struct keys k;
	size_t len;
	int r;

	if (argc < 2 || argc > 3)
		return 2;
	len = fread(secret, 1, sizeof(secret), stdin);
	while (len > 0 && strchr("\r\n", secret[len - 1]))
		len--;
	if (len < KEYS_MIN_SECRET || len == sizeof(secret))
		return fail("cannot use", "the standard input", "want a secret of at least 32 characters");
	snprintf(name, sizeof(name), "cli.%s.nomad", region);
	r = keys_derive(secret, len, &k) != 0 ? fail("cannot derive", "keys", "the secret is not usable") : 0;
	if (r == 0)
		r = put_keys(&k, argv[1], names);
	if (r == 0)
		r = put_environment(&k, argv[1], region);
	keys_done(&k);
	mbedtls_platform_zeroize(secret, sizeof(secret));
	return r;
}

/* verify PUBLIC_KEYS FILE: exit status KEYS_GOOD, KEYS_BAD or KEYS_UNSIGNED; 3 if a file cannot be read */
static int verify_main(int argc, char **argv)
{
	char *keys = NULL, *text = NULL;
	size_t len;
	int r = 3;

	if (argc != 3)
		return 3;
	if (util_read_alloc(argv[1], MAX_TEXT, &keys, NULL) == 0 &&
	    util_read_alloc(argv[2], MAX_TEXT, &text, &len) == 0)
		r = (int)keys_verify(keys, text, len);
	free(keys);
	free(text);
	return r;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (strcmp(command, "node") == 0)
		return node_main(argc - 1, argv + 1);
	if (strcmp(command, "admin") == 0)
		return admin_main(argc - 1, argv + 1);
	if (strcmp(command, "verify") == 0)
		return verify_main(argc - 1, argv + 1);
	fprintf(stderr,
		"usage: nomadinit-keys admin DIR [REGION] <SECRET\n       nomadinit-keys verify PUBLIC_KEYS FILE\n");
	return 2;
}
