/* SPDX-License-Identifier: MPL-2.0
 *
 * Networks of containers.
 *
 *	group network (bridge, cni/..., none)	Nomad's namespace is entered before systemd-nspawn starts
 *	network_veth, _zone, _bridge		a namespace of the task's own, made by systemd-nspawn
 *	none of these				the host's
 *
 * A namespace that is entered before systemd-nspawn starts works with
 * user namespaces, which --network-namespace-path= does not; but it belongs
 * to the host's users, so root of the container has no rights over it.
 * One that systemd-nspawn makes belongs to the container's users.  Its link
 * is made here, with all that the host needs to know of it, and moved and
 * configured before the payload lives (init/net.c): no daemon on the host
 * and no DHCP client in the image is needed, nothing waits for an address.
 * In the container the link is called host0, as systemd-nspawn calls it.
 *
 *	host                          container
 *	vn<number> 10.88.0.1/32 ----  host0 10.88.0.2/32, default via 10.88.0.1	(network_veth)
 *	nz-<zone> 10.88.130.1/24 ---  host0 10.88.130.2/24			(network_zone)
 *	<bridge>               -----  host0, configured by whoever is in there	(network_bridge)
 *
 * Everything is found again by the slug of the task and its records "net"
 * (link, address, bridge) and "net.ports". */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lease.h"
#include "network.h"
#include "tool.h"

struct shared {
	char addresses[NSPAWN_SHARED_MAX + 16], links[NSPAWN_SHARED_MAX + 16];
	int lock;
};

static void unlock_shared(struct shared *shared)
{
	if (shared->lock >= 0)
		close(shared->lock);
}

void nspawn_network_done(struct nspawn_network *network)
{
	free(network->netns);
	free(network->ports);
	*network = (struct nspawn_network){ 0 };
}

/* ---- Plan ---- */

static int add_port(struct nspawn_network *net, const struct nomad_task_info *info, const char *label,
		    int64_t container, struct nomad_error **err)
{
	const struct nomad_port *p = nomad_port_find(&info->resources, label);
	struct nspawn_port *ports;
	struct in6_addr any = { 0 };

	if (!info->resources.n_ports)
		return nomad_error_set(err, EINVAL, "No ports defined in network stanza");
	if (!p)
		return nomad_error_set(err, EINVAL, "Port \"%s\" not found, check network stanza", label);
	ports = realloc(net->ports, (net->n_ports + 1) * sizeof(*ports));
	if (!ports)
		return nomad_error_errno(err, ENOMEM, "map port '%s'", label);
	net->ports = ports;
	ports[net->n_ports++] = (struct nspawn_port){
		.host = p->value,
		.container = container	 ? (int)container
			     : p->to > 0 ? p->to
					 : p->value,
	};
	/* The address of the port's host_network. */
	if (p->host_ip && inet_pton(strchr(p->host_ip, ':') ? AF_INET6 : AF_INET, p->host_ip, &any) == 1 &&
	    !IN6_IS_ADDR_UNSPECIFIED(&any))
		snprintf(net->ports[net->n_ports - 1].at, INET6_ADDRSTRLEN, "%s", p->host_ip);
	return 0;
}

/* Whether `name` can be an interface's; the record of the network also stands on it having no space. */
static bool is_link_name(const char *name)
{
	return *name && strlen(name) < IF_NAMESIZE && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	       !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")];
}

/* The bridge that the container's link is put on. A zone's has the zone's name, or a number for one that no interface
 * can have. */
static int bridge_of(const struct nspawn_config *config, struct nspawn_network *net, struct nomad_error **err)
{
	const char *bridge = config->network_bridge, *zone = config->network_zone;

	if (bridge && !is_link_name(bridge))
		return nomad_error_set(err, EINVAL,
				       "option 'network_bridge': '%s' is not the name of an interface; give 1 to 15 of "
				       "letters, digits, '.', '_' and '-'",
				       bridge);
	if (bridge)
		strcpy(net->bridge, bridge);
	net->zone = !bridge && zone;
	if (!net->zone)
		return 0;
	snprintf(net->bridge, sizeof(net->bridge), "nz-%.12s", zone);
	if (!*zone || strlen(zone) > 12 || !is_link_name(net->bridge))
		snprintf(net->bridge, sizeof(net->bridge), "nz-%08x", nomad_hash32(zone, strlen(zone)));
	return 0;
}

int nspawn_network_plan(const struct nspawn_config *config, const struct nomad_task_info *info, const char *slug,
			struct nspawn_network *ret, struct nomad_error **err)
{
	struct nspawn_network net = { 0 };
	size_t i;
	int r = 0;

	if (info->network.mode == NOMAD_NET_GROUP && info->network.path) {
		/* Its ports are mapped by Nomad already. */
		net.kind = NSPAWN_NET_JOINED;
		net.netns = strdup(info->network.path);
		*ret = net;
		return net.netns ? 0 : nomad_error_errno(err, ENOMEM, "join the network");
	}
	for (i = 0; config->ports && config->ports[i] && r >= 0; i++)
		r = add_port(&net, info, config->ports[i], 0, err);
	for (i = 0; i < config->port_map.count && r >= 0; i++)
		r = add_port(&net, info, config->port_map.pairs[i].key, config->port_map.pairs[i].value, err);
	if (info->network.mode == NOMAD_NET_NONE) {
		net.kind = NSPAWN_NET_OWN;
	} else if (config->network_bridge || config->network_zone || config->network_veth) {
		net.kind = NSPAWN_NET_OWN;
		nspawn_link_name(&net, nomad_hash32(slug, strlen(slug)));
		r = r < 0 ? r : bridge_of(config, &net, err);
	}
	for (i = 0; i < net.n_ports && r >= 0 && net.kind == NSPAWN_NET_HOST; i++)
		if (net.ports[i].host != net.ports[i].container)
			r = nomad_error_set(err, EINVAL,
					    "port %d of the host cannot be led to port %d of a container that shares "
					    "the host's network: set network_veth = true",
					    net.ports[i].host, net.ports[i].container);
	if (net.kind == NSPAWN_NET_HOST)
		net.n_ports = 0;
	if (r < 0) {
		nspawn_network_done(&net);
		return r;
	}
	*ret = net;
	return 0;
}

/* ---- Make ---- */

/* What all plugins of this network namespace share, and its lock. */
static int lock_shared(struct shared *ret, struct nomad_error **err)
{
	char dir[NSPAWN_SHARED_MAX], group[32];
	struct stat st;

	if (stat("/proc/self/ns/net", &st) < 0)
		return nomad_error_errno(err, errno, "look at '/proc/self/ns/net'");
	snprintf(group, sizeof(group), "%llu", (unsigned long long)st.st_ino);
	ret->lock = nspawn_shared_lock(group, dir, err);
	snprintf(ret->addresses, sizeof(ret->addresses), "%s/addresses", dir);
	snprintf(ret->links, sizeof(ret->links), "%s/links", dir);
	return ret->lock;
}

static bool have_link(const char *name)
{
	return if_nametoindex(name) != 0;
}

static void set_sysctl(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, value, strlen(value)) < 0)
		nomad_log(NOMAD_LOG_WARN, "cannot write '%s'", path);
	if (fd >= 0)
		close(fd);
}

static int zone_make(const char *ip, const struct nspawn_network *net, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *script = NULL;
	size_t size;
	FILE *out;

	if (!net->zone || have_link(net->bridge))
		return 0;
	out = open_memstream(&script, &size);
	if (!out)
		return nomad_error_errno(err, ENOMEM, "make zone");
	fprintf(out, "link add %s type bridge\naddr add %s/%d dev %s\n", net->bridge, net->gateway, net->bits,
		net->bridge);
	if (net->address6[0])
		fprintf(out, "addr add %s/%d dev %s nodad\n", net->gateway6, net->bits + 96, net->bridge);
	fprintf(out, "link set %s up\n", net->bridge);
	if (fclose(out))
		return nomad_error_errno(err, ENOMEM, "make zone");
	return nspawn_tool_run((const char *const[]){ ip, "-batch", "-", NULL },
			       &(struct nspawn_tool){ .input = script, .what = "ip" }, NULL, err);
}

static int link_make(const char *ip, const struct nspawn_network *net, struct nomad_error **err)
{
	unsigned hash = (unsigned)strtoul(net->link + 2, NULL, 16);
	NOMAD_AUTO_FREE char *script = NULL;
	char mac[16];
	size_t size;
	FILE *out;

	if (net->bridge[0] && !have_link(net->bridge))
		return nomad_error_set(err, ENODEV, "there is no bridge '%s' on this host", net->bridge);
	out = open_memstream(&script, &size);
	if (!out)
		return nomad_error_errno(err, errno, "make a link");
	/* One that an earlier try of this very task left. */
	if (have_link(net->link))
		fprintf(out, "link del %s\n", net->link);
	/* Said here, or udev would choose others while we use these. */
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x", hash >> 24, hash >> 16 & 255, hash >> 8 & 255, hash & 255);
	fprintf(out, "link add %s address 06:6e:%s type veth peer name %s address 02:6e:%s\n", net->link, mac,
		net->peer, mac);
	if (net->bridge[0])
		fprintf(out, "link set %s master %s\n", net->link, net->bridge);
	else
		fprintf(out, "addr add %s/32 dev %s\n", net->gateway, net->link);
	if (!net->bridge[0] && net->address6[0])
		fprintf(out, "addr add %s/128 dev %s nodad\n", net->gateway6, net->link);
	fprintf(out, "link set %s up\n", net->link);
	if (!net->bridge[0])
		fprintf(out, "route add %s/32 dev %s\n", net->address, net->link);
	if (!net->bridge[0] && net->address6[0])
		fprintf(out, "route add %s/128 dev %s\n", net->address6, net->link);
	if (fclose(out))
		return nomad_error_errno(err, ENOMEM, "make a link");
	return nspawn_tool_run((const char *const[]){ ip, "-batch", "-", NULL },
			       &(struct nspawn_tool){ .input = script, .what = "ip" }, NULL, err);
}

void nspawn_link_name(struct nspawn_network *net, uint32_t number)
{
	snprintf(net->link, sizeof(net->link), "vn%08x", number);
	snprintf(net->peer, sizeof(net->peer), "vp%08x", number);
}

static int record(struct nomad_task *task, const struct nspawn_network *net, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *ports = nspawn_ports_format(net->ports, net->n_ports);
	NOMAD_AUTO_FREE char *text =
		nomad_strdupf("%s %s %s %d", net->link[0] ? net->link : "-", net->address[0] ? net->address : "-",
			      net->bridge[0] ? net->bridge : "-", net->zone);
	int r;

	if (!ports || !text)
		return nomad_error_errno(err, ENOMEM, "record the network");
	r = nomad_task_put(task, "net", text, err);
	return r < 0 || !net->n_ports ? r : nomad_task_put(task, "net.ports", ports, err);
}

int nspawn_link_choose(const char *links, const char *owner, struct nspawn_network *net, struct nomad_error **err)
{
	uint32_t number = (uint32_t)strtoul(net->link + 2, NULL, 16), i;
	char found[PATH_MAX];

	for (i = 0; i < 65536; i++) {
		nspawn_link_name(net, number + i);
		nspawn_lease_owner(links, net->link, found);
		if (*found ? strcmp(found, owner) == 0 : !have_link(net->link) && !have_link(net->peer))
			return 0;
	}
	return nomad_error_set(err, EEXIST, "make a link: no name is free");
}

/* Recorded before it is taken. */
static int take_link(struct nomad_task *task, const char *links, struct nspawn_network *net, struct nomad_error **err)
{
	const char *owner = nomad_task_state_dir(task);
	int r = nspawn_link_choose(links, owner, net, err);

	if (r >= 0)
		r = record(task, net, err);
	if (r >= 0)
		r = nspawn_lease_take(links, net->link, owner, err);
	return r < 0 ? r : 0;
}

/* The second address, and what is left of the ports without one. */
static int take_address6(struct nomad_task *task, const char *pool, struct nspawn_network *net,
			 struct nomad_error **err)
{
	int r;

	for (size_t i = 0; i < net->n_ports && !(pool && *pool); i++)
		if (strchr(net->ports[i].at, ':'))
			net->ports[i].at[0] = 0;
	if (!pool || !*pool)
		return 0;
	r = nspawn_address6(pool, net->address, net->address6, err);
	if (r >= 0)
		r = nspawn_address6(pool, net->gateway, net->gateway6, err);
	return r < 0 ? r : nomad_task_put(task, "net6", net->address6, err);
}

/* A host that forwards takes no advertisements of routers any more, unless its links say 2. */
static void forward6(void)
{
	static const char all[] = "/proc/sys/net/ipv6/conf/all/forwarding", links[] = "/proc/sys/net/ipv6/conf";
	char now = '1', path[PATH_MAX];
	DIR *d = NULL;
	struct dirent *e;
	NOMAD_AUTO_FD int fd = open(all, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, &now, 1) != 1 || now == '1')
		return;
	d = opendir(links);
	while (d && (e = readdir(d))) {
		NOMAD_AUTO_FD int link = -1;

		snprintf(path, sizeof(path), "%s/%s/accept_ra", links, e->d_name);
		link = open(path, O_RDWR | O_CLOEXEC);
		if (link >= 0 && read(link, &now, 1) == 1 && now == '1' && lseek(link, 0, SEEK_SET) == 0)
			(void)!write(link, "2", 1);
	}
	if (d)
		closedir(d);
	set_sysctl(all, "1");
}

/* Opens the way out and the ports. The link is there. */
static int open_firewall(const struct nspawn_plugin_config *site, const struct nspawn_network *net,
			 struct nomad_error **err)
{
	char path[96];
	int r;

	set_sysctl("/proc/sys/net/ipv4/ip_forward", "1");
	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/route_localnet",
		 net->bridge[0] ? net->bridge : net->link);
	set_sysctl(path, "1");
	r = nspawn_firewall_open(site->network_pool, net->address, net->ports, net->n_ports, err);
	if (r < 0 || !net->address6[0])
		return r;
	forward6();
	return nspawn_firewall_open(site->network_pool6, net->address6, net->ports, net->n_ports, err);
}

int nspawn_network_make(struct nomad_task *task, const struct nspawn_plugin_config *site, struct nspawn_network *net,
			const struct nspawn_config *config, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *ip = nomad_tool_find("ip");
	struct shared shared __attribute__((cleanup(unlock_shared))) = { .lock = -1 };
	int r;

	if (!net->link[0])
		return 0;
	if (!ip)
		return nomad_error_set(
			err, ENOENT,
			"make a network: 'ip' is not installed; install iproute2 or set network_veth = false");
	r = lock_shared(&shared, err);
	if (r >= 0)
		r = take_link(task, shared.links, net, err);
	if (r >= 0 && (!net->bridge[0] || net->zone))
		r = nspawn_address_take(shared.addresses, site->network_pool, net->zone ? config->network_zone : NULL,
					nomad_task_state_dir(task), net->address, net->gateway, &net->bits, err);
	if (r >= 0 && net->address[0])
		r = take_address6(task, site->network_pool6, net, err);
	if (r >= 0 && net->address[0])
		r = record(task, net, err);
	if (r >= 0)
		r = zone_make(ip, net, err);
	if (r >= 0)
		r = link_make(ip, net, err);
	return r < 0 || !net->address[0] ? r : open_firewall(site, net, err);
}

/* ---- Remove ---- */

static void zone_remove(const char *ip, const char *bridge)
{
	NOMAD_AUTO_FREE char *members = NULL;

	if (have_link(bridge) &&
	    nspawn_tool_run((const char *const[]){ ip, "-o", "link", "show", "master", bridge, NULL }, NULL, &members,
			    NULL) >= 0 &&
	    !*members)
		(void)nspawn_tool_run((const char *const[]){ ip, "link", "del", bridge, NULL }, NULL, NULL, NULL);
}

static int link_remove(const char *ip, const char *link, struct nomad_error **err)
{
	int r = have_link(link)
			? nspawn_tool_run((const char *const[]){ ip, "link", "del", link, NULL }, NULL, NULL, err)
			: 0;

	if (r < 0 && !have_link(link)) { /* it went with its namespace meanwhile */
		if (err) {
			nomad_error_free(*err);
			*err = NULL;
		}
		r = 0;
	}
	return r;
}

int nspawn_network_remove(struct nomad_task *task, struct nomad_error **err)
{
	struct nomad_plugin *plugin = nomad_task_plugin(task);
	const struct nspawn_plugin_config *site = nomad_plugin_config(plugin);
	const char *text = nomad_task_get(task, "net"), *ports_text = nomad_task_get(task, "net.ports");
	struct shared shared __attribute__((cleanup(unlock_shared))) = { .lock = -1 };
	NOMAD_AUTO_FREE char *netns = nomad_strdupf("%s/netns", nomad_task_state_dir(task));
	NOMAD_AUTO_FREE char *ip = nomad_tool_find("ip");
	NOMAD_AUTO_FREE struct nspawn_port *ports = NULL;
	const char *address6 = nomad_task_get(task, "net6");
	char link[16], address[INET_ADDRSTRLEN], bridge[16], owner[PATH_MAX];
	bool last;
	size_t n_ports = 0;
	int zone, r = 0;

	if (!text)
		return 0;
	if (!netns)
		return nomad_error_errno(err, ENOMEM, "remove the network");
	if (sscanf(text, "%15s %15s %15s %d", link, address, bridge, &zone) != 4)
		return nomad_error_set(err, EINVAL, "the record of the network cannot be read: '%s'", text);
	if (ports_text)
		(void)nspawn_ports_parse(ports_text, &ports, &n_ports);
	r = lock_shared(&shared, err);
	if (r < 0)
		return r;
	/* Of a task that an older version of us has started. */
	(void)umount2(netns, MNT_DETACH);
	(void)unlink(netns);
	/* We may have died before we took the name, and another task has it. Version 0.1 took none. */
	nspawn_lease_owner(shared.links, link, owner);
	r = 0;
	if (strcmp(link, "-") != 0 && (!*owner || strcmp(owner, nomad_task_state_dir(task)) == 0) && ip)
		r = link_remove(ip, link, err);
	if (strcmp(address, "-") != 0) {
		nspawn_lease_release(shared.addresses, address, nomad_task_state_dir(task));
		last = nspawn_lease_sweep(shared.addresses);
		nspawn_firewall_close(site->network_pool, address, ports, n_ports, last);
		if (address6)
			nspawn_firewall_close(site->network_pool6, address6, ports, n_ports, last);
	} else if (strcmp(link, "-") != 0) {
		/* We died between taking one and recording it. */
		nspawn_lease_release_all(shared.addresses, nomad_task_state_dir(task));
	}
	if (zone && ip)
		zone_remove(ip, bridge);
	if (r >= 0) {
		nspawn_lease_release(shared.links, link, nomad_task_state_dir(task));
		nomad_task_forget(task, "net");
		nomad_task_forget(task, "net.ports");
		nomad_task_forget(task, "net6");
	}
	return r;
}

void nspawn_network_sweep(const char *state_dir)
{
	NOMAD_AUTO_FREE char *old = nomad_strdupf("%s/addresses", state_dir);
	NOMAD_AUTO_FREE char *tasks = nomad_strdupf("%s/tasks", state_dir);
	struct shared shared __attribute__((cleanup(unlock_shared))) = { .lock = -1 };

	if (!old || !tasks || lock_shared(&shared, NULL) < 0)
		return;
	nspawn_address_adopt(shared.addresses, old, tasks);
	(void)nspawn_lease_sweep(shared.addresses);
	(void)nspawn_lease_sweep(shared.links);
}
