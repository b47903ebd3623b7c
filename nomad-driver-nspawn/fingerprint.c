/* SPDX-License-Identifier: MPL-2.0
 *
 * Can this host run containers?  Each check names what is wrong and what to
 * do about it; `doctor` shows them all. */
#include <sched.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "host.h"
#include "tool.h"

static bool kernel_has(const char *what)
{
	char line[128], name[64];
	bool found = false;
	FILE *file = fopen("/proc/filesystems", "re");

	snprintf(name, sizeof(name), "nodev\t%s\n", what);
	while (file && !found && fgets(line, sizeof(line), file))
		found = strcmp(line, name) == 0;
	if (file)
		fclose(file);
	return found;
}

/* It is listed once it is loaded, which nobody may have wanted yet. */
static bool can_overlay(void)
{
	NOMAD_AUTO_FREE char *modprobe = NULL;

	if (kernel_has("overlay"))
		return true;
	modprobe = nomad_tool_find("modprobe");
	if (modprobe)
		(void)nspawn_tool_run((const char *const[]){ modprobe, "-q", "overlay", NULL },
				      &(struct nspawn_tool){ .timeout_ms = 5000 }, NULL, NULL);
	return kernel_has("overlay");
}

static void check_warnings(struct nomad_fingerprint *fp, const struct nspawn_host *host)
{
	static const struct {
		const char *name, *finding, *remedy;
	} tools[] = {
		{ "ip", "without it containers with network_veth get a link that nobody configures",
		  "install iproute2" },
		{ "nft", "without it and iptables no ports can be mapped into containers", "install nftables" },
		{ "tar", "image_download cannot unpack images", "install tar" },
		{ "curl", "image_download cannot fetch images", "install curl" },
		{ "skopeo", "image_download cannot fetch images of type docker", "install skopeo and umoci" },
	};
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(tools); i++) {
		NOMAD_AUTO_FREE char *path = nomad_tool_find(tools[i].name);
		NOMAD_AUTO_FREE char *finding =
			nomad_strdupf("'%s' is not installed: %s", tools[i].name, tools[i].finding);

		nomad_fp_check(fp, tools[i].name, path, NOMAD_HEALTHY, finding, tools[i].remedy);
		nomad_fp_bool(fp, tools[i].name, path);
	}
	nomad_fp_check(
		fp, "systemd-machined", host->machined, NOMAD_HEALTHY,
		"systemd-machined cannot be called: containers run all the same, but machinectl does not show them",
		"boot the host with systemd");
	nomad_fp_check(fp, "devices", host->cgroup2, NOMAD_HEALTHY,
		       "no cgroup v2 hierarchy is mounted: device_policy has no effect, and a container without users "
		       "of its own can use all devices",
		       "mount cgroup2 at /sys/fs/cgroup/unified");
	nomad_fp_check(fp, "loop", !access("/dev/loop-control", F_OK), NOMAD_HEALTHY,
		       "there is no /dev/loop-control: raw images cannot be used", "load the module loop");
}

void nspawn_fingerprint(struct nomad_plugin *plugin, struct nomad_fingerprint *fp)
{
	const struct nspawn_plugin_config *config = nomad_plugin_config(plugin);
	struct nspawn_host host;
	char text[64];

	if (!nomad_fp_check(fp, "enabled", config->enabled, NOMAD_UNDETECTED, "disabled",
			    "set enabled = true in the plugin block"))
		return;
	nspawn_host_find(&host);
	nomad_fp_check(fp, "systemd-nspawn", host.nspawn, NOMAD_UNDETECTED, "systemd-nspawn is not installed",
		       "install the package systemd-container");
	if (host.nspawn) {
		snprintf(text, sizeof(text), "systemd %d is older than %d", host.version, NSPAWN_SYSTEMD_MIN);
		nomad_fp_check(fp, "systemd", host.version >= NSPAWN_SYSTEMD_MIN, NOMAD_UNHEALTHY,
			       host.version ? text : "the version of systemd-nspawn cannot be read", "update systemd");
	}
	nomad_fp_check(fp, "root", geteuid() == 0, NOMAD_UNDETECTED, "systemd-nspawn has to be started by root",
		       "run the Nomad client as root");
	nomad_fp_check(fp, "overlay", can_overlay(), NOMAD_UNHEALTHY,
		       "the kernel has no overlay file system, which the roots of containers are", "modprobe overlay");
	nomad_fp_check(fp, "cgroups",
		       !access("/sys/fs/cgroup/cgroup.controllers", F_OK) || !access("/sys/fs/cgroup/systemd", F_OK) ||
			       !access("/sys/fs/cgroup/unified", F_OK),
		       NOMAD_UNHEALTHY, "there is neither cgroup v2 nor a cgroup hierarchy of systemd",
		       "mount cgroup2 at /sys/fs/cgroup");
	check_warnings(fp, &host);
	if (host.version) {
		snprintf(text, sizeof(text), "%d", host.version);
		nomad_fp_string(fp, "version", text);
	}
	nomad_fp_bool(fp, "volumes", config->volumes);
	nomad_fp_bool(fp, "machined", host.machined);
	nspawn_host_done(&host);
}
