/* SPDX-License-Identifier: MPL-2.0
 *
 * Addresses for containers: a directory with a lease for each that is in use.
 *
 * The pool is cut in two.  From the lower half every container with a link
 * of its own gets one address, with a route on the host for it alone; the
 * first address of the pool is the host, on every such link.  The upper half
 * is cut into networks of 256 addresses, each leased to one zone; the first
 * address of it is the host on the zone's bridge. */
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

#include "lease.h"
#include "network.h"

static void text_of(uint32_t address, char ret[INET_ADDRSTRLEN])
{
	struct in_addr in = { htonl(address) };

	inet_ntop(AF_INET, &in, ret, INET_ADDRSTRLEN);
}

static bool is_used(const char *dir, uint32_t subnet)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	struct in_addr in;
	bool used = false;

	while (d && !used && (e = readdir(d)))
		used = inet_pton(AF_INET, e->d_name, &in) == 1 && (ntohl(in.s_addr) & ~255u) == subnet;
	if (d)
		closedir(d);
	return used;
}

/* The network of a zone among `n` that begin at `first`.  The search begins where earlier versions put the zone without
 * a record.  A network that no container is in any more can become another zone's. */
static int take_subnet(const char *dir, uint32_t first, uint32_t n, const char *zone, uint32_t *ret,
		       struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *zones = nomad_strdupf("%s.zones", dir);
	uint32_t begin = nomad_hash32(zone, strlen(zone)), i;
	char name[INET_ADDRSTRLEN], found[PATH_MAX];
	bool own;
	int r;

	if (!zones)
		return nomad_error_errno(err, ENOMEM, "take an address");
	for (i = 0; i < 2 * n; i++) {
		own = i < n; /* in the first round */
		*ret = first + 256 * ((begin + i) % n);
		text_of(*ret, name);
		nspawn_lease_owner(zones, name, found);
		if (own && strcmp(found, zone) == 0)
			return 0;
		if (own)
			continue;
		if (*found && !is_used(dir, *ret))
			nspawn_lease_release(zones, name, found);
		r = nspawn_lease_take(zones, name, zone, err);
		if (r)
			return r < 0 ? r : 0;
	}
	return nomad_error_set(err, ENOSPC, "network_zone '%s': network_pool has no room for another zone", zone);
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
	size = 1u << (32 - bits);
	first = ntohl(in.s_addr) & ~(size - 1);
	if (zone) {
		if (size < 512)
			return nomad_error_set(
				err, EINVAL, "network_pool '%s' has no room for zones: at least a /23 is needed", pool);
		r = take_subnet(dir, first + size / 2, size / 512, zone, &first, err);
		if (r < 0)
			return r;
		size = 256;
	} else if (size >= 512) {
		size /= 2;
	}
	for (i = 2; i < size - 1; i++) {
		text_of(first + i, address);
		r = nspawn_lease_take(dir, address, owner, err);
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

int nspawn_address6(const char *pool, const char *address, char ret[INET6_ADDRSTRLEN], struct nomad_error **err)
{
	char network[INET6_ADDRSTRLEN];
	struct in6_addr in6;
	struct in_addr in;
	int bits;

	if (sscanf(pool, "%45[0-9a-fA-F:]/%d", network, &bits) != 2 || inet_pton(AF_INET6, network, &in6) != 1 ||
	    bits < 8 || bits > 96 || inet_pton(AF_INET, address, &in) != 1)
		return nomad_error_set(err, EINVAL, "network_pool6 '%s' is not an IPv6 network of /8 to /96", pool);
	for (int i = bits; i < 96; i++)
		in6.s6_addr[i / 8] &= (unsigned char)~(0x80 >> i % 8);
	memcpy(&in6.s6_addr[12], &in, sizeof(in));
	inet_ntop(AF_INET6, &in6, ret, INET6_ADDRSTRLEN);
	return 0;
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
		nspawn_lease_owner(old, e->d_name, text);
		text[strcspn(text, "\n")] = 0;
		if (*boot && strncmp(text, boot, strlen(boot)) == 0 && text[strlen(boot)] == ' ')
			owner = nomad_strdupf("%s/%s", tasks, text + strlen(boot) + 1);
		if (!owner || nspawn_lease_take(dir, e->d_name, owner, NULL) >= 0)
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d)
		closedir(d);
	(void)rmdir(old);
}
