/* SPDX-License-Identifier: MPL-2.0
 *
 * The option tables of a task's config block, under the names that the Go
 * driver gave them, so that job files run unchanged.  Those of the block
 * cloud_api are in cloud_options.c, those of the plugin's block in
 * site_options.c, what power an option gives in powers.c.
 *
 * What can be known to be wrong before the first request is refused here:
 * names, ids, ports, tags with a meaning, firewall rules that do not parse.
 * What only the data centre knows (packages, images, networks) is not.
 */
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "nomad/error.h"
#include "nomad/option.h"

#include "config.h"
#include "fwrules.h"
#include "powers.h"
#include "text.h"

/* ---- Small checks ---- */

static const char *check_port(const char *value)
{
	return triton_parse_port(value) > 0 ? NULL : "a port from 1 to 65535";
}

static const char *check_extra_host(const char *value)
{
	const char *colon = strchr(value, ':');

	return colon && colon != value && colon[1] ? NULL : "HOST:ADDRESS";
}

static const char *check_restart_policy(const char *value)
{
	static const char *const known[] = { "", "no", "never", "always", "unless-stopped", "on-failure", "onfailure" };

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(known); i++)
		if (strcasecmp(value, known[i]) == 0)
			return NULL;
	if (strncasecmp(value, "on-failure:", 11) == 0 && value[11] &&
	    strspn(value + 11, "0123456789") == strlen(value + 11))
		return NULL;
	return "no, always, unless-stopped, on-failure or on-failure:N";
}

/* "priority=10" or "weight=1", up to `end`. */
static bool is_cns_property(const char *text, const char *end)
{
	size_t n = strncmp(text, "priority=", 9) == 0 ? 9 : strncmp(text, "weight=", 7) == 0 ? 7 : 0;

	text += n;
	n = n ? strspn(text, "0123456789") : 0;
	return n > 0 && n <= 5 && text + n == end && strtol(text, NULL, 10) <= 65535;
}

/* The names that a server takes have changed: triton-tags 1.0 has [a-z][a-z0-9-]*, later versions upper case, dots
 * (lib/cns-svc-tag.pegjs) and SRV names (_sip._tcp).  What one of them may take is left to the server. */
static const char *check_cns(const char *value)
{
	static const char *const expected = "NAME[:PORT][:priority=N][:weight=N]: NAME of at most 63 letters, digits, "
					    "-, . and _, PORT from 1 to 65535, N from 0 to 65535";
	const char *at = value + strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");
	bool first = true;

	if (at == value || at - value > 63 || *value == '.' || (*at && *at != ':'))
		return expected;
	for (; *at == ':'; first = false) {
		const char *end = at + 1 + strcspn(at + 1, ":");
		char port[6] = "";

		at++;
		if (end - at < (ptrdiff_t)sizeof(port))
			memcpy(port, at, (size_t)(end - at));
		if (!(first && triton_parse_port(port) > 0) && !is_cns_property(at, end))
			return expected;
		at = end;
	}
	return NULL;
}

static const char *check_affinity(const char *value)
{
	return strstr(value, "==") || strstr(value, "!=")
		       ? NULL
		       : "a rule such as 'instance!=web*' with one of ==, !=, ==~, !=~";
}

static const char *check_mountpoint(const char *value)
{
	return nomad_check_absolute_path(value);
}

static const char *check_volume_name(const char *value)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	return isalnum((unsigned char)*value) && strspn(value, allowed) == strlen(value) && strlen(value) <= 256
		       ? NULL
		       : "letters, digits and _.-, a letter or digit first";
}

static const char *check_image_name(const char *value)
{
	return strchr(value, '@') ? "a name without a digest, which has an option of its own: digest" : NULL;
}

static const char *check_digest(const char *value)
{
	return strlen(value) == 71 && strncmp(value, "sha256:", 7) == 0 && strspn(value + 7, "0123456789abcdef") == 64
		       ? NULL
		       : "sha256: and 64 of 0-9a-f";
}

/* ---- Blocks of a task ---- */

static const struct nomad_option package_options[] = {
	NOMAD_OPTION(struct triton_package, name, STRING, .power = &triton_power_package,
		     .example = "\"g4-highcpu-1G\"",
		     .help = "Name of the package; a * stands for any part, and must leave one package only."),
	NOMAD_OPTION(struct triton_package, uuid, STRING, .power = &triton_power_package, .check = triton_check_uuid,
		     .help = "Id of the package; it wins over the name and is not looked up."),
	NOMAD_OPTION(struct triton_package, version, STRING, .harmless = "narrows the search for a name",
		     .help = "Version of the package."),
};
static const struct nomad_schema package_schema = NOMAD_SCHEMA(struct triton_package, package_options);

static const struct nomad_option docker_image_options[] = {
	NOMAD_OPTION(struct triton_docker_image, name, STRING, .power = &triton_power_image, .required = true,
		     .non_empty = true, .check = check_image_name, .example = "\"busybox\"",
		     .help = "Name of the image, with its registry where it is not the default."),
	NOMAD_OPTION(struct triton_docker_image, tag, STRING, .harmless = "narrows the search for a name",
		     .def = "\"latest\"", .non_empty = true, .help = "Tag of the image."),
	NOMAD_OPTION(struct triton_docker_image, digest, STRING, .harmless = "narrows the search for a name",
		     .check = check_digest,
		     .example = "\"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"",
		     .help = "Digest of the image's manifest. It wins over the tag, and always names the same image."),
	NOMAD_OPTION(struct triton_docker_image, auto_pull, BOOL, .harmless = "when the image is pulled",
		     .def = "false",
		     .help = "Pull the image each time; otherwise it is pulled only where it is missing."),
};
static const struct nomad_schema docker_image_schema = NOMAD_SCHEMA(struct triton_docker_image, docker_image_options);

static const struct nomad_option auth_options[] = {
	NOMAD_OPTION(struct triton_auth, username, STRING, .harmless = "of the job itself",
		     .help = "Name of the user at the registry."),
	NOMAD_OPTION(struct triton_auth, password, STRING, .harmless = "of the job itself", .secret = true,
		     .help = "Password of the user at the registry."),
	NOMAD_OPTION(struct triton_auth, email, STRING, .harmless = "of the job itself",
		     .help = "Mail address, for old registries."),
	NOMAD_OPTION(struct triton_auth, server_address, STRING, .harmless = "where the credentials of the job go",
		     .example = "\"registry.example.com\"", .help = "Address of the registry."),
};
static const struct nomad_schema auth_schema = NOMAD_SCHEMA(struct triton_auth, auth_options);

/* Numbers in a list: Nomad converts them to the text that a string list holds. */
static const struct nomad_option port_options[] = {
	NOMAD_OPTION(struct triton_ports, tcp, STRING_LIST, .power = &triton_power_ports, .check = check_port,
		     .max_items = 64, .example = "[80, 443]",
		     .help = "TCP ports that are published; they are not remapped."),
	NOMAD_OPTION(struct triton_ports, udp, STRING_LIST, .power = &triton_power_ports, .check = check_port,
		     .max_items = 64, .example = "[53]",
		     .help = "UDP ports that are published; they are not remapped."),
	NOMAD_OPTION(struct triton_ports, publish_all, BOOL, .power = &triton_power_all_ports, .def = "false",
		     .help = "Publish all ports that the image exposes."),
};
static const struct nomad_schema port_schema = NOMAD_SCHEMA(struct triton_ports, port_options);

static const struct nomad_option log_options[] = {
	NOMAD_OPTION(struct triton_log_config, type, STRING, .harmless = "where the output of the container goes",
		     .example = "\"syslog\"",
		     .help = "Log driver of the container. With none its output reaches neither the host nor Nomad."),
	NOMAD_OPTION(struct triton_log_config, config, STRING_MAP, .harmless = "where the output of the container goes",
		     .help = "Options of the log driver."),
};
static const struct nomad_schema log_schema = NOMAD_SCHEMA(struct triton_log_config, log_options);

static const struct nomad_option docker_options[] = {
	NOMAD_OPTION(struct triton_docker_task, image, BLOCK, .required = true, .block = &docker_image_schema,
		     .help = "The image."),
	NOMAD_OPTION(struct triton_docker_task, auth, BLOCK, .block = &auth_schema,
		     .help = "Who pulls the image, where the registry asks."),
	NOMAD_OPTION(struct triton_docker_task, cmd, STRING_LIST, .harmless = "in the container",
		     .example = "[\"sleep\", \"60\"]", .help = "Command, in place of the image's."),
	NOMAD_OPTION(struct triton_docker_task, entrypoint, STRING_LIST, .harmless = "in the container",
		     .help = "Entry point, in place of the image's."),
	NOMAD_OPTION(struct triton_docker_task, openstdin, BOOL, .harmless = "in the container", .def = "false",
		     .help = "Keep the standard input open."),
	NOMAD_OPTION(struct triton_docker_task, stdinonce, BOOL, .harmless = "in the container", .def = "false",
		     .help = "Close the standard input when its first client goes."),
	NOMAD_OPTION(struct triton_docker_task, tty, BOOL, .harmless = "in the container", .def = "false",
		     .help = "Give the command a terminal."),
	NOMAD_OPTION(struct triton_docker_task, workingdir, STRING, .harmless = "in the container",
		     .help = "Working directory of the command."),
	NOMAD_OPTION(struct triton_docker_task, hostname, STRING, .harmless = "in the container",
		     .help = "Host name of the container."),
	NOMAD_OPTION(struct triton_docker_task, domain_name, STRING, .harmless = "in the container",
		     .help = "Domain name of the container."),
	NOMAD_OPTION(struct triton_docker_task, user, STRING, .harmless = "in the container",
		     .help = "User that the command runs as."),
	NOMAD_OPTION(struct triton_docker_task, labels, STRING_MAP, .power = &triton_power_labels,
		     .help = "Labels of the container."),
	NOMAD_OPTION(struct triton_docker_task, public_network, STRING, .power = &triton_power_public_network,
		     .help = "Public network (label triton.network.public); used with published ports only."),
	NOMAD_OPTION(struct triton_docker_task, private_network, STRING, .power = &triton_power_network,
		     .help = "Fabric network, by name or id; without it the account's default one."),
	NOMAD_OPTION(struct triton_docker_task, dns, STRING_LIST, .harmless = "in the container",
		     .help = "Name servers."),
	NOMAD_OPTION(struct triton_docker_task, dns_search, STRING_LIST, .harmless = "in the container",
		     .help = "Search domains."),
	NOMAD_OPTION(struct triton_docker_task, extra_hosts, STRING_LIST, .harmless = "in the container",
		     .check = check_extra_host, .example = "[\"db:10.0.0.5\"]",
		     .help = "Additional lines of the hosts file, HOST:ADDRESS."),
	NOMAD_OPTION(struct triton_docker_task, ports, BLOCK, .block = &port_schema, .help = "Published ports."),
	NOMAD_OPTION(struct triton_docker_task, log_config, BLOCK, .block = &log_schema, .help = "Log driver."),
	NOMAD_OPTION(struct triton_docker_task, restart_policy, STRING, .harmless = "ends with the instance",
		     .check = check_restart_policy, .example = "\"no\"",
		     .help = "Restart policy of the data centre: no, always, on-failure[:N]. Leave it out: restarts "
			     "are Nomad's matter, and always hides every end from it."),
};
static const struct nomad_schema docker_schema = NOMAD_SCHEMA(struct triton_docker_task, docker_options);

static const char *const volume_modes[] = { "rw", "ro", NULL };

static const struct nomad_option volume_options[] = {
	NOMAD_OPTION(struct triton_volume, name, STRING, .power = &triton_power_volume, .required = true,
		     .non_empty = true, .check = check_volume_name, .example = "\"web-data\"",
		     .help = "Name of the volume."),
	NOMAD_OPTION(struct triton_volume, mountpoint, STRING, .harmless = "in the instance", .required = true,
		     .check = check_mountpoint, .example = "\"/data\"", .help = "Where the instance sees it."),
	NOMAD_OPTION(struct triton_volume, mode, STRING, .harmless = "takes a right away", .def = "\"rw\"",
		     .choices = volume_modes, .help = "rw to read and write, ro to read only."),
	NOMAD_OPTION(struct triton_volume, type, STRING, .harmless = "there is one type", .def = "\"tritonnfs\"",
		     .help = "Kind of volume."),
	NOMAD_OPTION(struct triton_volume, size, INT, .harmless = "of a volume that the job makes", .min = 0,
		     .max = 1 << 30, .def = "0", .unit = "MiB",
		     .help = "Size to make the volume with if there is none of that name. 0: it has to be there."),
	NOMAD_OPTION(struct triton_volume, keep, BOOL, .harmless = "of a volume that the job makes", .def = "false",
		     .help = "Keep a volume that was made for the task when the task is gone."),
};
static const struct nomad_schema volume_schema = NOMAD_SCHEMA(struct triton_volume, volume_options);

/* ---- The task ---- */

static const char *const api_types[] = { "cloud_api", "docker_api", NULL };
static const char *const exit_strategies[] = { "stopped", "deleted", NULL };

static const struct nomad_option task_options[] = {
	NOMAD_OPTION(struct triton_task, api_type, STRING, .harmless = "which options count", .required = true,
		     .choices = api_types,
		     .help = "cloud_api for an infrastructure container or virtual machine, docker_api for a Docker "
			     "container."),
	NOMAD_OPTION(struct triton_task, cloud_api, BLOCK, .block = &triton_cloud_schema,
		     .help = "With api_type cloud_api."),
	NOMAD_OPTION(struct triton_task, docker_api, BLOCK, .block = &docker_schema,
		     .help = "With api_type docker_api."),
	NOMAD_OPTION(struct triton_task, package, BLOCK, .required = true, .block = &package_schema,
		     .help = "The package: how much memory, disk and CPU the instance gets."),
	NOMAD_OPTION(struct triton_task, tags, STRING_MAP, .power = &triton_power_tags, .max_items = 256,
		     .help = "Tags of the instance."),
	NOMAD_OPTION(struct triton_task, metadata, STRING_MAP, .harmless = "in the instance", .max_items = 256,
		     .help = "Metadata of the instance. Any process in it can read them: put no secrets there."),
	NOMAD_OPTION(
		struct triton_task, metadata_files, STRING_MAP, .harmless = "in the instance",
		.check = triton_check_file, .max_items = 64, .example = "{ motd = \"local/motd\" }",
		.help = "Metadata whose values are read at the start from files of the task, such as the output of a "
			"template: paths below local/, secrets/ or alloc/, without symbolic links."),
	NOMAD_OPTION(struct triton_task, affinity, STRING_LIST, .harmless = "where the instance is",
		     .check = check_affinity, .max_items = 64, .example = "[\"instance!=web*\"]",
		     .help = "Which instances to be near to or far from. For Docker each may begin with affinity:."),
	NOMAD_OPTION(struct triton_task, cns, STRING_LIST, .power = &triton_power_cns, .check = check_cns,
		     .max_items = 64, .example = "[\"web:80\"]",
		     .help = "Services of the container name service that the instance belongs to."),
	NOMAD_OPTION(
		struct triton_task, deletion_protection, BOOL, .power = &triton_power_deletion_protection,
		.def = "false",
		.help = "Protect the instance from being deleted by others; the driver lifts it to destroy the task."),
	NOMAD_OPTION(
		struct triton_task, fwenabled, BOOL, .harmless = "turns a protection of the instance on",
		.def = "false",
		.help = "Turn the instance's firewall on. For Docker it always is. Rules are made only with true."),
	NOMAD_OPTION(struct triton_task, fwrules, STRING_MAP, .power = &triton_power_fwrules,
		     .check = triton_fwrule_check, .max_items = 64,
		     .example = "{ web = \"FROM any TO tag role = web ALLOW tcp PORT 80\" }",
		     .help = "Firewall rules by name. Equal rules of several tasks are one rule, removed with the last "
			     "task."),
	NOMAD_OPTION(struct triton_task, exit_strategy, STRING, .harmless = "when the task ends", .def = "\"stopped\"",
		     .choices = exit_strategies,
		     .help = "The state that ends the task. With stopped, a stopped task's instance is deleted when "
			     "Nomad destroys the task; with deleted, stopping the task deletes it."),
	NOMAD_OPTION(struct triton_task, volumes, BLOCK_LIST, .block = &volume_schema, .max_items = 32,
		     .help = "Volumes to mount."),
	NOMAD_OPTION(struct triton_task, provision_timeout, INT, .harmless = "a time limit", .min = 1, .max = 7200,
		     .unit = "seconds", .help = "How long the instance may take to run. Default: that of the plugin."),
	NOMAD_OPTION(struct triton_task, stop_timeout, INT, .harmless = "a time limit", .min = 1, .max = 3600,
		     .unit = "seconds",
		     .help = "How long the instance may take to stop before a machine is deleted or a container "
			     "killed. Default: the task's kill_timeout; for a machine whose kill_timeout is "
			     "Nomad's default of 5 seconds, 180 seconds."),
};

/* Tags that the data centre gives a meaning to; no other triton.* is let through. */
static const char *const triton_tags[] = {
	"triton.cns.services",
	"triton.cns.disable",
	"triton.cns.reverse_ptr",
	"triton.cmon.groups",
	"triton.network.public",
	"triton.network.public_ipv4",
	"triton.placement.exclude_virtual_servers",
};

static const char *const bool_tags[] = { "triton.cns.disable", "triton.placement.exclude_virtual_servers" };

/* Words that the server takes for parameters of the call itself. */
static const char *const taken_words[] = { "account", "machine", "uuid", "owner_uuid", "context", "image" };

static bool is_own_tag(const char *key)
{
	static const char *const own[] = {
		"driver", "task", "alloc", "owner", "node", "cluster", "lease", "protected"
	};

	if (strncmp(key, "nomad_", 6) != 0)
		return false;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(own); i++)
		if (strcmp(key + 6, own[i]) == 0)
			return true;
	return strncmp(key + 6, "fw_", 3) == 0;
}

static int check_tag(const char *key, const char *value, struct nomad_error **err)
{
	bool known = strncmp(key, "triton.", 7) != 0;

	for (size_t i = 0; !known && i < NOMAD_ARRAY_LEN(triton_tags); i++)
		known = strcmp(key, triton_tags[i]) == 0;
	if (!known)
		return nomad_error_set(err, EINVAL,
				       "option 'tags': the data centre knows no tag '%s'; names of one's own must not "
				       "begin with 'triton.'",
				       key);
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(bool_tags); i++)
		if (strcmp(key, bool_tags[i]) == 0 && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
			return nomad_error_set(err, EINVAL, "option 'tags': tag '%s' must be true or false, not '%s'",
					       key, value);
	if (strcmp(key, "sdc_docker") == 0 || strncmp(key, "docker:label:", 13) == 0 || is_own_tag(key))
		return nomad_error_set(err, EINVAL, "option 'tags': tag '%s' is reserved; choose another name", key);
	return 0;
}

static int check_keys(const char *option, const struct nomad_map *map, struct nomad_error **err)
{
	for (size_t i = 0; i < map->count; i++) {
		const char *key = map->pairs[i].key;

		if (!*key)
			return nomad_error_set(err, EINVAL, "option '%s': a name is empty", option);
		for (size_t k = 0; k < NOMAD_ARRAY_LEN(taken_words); k++)
			if (strcmp(key, taken_words[k]) == 0)
				return nomad_error_set(err, EINVAL,
						       "option '%s': the data centre does not take '%s' as a name",
						       option, key);
	}
	return 0;
}

static int check_files(const struct triton_task *task, struct nomad_error **err)
{
	for (size_t i = 0; i < task->metadata_files.count; i++)
		if (nomad_map_get(&task->metadata, task->metadata_files.pairs[i].key))
			return nomad_error_set(
				err, EINVAL, "options 'metadata' and 'metadata_files' both have '%s'; use one of them",
				task->metadata_files.pairs[i].key);
	return 0;
}

static int check_metadata(const struct nomad_map *map, struct nomad_error **err)
{
	static const char *const own[] = { "user-data", "user-script", "cloud-init:user-data", "env-vars" };

	for (size_t i = 0; i < map->count; i++) {
		const char *key = map->pairs[i].key;
		size_t n = strlen(key);

		if (strcmp(key, "root_authorized_keys") == 0 || strcmp(key, "credentials") == 0 ||
		    (n > 3 && strcmp(key + n - 3, "_pw") == 0))
			return nomad_error_set(err, EINVAL,
					       "option 'metadata': '%s' is set or dropped by the data centre", key);
		for (size_t k = 0; k < NOMAD_ARRAY_LEN(own); k++)
			if (strcmp(key, own[k]) == 0)
				return nomad_error_set(err, EINVAL,
						       "option 'metadata': '%s' is set by the driver; use user_data, "
						       "user_script or cloud_config",
						       key);
	}
	return 0;
}

static int check_task(const void *config, struct nomad_error **err)
{
	const struct triton_task *task = config;
	bool docker = triton_task_api(task) == TRITON_DOCKER;
	int r;

	if (docker ? !task->docker_api : !task->cloud_api)
		return nomad_error_set(err, EINVAL, "option 'api_type' is '%s', but there is no block '%s'",
				       task->api_type, task->api_type);
	if (!task->package || (!triton_given(task->package->uuid) && !triton_given(task->package->name)))
		return nomad_error_set(err, EINVAL, "option 'package' needs a name or a uuid");
	for (size_t i = 0; i < task->tags.count; i++) {
		r = check_tag(task->tags.pairs[i].key, task->tags.pairs[i].value, err);
		if (r < 0)
			return r;
	}
	r = check_keys("tags", &task->tags, err);
	if (r >= 0)
		r = check_keys("metadata", &task->metadata, err);
	if (r >= 0)
		r = check_metadata(&task->metadata, err);
	if (r >= 0)
		r = check_keys("metadata_files", &task->metadata_files, err);
	if (r >= 0)
		r = check_metadata(&task->metadata_files, err);
	if (r >= 0)
		r = check_files(task, err);
	if (r < 0)
		return r;
	if (task->cns && nomad_map_get(&task->tags, "triton.cns.services"))
		return nomad_error_set(
			err, EINVAL,
			"options 'cns' and 'tags' both name services (triton.cns.services); use one of them");
	return 0;
}

const struct nomad_schema triton_task_schema = NOMAD_SCHEMA(struct triton_task, task_options, .check = check_task);

enum triton_api triton_task_api(const struct triton_task *task)
{
	return task->api_type && strcmp(task->api_type, "docker_api") == 0 ? TRITON_DOCKER : TRITON_CLOUD;
}

bool triton_task_ends_deleted(const struct triton_task *task)
{
	return task->exit_strategy && strcmp(task->exit_strategy, "deleted") == 0;
}
