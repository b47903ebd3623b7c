/* SPDX-License-Identifier: MPL-2.0
 *
 * Addresses for containers: a directory with a file for each address that is
 * in use, made with O_EXCL, so that two tasks never get the same one, whatever
 * plugin they are of.  The file holds whose it is: the path of the task's
 * directory, which is there as long as the task has a record.
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
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "network.h"

/* 1 if taken, 0 if it is another's. */
static int take(const char *dir, const char *address, const char *owner, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", dir, address);
	bool written;
	int fd;

	if (!path)
		return nomad_error_errno(err, ENOMEM, "take an address");
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0)
		return nomad_error_errno(err, errno, "create '%s'", path);
	written = nomad_write_all(fd, owner, strlen(owner)) == 0;
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

int nspawn_address_take(const char *dir, const char *pool, const char *zone, const char *owner,
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
		r = take(dir, address, owner, err);
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

/* Whose it is; "" if nobody's. */
static void owner_of(const char *dir, const char *address, char ret[PATH_MAX])
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", dir, address);
	FILE *file = path ? fopen(path, "re") : NULL;

	ret[file ? fread(ret, 1, PATH_MAX - 1, file) : 0] = 0;
	if (file)
		fclose(file);
}

void nspawn_address_release(const char *dir, const char *address, const char *owner)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", dir, address);
	char found[PATH_MAX];

	owner_of(dir, address, found);
	if (path && strcmp(found, owner) == 0)
		(void)unlink(path);
}

void nspawn_address_release_all(const char *dir, const char *owner)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			nspawn_address_release(dir, e->d_name, owner);
	if (d)
		closedir(d);
}

bool nspawn_address_sweep(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char owner[PATH_MAX];
	bool none = true;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		owner_of(dir, e->d_name, owner);
		if (access(owner, F_OK) < 0 && errno == ENOENT)
			nspawn_address_release(dir, e->d_name, owner);
		else
			none = false;
	}
	if (d)
		closedir(d);
	return none;
}

void nspawn_address_adopt(const char *dir, const char *old, const char *tasks)
{
	char text[PATH_MAX], boot[64] = "";
	DIR *d = opendir(old);
	struct dirent *e;
	FILE *file = d ? fopen("/proc/sys/kernel/random/boot_id", "re") : NULL;

	if (file && fgets(boot, sizeof(boot), file))
		boot[strcspn(boot, "\n")] = 0;
	if (file)
		fclose(file);
	while (d && (e = readdir(d))) {
		NOMAD_AUTO_FREE char *owner = NULL;

		if (e->d_name[0] == '.')
			continue;
		owner_of(old, e->d_name, text);
		text[strcspn(text, "\n")] = 0;
		if (*boot && strncmp(text, boot, strlen(boot)) == 0 && text[strlen(boot)] == ' ')
			owner = nomad_strdupf("%s/%s", tasks, text + strlen(boot) + 1);
		if (!owner || take(dir, e->d_name, owner, NULL) >= 0)
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d)
		closedir(d);
	(void)rmdir(old);
}
