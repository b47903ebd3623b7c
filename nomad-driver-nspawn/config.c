/* SPDX-License-Identifier: MPL-2.0
 *
 * The option tables.  Names and defaults are those of the Go driver
 * (nomad-driver-nspawn 0.10), so that its job files run unchanged; what is
 * ours beyond that is marked in the help text with "(not in the Go driver)".
 *
 * Wrong values are answered in the words of the Go driver ("invalid
 * parameter for volatile"), because people and tools know them, and then
 * with what would be right. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "docker.h"
#include "powers.h"

/* ---- The task ---- */

static const char *check_ports(const char *value)
{
	return *value ? NULL : "the label of a port";
}

static const char *const roots[] = { "ephemeral", "sticky", "image", NULL };
static const char *const device_policies[] = { "closed", "open", NULL };

static const char *check_device(const char *value)
{
	const char *inside = strchr(value, ':'), *access = inside ? strchr(inside + 1, ':') : NULL;
	size_t n = access ? strlen(access + 1) : 1;

	if (*value != '/' || (inside && inside[1] != '/') ||
	    (access && (!n || n > 3 || strspn(access + 1, "rwm") != n)))
		return "the path of a device, then maybe :PATH in the container, then maybe : and some of rwm";
	return NULL;
}

static const char *check_hostname(const char *value)
{
	size_t n = strlen(value), i;

	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)value[i]) && value[i] != '.' && (value[i] != '-' || !i))
			break;
	return n && n <= 64 && i == n ? NULL : "a host name of at most 64 letters, digits, hyphens and dots";
}

static const char *check_checksum(const char *value)
{
	size_t n;

	if (strncmp(value, "sha256:", 7) == 0)
		n = 64;
	else if (strncmp(value, "sha512:", 7) == 0)
		n = 128;
	else
		return "sha256: or sha512: and hexadecimal digits";
	return strspn(value + 7, "0123456789abcdefABCDEF") == n && strlen(value + 7) == n
		       ? NULL
		       : "sha256: and 64, or sha512: and 128 hexadecimal digits";
}

#define OPT(field, kind, ...) NOMAD_OPTION(struct nspawn_download, field, kind, __VA_ARGS__)
static const struct nomad_option download_options[] = {
	OPT(url, STRING, .power = &nspawn_power_download, .required = true, .non_empty = true,
	    .help = "Where the image comes from: an http or https URL, or for type docker the reference of a container "
		    "image, or oci:DIRECTORY:TAG, a layout on this host for which the rules of image hold.",
	    .example = "\"https://example.org/debian.tar.xz\""),
	OPT(type, STRING, .harmless = "how the image is unpacked", .def = "\"tar\"",
	    .help = "What is there: tar (a root tree, maybe compressed), raw (a file system or disk image, maybe "
		    "compressed) or docker (an image of a container registry; skopeo is needed)."),
	OPT(verify, STRING, .harmless = "more checks", .def = "\"no\"",
	    .help = "no; checksum (SHA256SUMS beside the file must name it); signature (and SHA256SUMS.gpg must be a "
		    "signature by a key of systemd's import keyring). No effect for docker."),
	OPT(checksum, STRING, .harmless = "more checks", .check = check_checksum,
	    .help = "Digest that the downloaded file must have, whatever verify says. (not in the Go driver)",
	    .example = "\"sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae\""),
	OPT(force, BOOL, .harmless = "replaces a download of the driver, never a file of the host", .def = "false",
	    .help = "Replace an image that exists already."),
};
#undef OPT

static const char *const types[] = { "tar", "raw", "docker", NULL };
static const char *const verifies[] = { "no", "checksum", "signature", NULL };
static const char *const consoles[] = { "interactive", "read-only", "passive", "pipe", NULL };
static const char *const volatiles[] = { "yes", "state", "overlay", "no", NULL };
static const char *const ownerships[] = { "auto", "map", "chown", "foreign", NULL };
static const char *const users[] = { "yes", "no", "pick", "identity", "managed", NULL };
static const char *const resolv_confs[] = {
	"off",		"copy-host",	"copy-static",	  "copy-uplink",
	"copy-stub",	"replace-host", "replace-static", "replace-uplink",
	"replace-stub", "bind-host",	"bind-static",	  "bind-uplink",
	"bind-stub",	"delete",	"auto",		  NULL,
};

static int check_choice(const char *option, const char *value, const char *const *choices, struct nomad_error **err)
{
	char text[256] = "";
	size_t i, n = 0;

	for (i = 0; value && choices[i]; i++) {
		if (strcmp(value, choices[i]) == 0)
			return 0;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? ", " : "", choices[i]);
	}
	return value ? nomad_error_set(err, EINVAL,
				       "failed to validate task config: invalid parameter for %s: '%s' is none of %s",
				       option, value, text)
		     : 0;
}

static int check_download(const void *config, struct nomad_error **err)
{
	const struct nspawn_download *d = config;
	int r = check_choice("image_download.type", d->type, types, err);

	/* skopeo knows transports that read files of this host. */
	if (r >= 0 && strcmp(d->type, "docker") == 0 && strstr(d->url, "://") && strncmp(d->url, "docker://", 9) != 0)
		return nomad_error_set(err, EINVAL,
				       "failed to validate task config: image_download.url: '%s' does not name a "
				       "container image; give NAME, docker://NAME or oci:DIRECTORY:TAG",
				       d->url);
	return r < 0 ? r : check_choice("image_download.verify", d->verify, verifies, err);
}

static const struct nomad_schema download_schema =
	NOMAD_SCHEMA(struct nspawn_download, download_options, .check = check_download);

#define OPT(field, kind, ...) NOMAD_OPTION(struct nspawn_auth, field, kind, __VA_ARGS__)
static const struct nomad_option auth_options[] = {
	OPT(username, STRING, .harmless = "the job's own credentials", .help = "Name of the user."),
	OPT(password, STRING, .harmless = "the job's own credentials", .secret = true, .help = "Password or token."),
	OPT(server_address, STRING, .harmless = "where the job's own credentials are sent",
	    .help = "The registry that the credentials are for. Default: that of image_download.url."),
	OPT(tls_verify, BOOL, .harmless = "how far the job trusts its own image", .def = "true",
	    .help = "Check the certificate of the registry. false: also plain http."),
};
#undef OPT

static const struct nomad_schema auth_schema = NOMAD_SCHEMA(struct nspawn_auth, auth_options);

int64_t nspawn_duration_s(const char *text)
{
	int64_t sum = 0, n;
	char *unit;

	if (!text || !*text)
		return 0;
	for (; *text; text = unit + 1) {
		n = *text >= '0' && *text <= '9' ? strtoll(text, &unit, 10) : -1;
		if (n < 0 || n > 1000000)
			return -1;
		if (*unit != 'h' && *unit != 'm' && *unit != 's')
			return -1;
		sum += n * (*unit == 'h' ? 3600 : *unit == 'm' ? 60 : 1);
	}
	return sum;
}

static const char *check_duration(const char *value)
{
	return nspawn_duration_s(value) < 0 ? "a duration such as 5m, 90s or 1h30m" : NULL;
}

static const char *check_group(const char *value)
{
	return *value && !strpbrk(value, ",:\n") && strlen(value) < 64 ? NULL : "the name or number of a group";
}

#define OPT(field, kind, ...) NOMAD_OPTION(struct nspawn_tmpfs, field, kind, __VA_ARGS__)
static const struct nomad_option tmpfs_options[] = {
	OPT(size, INT, .harmless = "memory of the task", .def = "0", .min = 0, .max = INT64_C(1) << 50, .unit = "bytes",
	    .help = "Limits its size. 0: systemd-nspawn's limit."),
	OPT(mode, INT, .harmless = "in the container", .def = "1023", .min = 0, .max = 4095,
	    .help = "Its permissions, as a decimal number. Default: those of /tmp."),
};
#undef OPT
static const struct nomad_schema tmpfs_schema = NOMAD_SCHEMA(struct nspawn_tmpfs, tmpfs_options);

#define OPT(field, kind, ...) NOMAD_OPTION(struct nspawn_healthchecks, field, kind, __VA_ARGS__)
static const struct nomad_option healthchecks_options[] = {
	OPT(disable, BOOL, .harmless = "runs less", .def = "false", .help = "It does not run."),
};
#undef OPT
static const struct nomad_schema healthchecks_schema = NOMAD_SCHEMA(struct nspawn_healthchecks, healthchecks_options);

static const char *const mount_types[] = { "bind", "tmpfs", NULL };

#define OPT(field, kind, ...) NOMAD_OPTION(struct nspawn_mount, field, kind, __VA_ARGS__)
static const struct nomad_option mount_options[] = {
	OPT(type, STRING, .harmless = "the source has a rule", .required = true, .choices = mount_types,
	    .help = "bind: source is seen at target; tmpfs: an empty directory in memory. For volumes use "
		    "volume_mount."),
	OPT(target, STRING, .harmless = "in the container", .required = true, .check = nomad_check_absolute_path,
	    .help = "Absolute path in the container."),
	OPT(source, STRING, .power = &nspawn_power_mount, .non_empty = true,
	    .help = "Path of the host; a relative one begins at the directory of the task. The rule of bind counts, or "
		    "with readonly that of bind_read_only."),
	OPT(readonly, BOOL, .harmless = "takes a right away", .def = "false",
	    .help = "The container cannot write there."),
	OPT(tmpfs_options, BLOCK, .block = &tmpfs_schema, .help = "Of type tmpfs: its size and permissions."),
};
#undef OPT

static int check_mount(const void *config, struct nomad_error **err)
{
	const struct nspawn_mount *m = config;

	const bool bind = strcmp(m->type, "bind") == 0;

	if (bind == (m->source != NULL))
		return 0;
	return nomad_error_set(err, EINVAL, "failed to validate task config: mount '%s': %s", m->target,
			       bind ? "bind needs a source" : "a tmpfs has no source");
}

static const struct nomad_schema mount_schema = NOMAD_SCHEMA(struct nspawn_mount, mount_options, .check = check_mount);

static const char *const ipc_modes[] = { "private", "host", NULL };

#define OPT(field, kind, ...) NOMAD_OPTION(struct nspawn_config, field, kind, __VA_ARGS__)
static const struct nomad_option task_options[] = {
	OPT(image, STRING, .power = &nspawn_power_image, .required = true, .non_empty = true,
	    .help = "The root file system: a directory, a raw image or a block device. local/NAME and alloc/NAME, and "
		    "the "
		    "paths of these in the container, are what an artifact or template of the task has made; another "
		    "relative path begins at the working directory of the plugin; else the name of an image in "
		    "/var/lib/machines and the other "
		    "directories of systemd-machined, or the name that image_download gives.",
	    .example = "\"/var/lib/machines/debian\""),
	OPT(image_download, BLOCK, .block = &download_schema,
	    .help = "Downloads the image first, unless an image of that name exists. An image of that name with "
		    "another "
		    "url, type, verify or checksum is replaced; while a task uses it the start fails, and Nomad "
		    "retries."),
	OPT(auth, BLOCK, .block = &auth_schema,
	    .help = "Credentials for the registry of an image_download of type docker. Default: those of skopeo on "
		    "this "
		    "node. (docker, podman; not in the Go driver)"),
	OPT(force_pull, BOOL, .harmless = "replaces a download of the driver, never a file of the host", .def = "false",
	    .help = "Fetch image_download at each start, unless another task uses the image: the same as "
		    "image_download.force. (docker, podman; not in the Go driver)"),
	OPT(image_pull_timeout, STRING, .harmless = "gives up sooner", .check = check_duration,
	    .help = "Limits the time that image_download may take in all. Default: no limit; see the plugin option "
		    "download_idle_s. (docker, podman; not in the Go driver)",
	    .example = "\"5m\""),
	OPT(oci_bundle, BOOL, .harmless = "the root that the bundle names is checked as image is", .def = "false",
	    .help = "The image is an OCI bundle: a directory with a config.json, which says where in it the root is, "
		    "and, where the job does not, command, environment, working_directory, user and hostname. Its "
		    "mounts, namespaces, cgroups and capabilities do not count. (not in the Go driver)"),
	OPT(boot, BOOL, .harmless = "which program runs", .def = "true",
	    .help = "Start the init of the image; command is given to it as arguments."),
	OPT(process_two, BOOL, .harmless = "which program runs", .def = "false",
	    .help = "Run command as PID 2 below an init. Not with boot. The driver does so in any case, see init."),
	OPT(init, BOOL, .harmless = "which program runs", .def = "true",
	    .help = "Without boot: run command as PID 2 below the driver's small init, which reaps, forwards signals "
		    "and reports the exact exit. false: command is PID 1. (not in the Go driver)"),
	OPT(notify_ready, BOOL, .harmless = "when the task counts as started", .def = "false",
	    .help = "With boot: the task has started when the system in it reports that it is up, and not before. (not "
		    "in the Go driver)"),
	OPT(journal, BOOL, .harmless = "what is logged", .def = "true",
	    .help = "With boot: the journal of the system is the log of the task, if the image has journalctl: errors "
		    "go "
		    "to stderr, the rest to stdout. (not in the Go driver)"),
	OPT(healthchecks, BLOCK, .block = &healthchecks_schema,
	    .help = "What becomes of the health check of a container image: it runs in the container, and events of "
		    "the "
		    "task tell its result when it changes. Nomad does nothing about it. (docker; not in the Go "
		    "driver)"),
	OPT(entrypoint, STRING_LIST, .harmless = "runs in the container",
	    .help = "Replaces the entrypoint of a container image, and then the image's command does not count either. "
		    "[] removes it. (docker, podman; not in the Go driver)",
	    .example = "[\"/bin/sh\", \"-c\"]"),
	OPT(command, STRING_LIST, .harmless = "runs in the container",
	    .help = "Program and arguments; needed unless boot is set or a container image says it. Of a container "
		    "image it replaces the command, and the entrypoint stays before it.",
	    .example = "[\"/bin/sh\", \"-c\", \"echo hello\"]"),
	OPT(args, STRING_LIST, .harmless = "runs in the container",
	    .help = "More arguments after command. Without command they replace that of a container image. (docker, "
		    "podman; not in the Go driver)",
	    .example = "[\"--verbose\"]"),
	OPT(group_add, STRING_LIST, .harmless = "groups of the container", .check = check_group,
	    .help = "Names or numbers of groups that command has beside those of its user. (docker; not in the Go "
		    "driver)",
	    .example = "[\"video\", \"1000\"]"),
	OPT(user, STRING, .harmless = "a user of the container", .non_empty = true,
	    .help = "User of the image that runs command: a name or number, also as user:group. Default: the user of "
		    "the task, or root."),
	OPT(working_directory, STRING, .harmless = "in the container",
	    .help = "Absolute path in the container where command starts."),
	OPT(environment, STRING_MAP, .harmless = "in the container",
	    .help = "More variables for the environment; the task's own win."),
	OPT(hostname, STRING, .harmless = "in the container", .check = check_hostname,
	    .help = "Host name in the container. Default: the name of the machine. (not in the Go driver)"),
	OPT(ephemeral, BOOL, .harmless = "throws changes away", .def = "false",
	    .help = "Throw away what the container changes in its root. Without writable_image that is so anyway."),
	OPT(read_only, BOOL, .harmless = "takes a right away", .def = "false",
	    .help = "Mount the root read-only in the container."),
	OPT(writable_image, BOOL, .power = &nspawn_power_writable_image, .def = "false",
	    .help = "The container writes to the image itself, which only one task at a time can use. false: many "
		    "tasks share the image, each with a layer of its own that goes when the task ends. (not in the Go "
		    "driver)"),
	OPT(root, STRING, .power = &nspawn_power_root, .choices = roots,
	    .help = "Where changes of the root go. ephemeral, the default: to a layer that is removed when the task "
		    "ends. "
		    "sticky: to a layer in the local directory of the task, which a restart of the task keeps, which "
		    "moves "
		    "with a sticky ephemeral_disk, and which is removed with the allocation. image: to the image "
		    "itself, "
		    "as with writable_image. (not in the Go driver)",
	    .example = "\"sticky\""),
	OPT(storage_mb, INT, .power = &nspawn_power_storage, .def = "0", .min = 0, .max = 1 << 24, .unit = "MiB",
	    .help = "Limits what the container can write to its root; more fails with \"No space left on device\", and "
		    "at the end an event says so. At "
		    "least 8. 0: the maximum of the policy, where this host has mkfs.ext4 and loop devices. No effect "
		    "with writable_image and volatile. (docker: storage_opt.size; not in the Go driver)",
	    .example = "2048"),
	NOMAD_OPTION_AS(struct nspawn_config, volatile_mode, "volatile", STRING,
			.harmless = "where changes go: to memory of the task",
			.help = "yes: the root is in memory and only /usr comes from the image; state: the root is "
				"read-only and /var in memory; overlay: changes go to memory; no."),
	OPT(pivot_root, STRING, .harmless = "in the image",
	    .help = "Directory of the image that becomes the root, and optionally after a colon where the old root "
		    "goes. All absolute."),
	OPT(bind, STRING_MAP, .power = &nspawn_power_bind,
	    .help = "Paths of the host (keys) seen at paths in the container (values)."),
	OPT(bind_read_only, STRING_MAP, .power = &nspawn_power_bind_read_only, .help = "The same, read-only."),
	OPT(volumes, STRING_LIST, .power = &nspawn_power_mount, .check = nspawn_check_volume,
	    .help = "Paths of the host in the container: SOURCE:TARGET, with :ro read-only. A relative SOURCE begins "
		    "at "
		    "the directory of the task. The rules of bind and bind_read_only count. (docker, podman; not in "
		    "the "
		    "Go driver)",
	    .example = "[\"local/conf:/etc/app:ro\"]"),
	OPT(mount, BLOCK_LIST, .block = &mount_schema,
	    .help = "The same as a block for each. (docker; not in the Go driver)"),
	OPT(tmpfs, STRING_LIST, .harmless = "memory of the task",
	    .help = "Paths with a tmpfs each, options after a colon. (not in the Go driver)",
	    .example = "[\"/var/cache:size=64M\"]"),
	OPT(shm_size, INT, .harmless = "memory of the task", .def = "0", .min = 0, .max = INT64_C(1) << 50,
	    .unit = "bytes", .help = "Limits /dev/shm. 0: systemd-nspawn's limit. (docker; not in the Go driver)",
	    .example = "67108864"),
	OPT(overlay, STRING_LIST, .power = &nspawn_power_overlay,
	    .help = "Overlay mounts, as LOWER:...:UPPER:TARGET. (not in the Go driver)"),
	OPT(overlay_read_only, STRING_LIST, .power = &nspawn_power_overlay_read_only,
	    .help = "Overlay mounts without an upper directory. (not in the Go driver)"),
	OPT(devices, STRING_LIST, .power = &nspawn_power_devices, .check = check_device,
	    .help = "Device nodes of the host that the container sees and may use: HOST, HOST:CONTAINER or "
		    "HOST:CONTAINER:ACCESS, where ACCESS is of rwm: read, write, mknod. (not in the Go driver)",
	    .example = "[\"/dev/fuse\"]"),
	OPT(device_policy, STRING, .power = &nspawn_power_device_policy, .def = "\"closed\"",
	    .choices = device_policies,
	    .help = "closed: the container may use the usual pseudo devices, terminals, tun, what devices names and "
		    "device nodes that are bound, no others, even if it makes nodes of them. open: all. Needs a cgroup "
		    "v2 hierarchy on the host, beside v1 or alone. (not in the Go driver)"),
	OPT(resolv_conf, STRING, .harmless = "shows the resolver of the host and no other file",
	    .help = "How /etc/resolv.conf comes to be: off, delete, auto, or copy-, replace- or bind- with host, "
		    "static, uplink or stub. A dns block of the group wins."),
	OPT(timezone, STRING, .harmless = "shows the time zone of the host",
	    .help = "How /etc/localtime comes to be: off, copy, bind, symlink, delete or auto. (not in the Go driver)"),
	OPT(console, STRING, .harmless = "how output is logged",
	    .help = "interactive, read-only, passive or pipe (the default: output is logged as it is, stdout and "
		    "stderr apart)."),
	OPT(user_namespacing, BOOL, .power = &nspawn_power_user_namespacing, .def = "true",
	    .help = "Give the container users of its own."),
	OPT(private_users, STRING, .power = &nspawn_power_private_users,
	    .help = "Which users: pick, yes, no, identity, managed, the first UID or UID:COUNT. Default: pick, if "
		    "user_namespacing is on. The driver refuses users of another task, unless that is of the same job "
		    "and names the same."),
	OPT(private_users_ownership, STRING,
	    .harmless = "changes owners in the layer of the task; with writable_image that rule counts",
	    .help = "How files of the image get their owners: auto, map, chown or foreign. Default: auto, if "
		    "user_namespacing is on."),
	OPT(capability, STRING_LIST, .power = &nspawn_power_capability,
	    .help = "Capabilities that the container gets beyond the default ones.", .example = "[\"CAP_NET_ADMIN\"]"),
	OPT(drop_capability, STRING_LIST, .harmless = "takes rights away",
	    .help = "Capabilities that it does not get. (not in the Go driver)"),
	OPT(system_call_filter, STRING_LIST, .power = &nspawn_power_system_call_filter,
	    .help = "System calls or @groups that are allowed, or with ~ refused. (not in the Go driver)",
	    .example = "[\"~@mount\"]"),
	OPT(no_new_privileges, BOOL, .harmless = "takes a right away", .def = "false",
	    .help = "Programs cannot gain privileges, as by set-user-id. (not in the Go driver)"),
	OPT(rlimits, STRING_MAP, .power = &nspawn_power_rlimits,
	    .help = "Resource limits: LIMIT or SOFT:HARD by name, or infinity. (not in the Go driver)",
	    .example = "{ NOFILE = \"1024:4096\" }"),
	OPT(ulimit, STRING_MAP, .power = &nspawn_power_ulimit,
	    .help = "The same as rlimits, with names in lower case. (docker, podman; not in the Go driver)",
	    .example = "{ nofile = \"1024:4096\" }"),
	OPT(sysctl, STRING_MAP, .harmless = "settings of the container's own namespaces",
	    .help = "Settings of the kernel that each container has for itself: kernel.shm*, kernel.msg*, kernel.sem, "
		    "fs.mqueue.*, and with a network of the driver's own net.*. Needs CAP_SYS_ADMIN in the container. "
		    "(docker, podman; not in the Go driver)",
	    .example = "{ \"net.core.somaxconn\" = \"1024\" }"),
	OPT(ipc_mode, STRING, .power = &nspawn_power_ipc, .def = "\"private\"", .choices = ipc_modes,
	    .help = "host: the container shares System V and POSIX message queues, semaphores and shared memory "
		    "segments "
		    "with the host. (docker, podman; not in the Go driver)"),
	OPT(cpu_hard_limit, BOOL, .harmless = "takes time away", .def = "false",
	    .help = "The CPU time that Nomad grants is also the most that the task gets. With cores these are the "
		    "limit "
		    "anyway. (docker, podman; not in the Go driver)"),
	OPT(cpu_cfs_period, INT, .harmless = "how time is counted", .def = "100000", .min = 1000, .max = 1000000,
	    .unit = "microseconds",
	    .help = "Span over which cpu_hard_limit counts. (docker, podman; not in the Go driver)"),
	OPT(oom_score_adj, INT, .harmless = "ends the task sooner than others", .def = "0", .min = 0, .max = 1000,
	    .help = "How much sooner than others the kernel kills the task when memory of the host runs out. (docker, "
		    "podman; not in the Go driver)"),
	OPT(pids_limit, INT, .power = &nspawn_power_pids_limit, .def = "0", .min = 0, .max = 1 << 22,
	    .unit = "processes",
	    .help = "Most processes and threads in the container. 0: the maximum of the policy. (not in the Go "
		    "driver)"),
	OPT(network_veth, BOOL, .power = &nspawn_power_network_veth, .def = "true",
	    .help = "Give the container a network of its own with a link to the host. No effect in a group with a "
		    "network of its own. false: the network of the host."),
	OPT(network_bridge, STRING, .power = &nspawn_power_network_bridge,
	    .help = "Existing bridge of the host that the container's link is put on."),
	OPT(network_zone, STRING, .power = &nspawn_power_network_zone,
	    .help = "Zone: containers with the same one share a bridge, made as needed."),
	OPT(dhcp, BOOL, .harmless = "answers the container alone", .def = "true",
	    .help = "With network_veth or network_zone: answer a DHCP client in the container with the address that it "
		    "has already, so that images which ask for one go on. (not in the Go driver)"),
	OPT(extra_hosts, STRING_LIST, .harmless = "names in the container", .check = nspawn_check_extra_host,
	    .help = "More lines for /etc/hosts: NAME:ADDRESS. (docker, podman; not in the Go driver)",
	    .example = "[\"db:10.0.0.5\"]"),
	OPT(ports, STRING_LIST, .harmless = "ports that Nomad has given", .check = check_ports,
	    .help = "Labels of ports of the group that are led into the container. Not with port_map."),
	OPT(port_map, INT_MAP, .harmless = "ports that Nomad has given", .min = 1, .max = 65535,
	    .help = "Ports in the container by the label of the port of the host. Not with ports."),
};
#undef OPT

static int invalid(struct nomad_error **err, const char *text)
{
	return nomad_error_set(err, EINVAL, "failed to validate task config: %s", text);
}

static bool is_user_range(const char *value)
{
	size_t digits = strspn(value, "0123456789");

	if (digits && value[digits] == ':' && value[digits + 1]) {
		value += digits + 1;
		digits = strspn(value, "0123456789");
	}
	return digits && !value[digits];
}

static int check_pivot(const char *value, struct nomad_error **err)
{
	while (value) {
		if (*value != '/')
			return invalid(err, "pivot_root is not an absolute path");
		value = strchr(value, ':');
		value = value ? value + 1 : NULL;
	}
	return 0;
}

static int check_binds(const char *option, const struct nomad_map *binds, struct nomad_error **err)
{
	size_t i;

	for (i = 0; i < binds->count; i++) {
		const char *from = binds->pairs[i].key;

		/* As systemd-nspawn reads them: + is within the image, - may be missing, "" is a new directory. */
		from += strspn(from, "+-");
		if ((*from && *from != '/') || binds->pairs[i].value[0] != '/')
			return nomad_error_set(
				err, EINVAL,
				"failed to validate task config: %s: '%s' = '%s': both have to be absolute paths",
				option, binds->pairs[i].key, binds->pairs[i].value);
	}
	return 0;
}

static int check_values(const struct nspawn_config *c, struct nomad_error **err)
{
	int r = check_choice("volatile", c->volatile_mode, volatiles, err);

	if (r >= 0)
		r = check_choice("console", c->console, consoles, err);
	if (r >= 0)
		r = check_choice("resolv_conf", c->resolv_conf, resolv_confs, err);
	if (r >= 0 && c->private_users && !is_user_range(c->private_users))
		r = check_choice("private_users", c->private_users, users, err);
	if (r >= 0)
		r = check_choice("private_users_ownership", c->private_users_ownership, ownerships, err);
	if (r >= 0)
		r = check_pivot(c->pivot_root, err);
	if (r >= 0)
		r = check_binds("bind", &c->bind, err);
	if (r >= 0)
		r = check_binds("bind_read_only", &c->bind_read_only, err);
	return r;
}

static bool is(const char *value, const char *word)
{
	return value && strcmp(value, word) == 0;
}

static int check_task(const void *config, struct nomad_error **err)
{
	const struct nspawn_config *c = config;
	const bool docker = c->image_download && is(c->image_download->type, "docker");
	const bool fresh = c->ephemeral || is(c->volatile_mode, "yes") || is(c->volatile_mode, "state");
	/* `what` without `unless` is refused. */
	const struct {
		bool what, unless;
		const char *why;
	} rules[] = {
		{ c->boot && c->process_two, false, "boot and process_two may not be combined" },
		{ c->oci_bundle && c->image_download, false, "oci_bundle and image_download may not be combined" },
		{ docker && c->image_download->checksum, false,
		  "image_download.checksum is of a file: pin a container image by its digest, url = "
		  "\"NAME@sha256:...\"" },
		{ !c->boot && !c->command && !c->args && !c->entrypoint, c->oci_bundle || docker,
		  "command is needed unless boot is true" },
		{ is(c->private_users_ownership, "chown"), !c->read_only && !c->volatile_mode,
		  "private_users_ownership = \"chown\" may not be combined with read_only or volatile" },
		{ c->working_directory, c->working_directory && *c->working_directory == '/',
		  "working_directory is not an absolute path" },
		{ is(c->image, "/"), fresh,
		  "starting a container from the host's root directory needs ephemeral or volatile = \"yes\" or "
		  "\"state\"" },
		{ c->writable_image, !c->ephemeral && !c->volatile_mode,
		  "writable_image may not be combined with ephemeral or volatile" },
		{ c->root && c->writable_image, is(c->root, "image"),
		  "writable_image may not be combined with this root" },
		{ is(c->root, "sticky") || is(c->root, "image"), !c->ephemeral && !c->volatile_mode,
		  "this root may not be combined with ephemeral or volatile" },
		{ c->storage_mb > 0 && c->storage_mb < 8, false, "storage_mb is less than 8" },
		{ c->ports && c->port_map.count, false, "Invalid port declaration; use of port_map and ports" },
		{ c->network_bridge && c->network_zone, false, "network_bridge and network_zone may not be combined" },
	};

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rules); i++)
		if (rules[i].what && !rules[i].unless)
			return invalid(err, rules[i].why);
	return check_values(c, err);
}

const struct nomad_schema nspawn_task_schema = NOMAD_SCHEMA(struct nspawn_config, task_options, .check = check_task);

int nspawn_config_check_version(const struct nspawn_config *c, int version, struct nomad_error **err)
{
	const struct {
		bool used;
		int since;
		const char *what;
	} needs[] = {
		{ c->private_users && strcmp(c->private_users, "managed") == 0, 258, "private_users = \"managed\"" },
		{ c->private_users && strcmp(c->private_users, "identity") == 0, 250, "private_users = \"identity\"" },
		{ c->private_users_ownership && strcmp(c->private_users_ownership, "foreign") == 0, 258,
		  "private_users_ownership = \"foreign\"" },
		{ c->private_users_ownership, 249, "private_users_ownership" },
	};
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(needs); i++)
		if (needs[i].used && version < needs[i].since)
			return nomad_error_set(err, EOPNOTSUPP, "%s needs systemd %d or newer, this host has %d",
					       needs[i].what, needs[i].since, version);
	return 0;
}
