/* SPDX-License-Identifier: MPL-2.0
 *
 * Is a layer what its digest says?  The digest is that of a tar archive that
 * is not kept: the engine keeps what such an archive has between its files
 * (ID.tar-split.gz, lines of JSON), and the files as a tree.  Put together
 * again, they are the archive.
 *
 *	{"type":2,"payload":BASE64}			bytes of the archive
 *	{"type":1,"name":PATH,"size":N,"payload":CRC}	then the N bytes of that file */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>

#include "store.h"

enum { LINE_MAX_SIZE = 64 << 20, PIECE = 256 << 10, HASH_SIZE = 32 };

struct check {
	EVP_MD_CTX *hash;
	int tree;
	unsigned char *piece; /* of PIECE bytes */
};

/* In place; the number of bytes, or -1. */
static ssize_t decode(char *text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = 0, have = 0;
	size_t n = 0;
	const char *p;

	for (p = text; *p && *p != '='; p++) {
		const char *digit = strchr(digits, *p);

		if (!digit)
			return -1;
		bits = bits << 6 | (unsigned)(digit - digits);
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		text[n++] = (char)(bits >> have);
	}
	return (ssize_t)n;
}

/* The file as the engine would find it, were the tree the root. */
static int add_file(struct check *c, const char *name, json_int_t size)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	NOMAD_AUTO_FD int fd = (int)syscall(SYS_openat2, c->tree, name, &how, sizeof(how));
	json_int_t done = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != size)
		return -EBADMSG;
	while (done < size) {
		ssize_t n = read(fd, c->piece, PIECE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		if (EVP_DigestUpdate(c->hash, c->piece, (size_t)n) != 1)
			return -EIO;
		done += n;
	}
	return done == size ? 0 : -EBADMSG;
}

static int add_line(struct check *c, const char *line)
{
	json_t *entry = json_loads(line, JSON_ALLOW_NUL, NULL);
	json_int_t type = json_integer_value(json_object_get(entry, "type"));
	json_int_t size = json_integer_value(json_object_get(entry, "size"));
	const char *name = json_string_value(json_object_get(entry, "name"));
	const char *raw = json_string_value(json_object_get(entry, "name_raw"));
	const char *payload = json_string_value(json_object_get(entry, "payload"));
	NOMAD_AUTO_FREE char *text = raw ? strdup(raw) : NULL, *bytes = NULL;
	ssize_t n;
	int r = -EBADMSG;

	if (type == 2 && payload) {
		bytes = strdup(payload);
		n = bytes ? decode(bytes) : -1;
		r = n < 0 || EVP_DigestUpdate(c->hash, bytes, (size_t)n) != 1 ? -EBADMSG : 0;
	} else if (type == 1) {
		n = text ? decode(text) : -1;
		if (text && n >= 0) {
			text[n] = 0;
			name = text;
		}
		r = size <= 0 ? 0 : name ? add_file(c, name, size) : -EBADMSG;
	}
	json_decref(entry);
	return r;
}

/* malloc()ed; NULL at the end, or with *ret_r where it is no such file. */
static char *next_line(gzFile in, int *ret_r)
{
	size_t used = 0, size = 64 << 10;
	char *line = malloc(size);

	while (line && gzgets(in, line + used, (int)(size - used))) {
		char *grown;

		used += strlen(line + used);
		if (used && (line[used - 1] == '\n' || gzeof(in)))
			return line;
		if (used + 1 < size)
			break; /* one with a zero */
		grown = size < LINE_MAX_SIZE ? realloc(line, size * 2) : NULL;
		if (!grown)
			break;
		line = grown;
		size *= 2;
	}
	*ret_r = line && !used ? 0 : -EBADMSG;
	free(line);
	return NULL;
}

static void digits_of(const unsigned char *hash, char *ret)
{
	for (int i = 0; i < HASH_SIZE; i++)
		snprintf(ret + 2 * i, 3, "%02x", hash[i]);
}

int build_sha256(const void *data, size_t size, char ret[65])
{
	unsigned char hash[EVP_MAX_MD_SIZE];

	if (EVP_Digest(data, size, hash, NULL, EVP_sha256(), NULL) != 1)
		return -EIO;
	digits_of(hash, ret);
	return 0;
}

static int check(struct check *c, gzFile in, const char *digest)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	char have[7 + 2 * HASH_SIZE + 1] = "sha256:";
	int r = 0;
	char *line;

	while (r == 0 && (line = next_line(in, &r))) {
		r = add_line(c, line);
		free(line);
	}
	if (r < 0)
		return r;
	if (EVP_DigestFinal_ex(c->hash, hash, NULL) != 1)
		return -EIO;
	digits_of(hash, have + 7);
	return strcmp(have, digest) ? -EBADMSG : 0;
}

int build_layer_check(const struct build_store *store, const char *id, const char *digest)
{
	NOMAD_AUTO_FREE char *split = build_store_split(store, id), *layer = build_store_layer(store, id), *tree = NULL;
	struct check c = { .hash = EVP_MD_CTX_new(), .piece = malloc(PIECE), .tree = -1 };
	int fd = split ? open(split, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1, r = -ENOMEM;
	gzFile in;

	tree = layer ? nomad_strdupf("%s%s", layer, strcmp(store->driver, "vfs") ? "/diff" : "") : NULL;
	c.tree = tree ? open(tree, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
	in = fd < 0 ? NULL : gzdopen(fd, "r");
	if (fd < 0 || c.tree < 0) {
		r = -errno;
	} else if (in && c.piece && c.hash && EVP_DigestInit_ex(c.hash, EVP_sha256(), NULL) == 1) {
		(void)gzbuffer(in, 128 << 10);
		r = check(&c, in, digest);
	}
	if (in)
		(void)gzclose(in);
	else if (fd >= 0)
		close(fd);
	if (c.tree >= 0)
		close(c.tree);
	EVP_MD_CTX_free(c.hash);
	free(c.piece);
	return r;
}
