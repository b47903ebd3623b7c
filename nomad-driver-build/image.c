/* SPDX-License-Identifier: MPL-2.0
 *
 * What the engine made, read where it wrote it: a run of the engine that
 * would tell the same costs more than many a step of a build.
 *
 *	its store	overlay-images/images.json, overlay-images/ID/manifest
 *	a layout	index.json, blobs/sha256/DIGEST
 *	an oci-archive	the same as entries of a tar file
 *
 * All three hold one manifest for the image, which names its configuration
 * (whose digest is the image's id) and its layers.  A build may have written
 * into any of them: sizes are bounded, links are not followed, and what is no
 * digest is not taken for a part of a path. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step.h"

enum { TEXT_MAX = 4 << 20, BLOCK = 512, ENTRIES_MAX = 100000, PAX_MAX = 64 << 10 };

static int damaged(const char *path, struct nomad_error **err)
{
	return nomad_error_set(err, EIO, "'%s' is not as the engine writes it; build again", path);
}

void build_image_done(struct build_image *image)
{
	free(image->id);
	free(image->digest);
	*image = (struct build_image){ 0 };
}

/* The digits behind "sha256:" if that is what it is; borrowed. */
static const char *digits_of(const char *digest)
{
	return digest && strncmp(digest, "sha256:", 7) == 0 && strlen(digest) == 71 &&
			       strspn(digest + 7, "0123456789abcdef") == 64
		       ? digest + 7
		       : NULL;
}

/* JSON of `size` bytes at `at`; NULL if it is none. */
static json_t *load_at(int fd, off_t at, size_t size)
{
	char *text = size && size <= TEXT_MAX ? malloc(size) : NULL;
	size_t done = 0;
	json_t *json;

	while (text && done < size) {
		ssize_t n = pread(fd, text + done, size - done, at + (off_t)done);

		if (n <= 0 && (!n || errno != EINTR))
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	json = text && done == size ? json_loadb(text, size, 0, NULL) : NULL;
	free(text);
	return json;
}

static json_t *load_file(int dir, const char *path)
{
	NOMAD_AUTO_FD int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	return fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ? NULL : load_at(fd, 0, (size_t)st.st_size);
}

/* Sizes are a stranger's numbers. */
static void add_size(int64_t *size, const json_t *object)
{
	int64_t more = json_integer_value(json_object_get(object, "size"));

	if (more > 0 && __builtin_add_overflow(*size, more, size))
		*size = INT64_MAX;
}

static int take_manifest(const json_t *manifest, const char *digest, struct build_image *ret)
{
	const json_t *config = json_object_get(manifest, "config"), *layer;
	const char *id = digits_of(json_string_value(json_object_get(config, "digest")));
	size_t i;

	if (!id || !digest)
		return -EIO;
	*ret = (struct build_image){ .id = strdup(id), .digest = strdup(digest) };
	add_size(&ret->size, config);
	json_array_foreach(json_object_get(manifest, "layers"), i, layer) add_size(&ret->size, layer);
	if (ret->id && ret->digest)
		return 0;
	build_image_done(ret);
	return -ENOMEM;
}

/* Of an index: the manifest of that name, else the last one. */
static const char *find_manifest(const json_t *index, const char *reference)
{
	const json_t *manifests = json_object_get(index, "manifests"), *entry, *last = NULL;
	size_t i;

	json_array_foreach(manifests, i, entry)
	{
		const char *name = json_string_value(
			json_object_get(json_object_get(entry, "annotations"), "org.opencontainers.image.ref.name"));

		last = entry;
		if (reference && name && strcmp(name, reference) == 0)
			break;
	}
	return digits_of(json_string_value(json_object_get(last, "digest")));
}

/* ---- The store ---- */

static int look_into_store(int dir, const char *id, struct build_image *ret)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/manifest", id);
	json_t *images = load_file(dir, "images.json"), *manifest = path ? load_file(dir, path) : NULL;
	const json_t *image;
	int r = -EIO;
	size_t i;

	json_array_foreach(images, i, image)
	{
		const char *name = json_string_value(json_object_get(image, "id"));

		if (!name || strcmp(name, id) != 0)
			continue;
		r = take_manifest(manifest, digits_of(json_string_value(json_object_get(image, "digest"))), ret);
		break;
	}
	json_decref(images);
	json_decref(manifest);
	return r;
}

int build_image_in_store(const char *root, const char *id, struct build_image *ret, struct nomad_error **err)
{
	static const char *const drivers[] = { "overlay", "vfs" };
	int r = -EIO;
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(drivers) && r == -EIO; i++) {
		NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s-images", root, drivers[i]);
		NOMAD_AUTO_FD int dir = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

		if (dir >= 0)
			r = look_into_store(dir, id, ret);
	}
	ret->unpacked = r >= 0;
	return r < 0 ? damaged(root, err) : 0;
}

/* ---- A layout ---- */

int build_image_in_layout(const char *path, const char *reference, struct build_image *ret, struct nomad_error **err)
{
	NOMAD_AUTO_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *index = dir < 0 ? NULL : load_file(dir, "index.json"), *manifest = NULL;
	const char *digest = find_manifest(index, reference);
	int r = -EIO;

	if (digest) {
		NOMAD_AUTO_FREE char *blob = nomad_strdupf("blobs/sha256/%s", digest);

		manifest = blob ? load_file(dir, blob) : NULL;
		r = take_manifest(manifest, digest, ret);
	}
	json_decref(manifest);
	json_decref(index);
	return r < 0 ? damaged(path, err) : 0;
}

/* ---- An archive ---- */

struct tar {
	int fd;
	off_t at;	/* of the next header */
	off_t pax_size; /* of the next file, or -1 */
	char name[256];
	off_t data, size;
};

/* An octal number, or a binary one if the first bit is set. */
static off_t number_at(const unsigned char *text, size_t n)
{
	off_t value = 0;
	size_t i;

	for (i = *text & 0x80 ? n - 8 : 0; i < n; i++) {
		if (*text & 0x80)
			value = (off_t)((uint64_t)value << 8 | text[i]);
		else if (text[i] >= '0' && text[i] <= '7')
			value = value * 8 + (text[i] - '0');
	}
	return value;
}

/* Lines "LENGTH KEY=VALUE". */
static off_t pax_size(int fd, off_t at, off_t size)
{
	char text[PAX_MAX + 1], *line = text, *end;
	ssize_t n = size > 0 && size <= PAX_MAX ? pread(fd, text, (size_t)size, at) : -1;
	off_t found = -1;

	if (n != size)
		return -1;
	text[n] = 0;
	while (*line) {
		long length = strtol(line, &end, 10);

		if (length < 5 || length > text + n - line || *end != ' ')
			break;
		if (strncmp(end + 1, "size=", 5) == 0)
			found = (off_t)strtoll(end + 6, NULL, 10);
		line += length;
	}
	return found;
}

/* The next regular file; false at the end. */
static bool next_entry(struct tar *tar)
{
	unsigned char block[BLOCK];

	while (pread(tar->fd, block, BLOCK, tar->at) == BLOCK && block[0]) {
		char type = (char)block[156];

		tar->data = tar->at + BLOCK;
		tar->size = tar->pax_size >= 0 && type != 'x' ? tar->pax_size : number_at(block + 124, 12);
		if (tar->size < 0 || tar->size > INT64_MAX / 4)
			return false;
		tar->at = tar->data + (tar->size + BLOCK - 1) / BLOCK * BLOCK;
		tar->pax_size = type == 'x' ? pax_size(tar->fd, tar->data, tar->size) : -1;
		if (type != '0' && type)
			continue;
		snprintf(tar->name, sizeof(tar->name), "%.100s", (const char *)block);
		return true;
	}
	return false;
}

struct entry {
	char digits[65];
	off_t data;
	size_t size;
};

/* What may be a manifest, and the index, which stands behind it. */
static json_t *scan(struct tar *tar, struct entry **ret_entries, size_t *ret_count)
{
	static const char blobs[] = "blobs/sha256/";
	json_t *index = NULL;

	while (!index && *ret_count < ENTRIES_MAX && next_entry(tar)) {
		struct entry *grown;

		if (strcmp(tar->name, "index.json") == 0 && tar->size <= TEXT_MAX)
			index = load_at(tar->fd, tar->data, (size_t)tar->size);
		if (strncmp(tar->name, blobs, sizeof(blobs) - 1) != 0 || strlen(tar->name + sizeof(blobs) - 1) != 64 ||
		    tar->size > TEXT_MAX)
			continue;
		grown = reallocarray(*ret_entries, *ret_count + 1, sizeof(*grown));
		if (!grown)
			break;
		*ret_entries = grown;
		grown[*ret_count] = (struct entry){ .data = tar->data, .size = (size_t)tar->size };
		memcpy(grown[(*ret_count)++].digits, tar->name + sizeof(blobs) - 1, 65);
	}
	return index;
}

int build_image_in_archive(const char *path, struct build_image *ret, struct nomad_error **err)
{
	struct tar tar = { .fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), .pax_size = -1 };
	struct entry *entries = NULL;
	size_t count = 0, i;
	json_t *index = tar.fd < 0 ? NULL : scan(&tar, &entries, &count);
	const char *digest = find_manifest(index, NULL);
	int r = -EIO;

	for (i = 0; i < count && digest && r < 0; i++) {
		json_t *manifest;

		if (strcmp(entries[i].digits, digest) != 0)
			continue;
		manifest = load_at(tar.fd, entries[i].data, entries[i].size);
		r = take_manifest(manifest, digest, ret);
		json_decref(manifest);
	}
	json_decref(index);
	free(entries);
	if (tar.fd >= 0)
		close(tar.fd);
	return r < 0 ? damaged(path, err) : 0;
}
