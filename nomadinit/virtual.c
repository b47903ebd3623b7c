/* SPDX-License-Identifier: MPL-2.0 */
/* Members and parents may appear at any time and in any order, and a VLAN's parent may be a bond: each link that
 * appears is looked for in all sections. */
#include "virtual.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "log.h"
#include "util.h"

static bool is_link(const char *want, const struct net_link *l)
{
	char mac[18];

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", l->mac[0], l->mac[1], l->mac[2], l->mac[3],
		 l->mac[4], l->mac[5]);
	return strcmp(want, l->name) == 0 || strcasecmp(want, mac) == 0;
}

static const char *why(int error)
{
	return error == -EOPNOTSUPP ? "the kernel has no module for it" : strerror(-error);
}

static unsigned int mode_of(const char *name)
{
	unsigned int i;

	for (i = 0; config_bond_modes[i] && strcmp(config_bond_modes[i], name) != 0; i++)
		;
	return config_bond_modes[i] ? i : 4;
}

void virtual_start(const struct config *c)
{
	const struct config_interface *i;
	int r;

	for (i = c->interfaces; i < c->interfaces + c->n_interfaces; i++) {
		if (!i->bond || !i->bond[0])
			continue;
		r = netlink_add_bond(i->name, mode_of(i->bond_mode));
		if (r < 0 && r != -EEXIST)
			log_error("cannot make the bond '%s': %s", i->name, why(r));
	}
}

static bool is_made(const struct config *c, const char *name)
{
	const struct config_interface *i;

	for (i = c->interfaces; i < c->interfaces + c->n_interfaces; i++)
		if ((i->vlan || (i->bond && i->bond[0])) && strcmp(i->name, name) == 0)
			return true;
	return false;
}

static void join(const struct config_interface *bond, const struct net_link *l)
{
	int master = (int)if_nametoindex(bond->name), r;

	r = master ? netlink_set_master(l->index, master) : -ENODEV;
	if (r < 0)
		log_error("cannot put '%s' into the bond '%s': %s", l->name, bond->name, why(r));
	else
		log_info("'%s': belongs to the bond '%s'", l->name, bond->name);
}

bool virtual_take(const struct config *c, const struct net_link *l)
{
	const struct config_interface *i;
	bool by_name;
	size_t j;
	int r;

	if (!l->is_ethernet || l->is_member)
		return l->is_member;
	for (i = c->interfaces; i < c->interfaces + c->n_interfaces; i++) {
		/* What was made has the MAC address of what it was made of, and is meant by name only. */
		by_name = is_made(c, l->name);
		for (j = 0; i->bond && i->bond[j]; j++) {
			if (by_name ? strcmp(i->bond[j], l->name) != 0 : !is_link(i->bond[j], l))
				continue;
			join(i, l);
			return true;
		}
		if (!i->vlan || (by_name ? strcmp(i->parent, l->name) != 0 : !is_link(i->parent, l)))
			continue;
		/* Its parent must be up before it can be. */
		netlink_set_up(l->index);
		r = netlink_add_vlan(i->name, l->index, (unsigned int)i->vlan);
		if (r < 0 && r != -EEXIST)
			log_error("cannot make the VLAN '%s' on '%s': %s", i->name, l->name, why(r));
	}
	return false;
}
