/* SPDX-License-Identifier: MPL-2.0 */
/* The configuration: Nomad's agent configuration as JSON with one section more, "nomadinit", which is ours. */
#ifndef NOMADINIT_CONFIG_H
#define NOMADINIT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "netlink.h"
#include "nomad/base.h"

#define CONFIG_MAX_BYTES (256 * 1024)
#define CONFIG_MAX_INTERFACES 16
#define CONFIG_ERROR_SIZE 512

/* In the kernel's order; ends with NULL. */
extern const char *const config_bond_modes[];

struct config_interface {
	char *name; /* "eth0", a MAC address, or "*" for all that have no section of their own */
	bool dhcp;
	bool accept_ra;
	char **addresses; /* "192.0.2.7/24", "2001:db8::7/64"; lists end with NULL and may be NULL */
	char **gateways;
	char **routes; /* "10.0.0.0/8 via 192.0.2.1" */
	int64_t vlan;  /* 0: none; else of `parent`, an interface by name or MAC address */
	char *parent;
	char **bond; /* members by name or MAC address */
	char *bond_mode;
	int64_t mtu;
	int64_t metric;
};

struct config {
	char *hostname;
	char **dns, **search, **ntp;
	char **modules;
	struct nomad_map sysctl;
	int64_t wait_network_seconds;
	int64_t watchdog_seconds;
	int64_t log_bytes;
	struct {
		char **command;
		struct nomad_map environment;
		int64_t restart_min_seconds, restart_max_seconds;
		int64_t healthy_seconds;
		int64_t stop_seconds;
		bool drain_on_reboot;
		char **health_command;
	} agent;
	struct {
		char *label;
		bool grow, check;
		bool tmpfs_if_missing, replace_lost;
	} state;
	struct {
		char *provider;
		int64_t wait_seconds;
		bool report;
	} cloud;
	struct {
		char *secret;
	} cluster;
	struct config_interface interfaces[CONFIG_MAX_INTERFACES];
	size_t n_interfaces;
	char *agent_json; /* what the agent is given: all but our section, with our defaults filled in */
};

/* Merge the texts in order (a later one overrides: objects are merged, all else is replaced), check the result and
 * decode it.  names[i] says where text i came from.  Returns 0; or -EINVAL with error[] saying what is wrong where. */
int config_parse(const char *const texts[], const char *const names[], size_t n, struct config *ret, char *error);
void config_done(struct config *c);
/* "10.0.0.0/8 via 192.0.2.1" in its parts; false if it is none. */
bool config_parse_route(const char *text, struct net_address *ret_to, struct net_address *ret_via);
/* The section that governs an interface: by name, else MAC address, else "*", else NULL. */
const struct config_interface *config_interface_for(const struct config *c, const char *name, const char *mac);
/* Write what may be written in the section, with its defaults. */
void config_help(FILE *to);

#endif
