/* SPDX-License-Identifier: MPL-2.0
 *
 * The option tables of the block cloud_api of a task.  What the server takes: sdc-cloudapi docs/index.md, CreateMachine
 * and ListImages, and lib/machines.js, lib/validation/. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "nomad/error.h"

#include "config.h"
#include "powers.h"
#include "text.h"

const char *triton_check_uuid(const char *value)
{
	return !*value || triton_is_uuid(value) ? NULL : "a UUID in lower-case hexadecimal digits";
}

const char *triton_check_file(const char *value)
{
	static const char *const roots[] = { "local/", "secrets/", "alloc/" };
	const char *path = value + (*value == '/');

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(roots); i++)
		if (strncmp(path, roots[i], strlen(roots[i])) == 0 && path[strlen(roots[i])] && !strstr(path, ".."))
			return NULL;
	return *value ? "a path below local/, secrets/ or alloc/, without .." : NULL;
}

static const char *check_date(const char *value)
{
	static const char form[] = "0000-00-00";

	for (size_t i = 0; i < sizeof(form) - 1; i++)
		if (form[i] == '0' ? !isdigit((unsigned char)value[i]) : value[i] != form[i])
			return "a date such as 2024-03-01, or with a time 2024-03-01T10:00:00Z";
	return value[10] == '\0' || value[10] == 'T' ? NULL : "a date such as 2024-03-01";
}

static const char *check_address(const char *value)
{
	struct in_addr address;

	return inet_pton(AF_INET, value, &address) == 1 ? NULL : "an IPv4 address";
}

static const char *check_size(const char *value)
{
	size_t n = strlen(value);

	return strcmp(value, "remaining") == 0 || (n <= 9 && strspn(value, "0123456789") == n && *value != '0')
		       ? NULL
		       : "a number of MiB, or remaining";
}

static const char *const image_types[] = { "zone-dataset", "lx-dataset",   "zvol",	     "docker",
					   "other",	   "smartmachine", "virtualmachine", NULL };
static const char *const image_states[] = { "active", "unactivated", "disabled", "creating", "failed", "all", NULL };

static const struct nomad_option image_options[] = {
	NOMAD_OPTION(struct triton_image, name, STRING, .power = &triton_power_image, .example = "\"base-64-lts\"",
		     .help = "Name of the image, exact, or ~part for a part of it."),
	NOMAD_OPTION(struct triton_image, uuid, STRING, .power = &triton_power_image, .check = triton_check_uuid,
		     .help = "Id of the image; it wins over the name and is not looked up."),
	NOMAD_OPTION(struct triton_image, version, STRING, .harmless = "narrows the search for a name",
		     .example = "\"22.4.0\"", .help = "Version of the image."),
	NOMAD_OPTION(struct triton_image, owner, STRING, .harmless = "narrows the search for a name",
		     .check = triton_check_uuid, .help = "Id of the account that owns the image."),
	NOMAD_OPTION(struct triton_image, os, STRING, .harmless = "narrows the search for a name",
		     .example = "\"linux\"", .help = "Operating system of the image."),
	NOMAD_OPTION(struct triton_image, type, STRING, .harmless = "narrows the search for a name",
		     .choices = image_types, .help = "Type of the image."),
	NOMAD_OPTION(struct triton_image, state, STRING, .harmless = "narrows the search for a name",
		     .choices = image_states,
		     .help = "State of the image. Default: active; the data centre makes no machine from another."),
	NOMAD_OPTION(struct triton_image, public, TRISTATE, .harmless = "narrows the search for a name",
		     .help = "Only images that everybody can use (true), or only others (false)."),
	NOMAD_OPTION(struct triton_image, published_after, STRING, .harmless = "narrows the search for a name",
		     .check = check_date, .example = "\"2024-03-01\"",
		     .help = "Only images that were published at this date or later."),
	NOMAD_OPTION(struct triton_image, tags, STRING_MAP, .harmless = "narrows the search for a name",
		     .max_items = 32, .example = "{ role = \"os\" }", .help = "Only images that have all these tags."),
	NOMAD_OPTION(struct triton_image, most_recent, BOOL, .harmless = "narrows the search for a name",
		     .def = "false",
		     .help = "Where several images match: take the one published last, instead of failing."),
};
static int check_image(const void *config, struct nomad_error **err)
{
	const struct triton_image *image = config;

	if (triton_given(image->uuid) || triton_given(image->name))
		return 0;
	return nomad_error_set(err, EINVAL, "option 'cloud_api.image' needs a uuid or a name");
}
static const struct nomad_schema image_schema = NOMAD_SCHEMA(struct triton_image, image_options, .check = check_image);

static const struct nomad_option network_options[] = {
	NOMAD_OPTION(struct triton_network, name, STRING, .power = &triton_power_network,
		     .example = "\"My-Fabric-Network\"", .help = "Name of the network or pool."),
	NOMAD_OPTION(struct triton_network, uuid, STRING, .power = &triton_power_network, .check = triton_check_uuid,
		     .help = "Id of the network or pool; it wins over the name."),
	NOMAD_OPTION(
		struct triton_network, ip, STRING, .harmless = "an address of a network that is allowed",
		.check = check_address, .example = "\"10.0.1.50\"",
		.help = "Fixed address in the network, which must not be public or a pool. A job with more than one "
			"instance, or whose new instance starts before the old one ends, cannot have one."),
};
static int check_network(const void *config, struct nomad_error **err)
{
	const struct triton_network *network = config;

	if (triton_given(network->uuid) || triton_given(network->name))
		return 0;
	return nomad_error_set(err, EINVAL, "each of the option 'cloud_api.networks' needs a name or a uuid");
}
static const struct nomad_schema network_schema =
	NOMAD_SCHEMA(struct triton_network, network_options, .check = check_network);

static const struct nomad_option disk_options[] = {
	NOMAD_OPTION(struct triton_disk, size, STRING, .harmless = "bounded by the package", .check = check_size,
		     .example = "\"10240\"",
		     .help = "Size in MiB, or remaining for what the package leaves. The first disk may leave it out: "
			     "as the image."),
	NOMAD_OPTION(struct triton_disk, block_size, INT, .harmless = "of a disk of the instance", .min = 0,
		     .max = 131072, .def = "0", .unit = "bytes",
		     .help = "Block size, a power of 2 from 512; not for the first disk. 0: the data centre's."),
};
static int check_disk(const void *config, struct nomad_error **err)
{
	const struct triton_disk *disk = config;

	if (!disk->block_size || (disk->block_size >= 512 && !(disk->block_size & (disk->block_size - 1))))
		return 0;
	return nomad_error_set(err, EINVAL,
			       "option 'cloud_api.disks.block_size' must be a power of 2 from 512 to 131072");
}
static const struct nomad_schema disk_schema = NOMAD_SCHEMA(struct triton_disk, disk_options, .check = check_disk);

static const char *const brands[] = { "bhyve", "kvm", NULL };

static const struct nomad_option cloud_options[] = {
	NOMAD_OPTION(struct triton_cloud_task, image, BLOCK, .required = true, .block = &image_schema,
		     .help = "The image, by id or by a query that finds one."),
	NOMAD_OPTION(struct triton_cloud_task, networks, BLOCK_LIST, .block = &network_schema, .max_items = 32,
		     .help = "Networks, in order. Without any the data centre chooses."),
	NOMAD_OPTION(struct triton_cloud_task, user_data, STRING, .power = &triton_power_user_script,
		     .help = "Metadata user-data."),
	NOMAD_OPTION(struct triton_cloud_task, user_data_file, STRING, .power = &triton_power_user_script,
		     .check = triton_check_file, .example = "\"local/user-data\"",
		     .help = "File of the task whose content is user_data; as metadata_files."),
	NOMAD_OPTION(struct triton_cloud_task, user_script, STRING, .power = &triton_power_user_script,
		     .help = "Metadata user-script: run by the machine after its creation and at every boot."),
	NOMAD_OPTION(struct triton_cloud_task, user_script_file, STRING, .power = &triton_power_user_script,
		     .check = triton_check_file, .example = "\"local/setup.sh\"",
		     .help = "File of the task whose content is user_script; as metadata_files."),
	NOMAD_OPTION(struct triton_cloud_task, cloud_config, STRING, .power = &triton_power_user_script,
		     .help = "Configuration for cloud-init, which reads it as metadata cloud-init:user-data."),
	NOMAD_OPTION(struct triton_cloud_task, cloud_config_file, STRING, .power = &triton_power_user_script,
		     .check = triton_check_file, .example = "\"local/cloud.yaml\"",
		     .help = "File of the task whose content is cloud_config; as metadata_files."),
	NOMAD_OPTION(struct triton_cloud_task, brand, STRING, .harmless = "the kind of hypervisor", .choices = brands,
		     .help = "Hypervisor of a virtual machine. Default: as image and package say."),
	NOMAD_OPTION(struct triton_cloud_task, disks, BLOCK_LIST, .block = &disk_schema, .max_items = 8,
		     .help = "Disks of a bhyve machine whose package has flexible disks. The first one boots."),
	NOMAD_OPTION(struct triton_cloud_task, delegate_dataset, BOOL, .harmless = "in the instance", .def = "false",
		     .help = "Give a zone a ZFS dataset of its own, where the operator allows it."),
	NOMAD_OPTION(struct triton_cloud_task, encrypted, BOOL, .harmless = "where the instance is", .def = "false",
		     .help = "Only on a server with encrypted disks."),
	NOMAD_OPTION(struct triton_cloud_task, allow_shared_images, BOOL, .harmless = "allow_image bounds images",
		     .def = "false", .help = "Allow an image that another account shares with this one."),
};

static int check_cloud(const void *config, struct nomad_error **err)
{
	const struct triton_cloud_task *cloud = config;
	const struct triton_disk *disks = cloud->disks.items;
	const struct {
		const char *text, *file, *name;
	} pairs[] = {
		{ cloud->user_data, cloud->user_data_file, "user_data" },
		{ cloud->user_script, cloud->user_script_file, "user_script" },
		{ cloud->cloud_config, cloud->cloud_config_file, "cloud_config" },
	};

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(pairs); i++)
		if (triton_given(pairs[i].text) && triton_given(pairs[i].file))
			return nomad_error_set(err, EINVAL,
					       "options 'cloud_api.%s' and 'cloud_api.%s_file': use one of them",
					       pairs[i].name, pairs[i].name);
	if (cloud->disks.count && triton_given(cloud->brand) && strcmp(cloud->brand, "bhyve") != 0)
		return nomad_error_set(err, EINVAL, "option 'cloud_api.disks' needs brand bhyve");
	for (size_t i = 0, remaining = 0; i < cloud->disks.count; i++) {
		bool all = triton_given(disks[i].size) && strcmp(disks[i].size, "remaining") == 0;

		if (i && !triton_given(disks[i].size))
			return nomad_error_set(err, EINVAL,
					       "option 'cloud_api.disks': only the first may have no size");
		if (!i && disks[i].block_size)
			return nomad_error_set(err, EINVAL,
					       "option 'cloud_api.disks': the first has the block_size of its image");
		if (all && remaining++)
			return nomad_error_set(err, EINVAL, "option 'cloud_api.disks': only one may have the rest");
	}
	return 0;
}

const struct nomad_schema triton_cloud_schema =
	NOMAD_SCHEMA(struct triton_cloud_task, cloud_options, .check = check_cloud);
