/* SPDX-License-Identifier: MPL-2.0
 *
 * Addresses for containers: a directory with a file for each address that is
 * in use, made with O_EXCL, so that two tasks never get the same one, and
 * holding whose it is and in which life of the machine.
 *
 * The pool is cut in two.  From the lower half every container with a link
 * of its own gets one address, with a route on the host for it alone; the
 * first address of the pool is the host, on every such link.  The upper half
 * is cut into networks of 256 addresses for the zones; the name of the zone
 * says which, and the first address of it is the host on the zone's bridge. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "network.h"

static void boot_id(char ret[64])
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!file || !fgets(ret, 64, file))
		strcpy(ret, "?");
	if (file)
		fclose(file);
	ret[strcspn(ret, "\n")] = 0;
}

static int owner_text(const char *slug, char *text, size_t size)
{
	char boot[64];

	boot_id(boot);
	return snprintf(text, size, "%s %s\n", boot, slug);
}

/* 1 if taken, 0 if it is another's. */
static int take(const char *dir, const char *address, const char *slug, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", dir, address);
	char text[256];
	int n = owner_text(slug, text, sizeof(text)), fd;
	bool written;

	if (!path)
		return nomad_error_errno(err, ENOMEM, "take an address");
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0)
		return nomad_error_errno(err, errno, "create '%s'", path);
	written = nomad_write_all(fd, text, (size_t)n) == 0;
	close(fd);
	if (written)
		return 1;
	(void)unlink(path);
	return nomad_error_errno(err, ENOSPC, "write '%s'", path);
}

static void text_of(uint32_t address, char ret[INET_ADDRSTRLEN])
{
	struct in_addr in = { htonl(address) };

	inet_ntop(AF_INET, &in, ret, INET_ADDRSTRLEN);
}

int nspawn_address_take(const char *dir, const char *pool, const char *zone, const char *slug,
			char ret_address[INET_ADDRSTRLEN], char ret_gateway[INET_ADDRSTRLEN], int *ret_bits,
			struct nomad_error **err)
{
	char network[INET_ADDRSTRLEN], address[INET_ADDRSTRLEN];
	uint32_t first, size, i;
	struct in_addr in;
	int bits, r;

	if (sscanf(pool, "%15[0-9.]/%d", network, &bits) != 2 || inet_pton(AF_INET, network, &in) != 1 || bits < 8 ||
	    bits > 28)
		return nomad_error_set(err, EINVAL, "network_pool '%s' is no IPv4 network", pool);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return nomad_error_errno(err, errno, "create '%s'", dir);
	size = 1u << (32 - bits);
	first = ntohl(in.s_addr) & ~(size - 1);
	if (zone) {
		if (size < 512)
			return nomad_error_set(
				err, EINVAL, "network_pool '%s' has no room for zones: at least a /23 is needed", pool);
		first += size / 2 + 256 * (nomad_hash32(zone, strlen(zone)) % (size / 512));
		size = 256;
	} else if (size >= 512) {
		size /= 2;
	}
	for (i = 2; i < size - 1; i++) {
		text_of(first + i, address);
		r = take(dir, address, slug, err);
		if (r < 0)
			return r;
		if (r) {
			strcpy(ret_address, address);
			text_of(first + 1, ret_gateway);
			*ret_bits = zone ? 24 : 32;
			return 0;
		}
	}
	return nomad_error_set(err, ENOSPC, "network_pool '%s' has no free address", pool);
}

void nspawn_address_release(const char *dir, const char *address, const char *slug)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", dir, address);
	char want[256], text[256] = "";
	FILE *file = path ? fopen(path, "re") : NULL;

	owner_text(slug, want, sizeof(want));
	if (file && fgets(text, sizeof(text), file) && strcmp(text, want) == 0)
		(void)unlink(path);
	if (file)
		fclose(file);
}

void nspawn_address_release_all(const char *dir, const char *slug)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			nspawn_address_release(dir, e->d_name, slug);
	if (d)
		closedir(d);
}

bool nspawn_address_none(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool none = true;

	while (d && none && (e = readdir(d)))
		none = e->d_name[0] == '.';
	if (d)
		closedir(d);
	return none;
}

void nspawn_address_sweep(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char boot[64];

	boot_id(boot);
	while (d && (e = readdir(d))) {
		NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", dir, e->d_name);
		FILE *file = e->d_name[0] != '.' && path ? fopen(path, "re") : NULL;
		char text[256] = "";

		if (!file)
			continue;
		if (!fgets(text, sizeof(text), file) || strncmp(text, boot, strlen(boot)) != 0)
			(void)unlink(path);
		fclose(file);
	}
	if (d)
		closedir(d);
}
